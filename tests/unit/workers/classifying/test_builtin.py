"""Classifiers that ship: each precision of an encoder has its own, and a broken file is told."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from shared.config import Settings
from shared.errors import IntegrityError
from tests.classifier_factories import make_classifier
from workers.classifying.builtin import builtin_classifiers, builtin_path, builtins_of
from workers.classifying.model import pack
from workers.classifying.vectors import space_of
from workers.encoders.files import EncoderCard, read_card
from workers.encoders.names import configured_name

SHIPPED = make_classifier("receipt", name="builtin-documents")


@pytest.fixture
def card(tmp_path: Path) -> EncoderCard:
    """An encoder whose fp16 file is calibrated as its fp32 file is."""
    folder = tmp_path / "f9"
    (folder / "builtin").mkdir(parents=True)
    entries = {"fp32": {"sha256": "0"}, "int8": {"sha256": "1"}, "fp16": {"sha256": "2", "calibrated_as": "fp32"}}
    (folder / "card.json").write_text(json.dumps({"sha256": "0", "precisions": entries}))
    return read_card(folder)


def test_a_precision_has_the_classifiers_of_what_it_is_calibrated_as(card: EncoderCard) -> None:
    builtin_path(card, "fp32", SHIPPED.name).write_bytes(pack(SHIPPED))
    assert dict(builtin_classifiers(card, "int8")) == {}
    for precision in ("fp32", "fp16"):
        found = builtin_classifiers(card, precision)
        assert list(found) == [SHIPPED.name]
        space = space_of(f"f9.{precision}")
        assert pack(found[SHIPPED.name]) == pack(replace(SHIPPED, space=space))


def test_a_broken_file_is_told(card: EncoderCard) -> None:
    builtin_path(card, "fp32", "builtin-documents").write_bytes(b"\0" * 100)
    with pytest.raises(IntegrityError, match=r"builtin-documents.fp32.classifier is not the classifier that ships"):
        builtin_classifiers(card, "fp32")


def test_what_ships_says_how_good_it_is_and_keeps_nothing_of_pictures_but_rows(tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path)
    shipped = builtins_of(settings, configured_name(settings))
    assert set(shipped) == {"builtin-documents", "builtin-screens"}
    for name, classifier in shipped.items():
        assert classifier.name == name
        assert classifier.rates.false_positives.tried > 500
        assert classifier.rates.false_positives.share < 0.015
        assert all(label.true_positives.tried >= 20 for label in classifier.rates.labels)
        digests = {example.sha256 for example in classifier.examples}
        assert len(digests) == len(classifier.examples)
        assert all(example.pdq == example.sha256 for example in classifier.examples)  # made up, both
