"""Converters on disk, and what they make of references and classifiers."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from shared.errors import EncoderUnavailableError, IntegrityError
from shared.types import Reference
from tests.classifier_factories import LENGTH, SPACE, make_bank, make_classifier, make_rows
from tests.converter_factories import REPORT, make_converter, rotation, write_converter
from tests.index_factories import DIMENSION, ENCODER, make_vector
from tests.index_factories import make_reference as make_drawn
from tests.index_views import make_view
from workers.classifying.bank import to_bytes as bank_bytes
from workers.classifying.vectors import unit
from workers.encoders.embeddings import from_bytes, to_bytes
from workers.migration.conversion import (
    converted_bank,
    converted_classifier,
    converted_reference,
    converted_references,
    converter_path,
    load_converter,
    views_path,
)
from workers.search.sign_index import signs

WIDE, NARROW = 128, 64


def make_vectors(count: int, dimension: int = NARROW, seed: int = 0) -> np.ndarray:
    return unit(np.random.default_rng(seed).normal(size=(count, dimension)))


def make_reference(name: str, vectors: np.ndarray, views: bytes = b"") -> Reference:
    return Reference(
        set="designs",
        reference=name,
        name=f"{name}.png",
        sha256=name * 32,
        pdq="b" * 64,
        pdq_quality=100,
        encoder="e1",
        vectors=tuple(to_bytes(vector) for vector in vectors),
        views=views,
        local=b"l",
        sketch=b"s",
        thumbnail=b"t",
    )


def test_a_converter_is_loaded_with_what_was_measured(tmp_path: Path) -> None:
    converter = make_converter(tmp_path, weights=rotation(NARROW, WIDE))
    assert (converter.source, converter.target) == ("e1", "e2")
    assert (converter.source_dimension, converter.dimension) == (NARROW, WIDE)
    assert converter.report == REPORT
    assert not converter.converts_views


def test_vectors_come_out_as_long_as_they_went_in_and_in_order(tmp_path: Path) -> None:
    weights = rotation(NARROW, WIDE)
    vectors = make_vectors(2500)
    converted = make_converter(tmp_path, weights=3 * weights).convert(vectors)
    assert converted.shape == (2500, WIDE)
    assert np.allclose(converted, vectors @ weights, atol=1e-5)


def test_nothing_is_converted_to_nothing(tmp_path: Path) -> None:
    converter = make_converter(tmp_path, weights=rotation(NARROW, WIDE), views=rotation(NARROW, WIDE))
    assert converter.convert(np.empty((0, NARROW), np.float32)).shape == (0, WIDE)
    assert converter.convert_signs(b"") == b""
    assert converted_references([], converter) == []


def test_other_vectors_are_refused(tmp_path: Path) -> None:
    converter = make_converter(tmp_path, weights=rotation(NARROW, WIDE), views=rotation(NARROW, WIDE))
    with pytest.raises(IntegrityError, match="e1 has 64 dimensions"):
        converter.convert(make_vectors(2, WIDE))
    with pytest.raises(IntegrityError, match="not finite"):
        converter.convert(np.full((1, NARROW), np.inf, np.float32))
    with pytest.raises(IntegrityError, match="no codes of 64 bits"):
        converter.convert_signs(b"123")


def test_a_reference_keeps_all_that_no_encoder_made(tmp_path: Path) -> None:
    weights = rotation(NARROW, WIDE)
    reference = make_reference("r1", make_vectors(2), signs(make_vectors(3, seed=1)))
    converted = converted_reference(reference, make_converter(tmp_path, weights=weights, scale=0.5))
    kept = replace(converted, encoder="e1", converted_from="", vectors=reference.vectors, views=reference.views)
    assert kept == reference
    assert (converted.encoder, converted.converted_from, converted.views) == ("e2", "e1", b"")
    assert np.allclose(from_bytes(converted.vectors), 0.5 * from_bytes(reference.vectors) @ weights, atol=1e-3)


def test_many_references_are_converted_each_by_itself(tmp_path: Path) -> None:
    converter = make_converter(tmp_path, weights=rotation(NARROW, WIDE), views=rotation(NARROW, WIDE, seed=2))
    references = [
        make_reference(
            f"{number:02x}", make_vectors(number % 3, seed=number), signs(make_vectors(number % 5, seed=number))
        )
        for number in range(300)
    ]
    assert converted_references(references, converter) == [converted_reference(one, converter) for one in references]


def test_views_are_converted_from_their_signs(tmp_path: Path) -> None:
    views = make_vectors(4)
    same = make_converter(tmp_path, weights=np.eye(NARROW, dtype=np.float32), views=np.eye(NARROW, dtype=np.float32))
    assert same.convert_signs(signs(views)) == signs(views)
    wider = make_converter(tmp_path, target="e3", weights=rotation(NARROW, WIDE), views=rotation(NARROW, WIDE))
    reference = converted_reference(make_reference("r1", views[:1], signs(views)), wider)
    assert len(reference.views) == 4 * WIDE // 8


def test_a_vector_that_was_scaled_by_an_earlier_conversion_is_converted_as_it_was(tmp_path: Path) -> None:
    weights = rotation(NARROW, WIDE)
    there = make_converter(tmp_path, weights=weights, scale=0.5)
    back = make_converter(tmp_path, "e2", "e1", weights=weights.T.copy())
    reference = make_reference("r1", make_vectors(1))
    returned = converted_reference(converted_reference(reference, there), back)
    assert returned.converted_from == "e2"
    assert np.allclose(from_bytes(returned.vectors), from_bytes(reference.vectors), atol=2e-3)


def test_converted_and_native_references_are_searched_in_one_index(tmp_path: Path) -> None:
    weights = rotation(DIMENSION, DIMENSION)
    converter = make_converter(tmp_path, "encoder-0", ENCODER, weights=weights, scale=0.95)
    old = [make_drawn(seed, encoder="encoder-0", pdq="") for seed in range(20)]
    new = [make_drawn(seed, pdq="") for seed in range(20, 40)]
    view = make_view([*converted_references(old, converter), *new])
    queries = [make_vector(0) @ weights, make_vector(20)]
    converted, native = view.search([view.probe("", query) for query in queries])
    assert [match.reference for match in (converted[0], native[0])] == ["r0", "r20"]
    assert 85 < converted[0].score < native[0].score
    assert {reference.converted_from for reference in view.references("designs")} == {"encoder-0", ""}


def test_a_reference_of_another_encoder_is_refused(tmp_path: Path) -> None:
    converter = make_converter(tmp_path, "e0", weights=rotation(NARROW, WIDE))
    with pytest.raises(IntegrityError, match="r1 is of encoder e1, not e0"):
        converted_reference(make_reference("r1", make_vectors(1)), converter)


def test_vectors_of_several_lengths_are_refused(tmp_path: Path) -> None:
    converter = make_converter(tmp_path, weights=rotation(NARROW, WIDE))
    broken = replace(make_reference("r1", make_vectors(1)), vectors=(bytes(128), bytes(126)))
    with pytest.raises(IntegrityError, match="several lengths"):
        converted_reference(broken, converter)


def test_a_missing_converter_says_how_to_train_one(tmp_path: Path) -> None:
    with pytest.raises(EncoderUnavailableError, match="encoder converter --from e1 --to e2"):
        load_converter(tmp_path, "e1", "e2")


@pytest.mark.parametrize("name", ["", "../e1", "a/b", ".e1", "e 1"])
def test_only_index_versions_name_converters(tmp_path: Path, name: str) -> None:
    with pytest.raises(EncoderUnavailableError, match="names no index version"):
        converter_path(tmp_path, name, "e2")


def test_files_that_are_not_the_cards_are_refused(tmp_path: Path) -> None:
    path = write_converter(tmp_path, weights=rotation(NARROW, WIDE), views=rotation(NARROW, WIDE))
    views_path(path).write_bytes(b"another")
    with pytest.raises(EncoderUnavailableError, match="not the file that its card describes"):
        load_converter(tmp_path, "e1", "e2")
    views_path(path).unlink()
    with pytest.raises(EncoderUnavailableError, match="incomplete"):
        load_converter(tmp_path, "e1", "e2")


@pytest.mark.parametrize(
    "change", [{"scale": 0}, {"scale": "nan"}, {"encoders": ["a"]}, {"report": {}}, {"report": None}]
)
def test_a_broken_card_is_refused(tmp_path: Path, change: dict[str, object]) -> None:
    card = write_converter(tmp_path, weights=rotation(NARROW, WIDE)).with_suffix(".json")
    card.write_text(json.dumps(json.loads(card.read_text()) | change))
    with pytest.raises(EncoderUnavailableError, match="cannot be read"):
        load_converter(tmp_path, "e1", "e2")


def test_a_card_of_another_pair_is_refused(tmp_path: Path) -> None:
    path = write_converter(tmp_path, weights=rotation(NARROW, WIDE))
    path.with_suffix(".json").rename(converter_path(tmp_path, "e1", "e3").with_suffix(".json"))
    with pytest.raises(EncoderUnavailableError, match="is of e1 to e2"):
        load_converter(tmp_path, "e1", "e3")


def test_a_classifier_names_in_the_new_space_what_it_named(tmp_path: Path) -> None:
    weights = rotation(8, 12)
    converter = make_converter(tmp_path, SPACE.encoder, "e2", weights=weights)
    classifier = make_classifier("receipt", "invoice", thresholds={"receipt": 90.0})

    def moved(rows: np.ndarray) -> np.ndarray:
        return np.concatenate([unit(rows[:, :8]) @ weights, rows[:, 8:]], axis=1)

    bank = make_bank()
    converted = converted_classifier(classifier, converter, replace(bank, rows=moved(bank.rows)), 1_900_000_000.0)
    assert converted.space == replace(SPACE, encoder="e2")
    assert (converted.labels, converted.mode, converted.created) == (classifier.labels, "best", 1_900_000_000.0)
    assert converted.thresholds == classifier.thresholds
    assert len(converted.examples[0].row) == 2 * (LENGTH + 4)
    receipts = converted.scores(moved(make_rows(100, 1, seed=5)))
    assert (receipts.argmax(axis=1) == converted.labels.index("invoice")).mean() > 0.95
    assert (receipts.max(axis=1) >= 85).mean() > 0.8


def test_a_classifier_of_another_encoder_is_refused(tmp_path: Path) -> None:
    converter = make_converter(tmp_path, "e0", "e2", weights=rotation(8, 12))
    with pytest.raises(IntegrityError, match="not of e0"):
        converted_classifier(make_classifier("receipt"), converter, make_bank(), 0.0)


def test_a_bank_is_converted_picture_by_picture(tmp_path: Path) -> None:
    weights = rotation(NARROW, WIDE)
    vectors = make_vectors(50)
    kept = converted_bank(bank_bytes(vectors), make_converter(tmp_path, weights=weights))
    assert kept.dtype == np.int8
    assert (np.vecdot(unit(kept.astype(np.float32)), vectors @ weights) > 0.99).all()
