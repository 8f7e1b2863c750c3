"""A converter's network on vectors whose relation is known, and its files."""

import json
from pathlib import Path

import numpy as np
import pytest

from tests.converter_factories import REPORT, rotation
from workers.classifying.vectors import unit
from workers.migration.conversion import ConverterCard, load_converter, views_path
from workers.search.sign_index import signs
from workers.training.conversion_pictures import Vectors
from workers.training.converter import ConverterNetwork, Recipe, signs_of, train_network, write_converter

pytestmark = pytest.mark.train
INPUTS, OUTPUTS = 64, 128
QUICK = Recipe(steps=80)
CARD = ConverterCard(
    source="e1", target="e2", encoders=("0" * 64, "1" * 64), sha256="", views="", scale=0.9, report=REPORT
)


def bent(vectors: Vectors) -> Vectors:
    """What another encoder makes of the same pictures: turned, and not quite linear."""
    turned = vectors @ rotation(INPUTS, OUTPUTS)
    return unit(turned + 0.5 * np.abs(turned))


@pytest.fixture(scope="module")
def vectors() -> tuple[Vectors, Vectors]:
    found = unit(np.random.default_rng(0).normal(size=(1500, INPUTS)))
    return found[:1000], found[1000:]


@pytest.fixture(scope="module")
def network(vectors: tuple[Vectors, Vectors]) -> ConverterNetwork:
    return train_network(vectors[0], bent(vectors[0]), QUICK)


def test_unseen_vectors_are_converted(network: ConverterNetwork, vectors: tuple[Vectors, Vectors]) -> None:
    converted = network.convert(vectors[1])
    assert np.allclose(np.linalg.norm(converted, axis=1), 1, atol=1e-5)
    assert np.vecdot(converted, bent(vectors[1])).mean() > 0.95


def test_it_begins_as_the_least_squares_map(vectors: tuple[Vectors, Vectors]) -> None:
    begun = ConverterNetwork(INPUTS, OUTPUTS)
    begun.begin(vectors[0], vectors[0] @ rotation(INPUTS, OUTPUTS))
    expected = vectors[1] @ rotation(INPUTS, OUTPUTS)
    assert np.vecdot(begun.eval().convert(vectors[1]), expected).min() > 0.999


def test_what_few_pictures_say_nothing_of_stays_between_encoders_of_one_family(
    vectors: tuple[Vectors, Vectors],
) -> None:
    """Fewer pictures than dimensions, from an encoder to one that was trained on from it."""
    rng = np.random.default_rng(4)
    shift = np.eye(INPUTS) + 0.05 * rng.normal(size=(INPUTS, INPUTS))
    moved = [unit(each @ shift) for each in vectors]
    begun = ConverterNetwork(INPUTS, INPUTS)
    begun.begin(vectors[0][:20], moved[0][:20])
    assert np.vecdot(begun.eval().convert(vectors[1]), moved[1]).mean() > 0.9
    turned = ConverterNetwork(INPUTS, INPUTS)
    turned.begin(vectors[0][:20], vectors[0][:20] @ rotation(INPUTS, INPUTS))
    assert np.vecdot(turned.eval().convert(vectors[1]), vectors[1]).mean() < 0.3, "nothing is taken for granted"


def test_signs_are_enough_for_signs(vectors: tuple[Vectors, Vectors]) -> None:
    turned = rotation(INPUTS, OUTPUTS)
    views = train_network(signs_of(vectors[0]), vectors[0] @ turned, QUICK)
    agreeing = (views.convert(signs_of(vectors[1])) > 0) == (vectors[1] @ turned > 0)
    assert agreeing.mean() > 0.75


def test_the_same_seed_gives_the_same_network(network: ConverterNetwork, vectors: tuple[Vectors, Vectors]) -> None:
    again = train_network(vectors[0], bent(vectors[0]), QUICK)
    other = train_network(vectors[0], bent(vectors[0]), Recipe(steps=80, seed=1))
    assert np.array_equal(again.convert(vectors[1]), network.convert(vectors[1]))
    assert not np.array_equal(other.convert(vectors[1]), network.convert(vectors[1]))


def test_the_files_compute_what_the_networks_compute(
    vectors: tuple[Vectors, Vectors], network: ConverterNetwork, tmp_path: Path
) -> None:
    views = train_network(signs_of(vectors[0]), bent(vectors[0]), Recipe(steps=2))
    path = write_converter(tmp_path, CARD, network, views)
    converter = load_converter(tmp_path, "e1", "e2")
    assert (converter.source_dimension, converter.dimension) == (INPUTS, OUTPUTS)
    assert converter.card.scale == 0.9
    assert np.abs(converter.convert(vectors[1]) - network.convert(vectors[1])).max() < 1e-4
    expected = signs(views.convert(signs_of(vectors[1])))
    codes = converter.convert_signs(signs(vectors[1]))
    assert np.bitwise_count(np.frombuffer(codes, np.uint8) ^ np.frombuffer(expected, np.uint8)).mean() < 0.01
    assert json.loads(path.with_suffix(".json").read_text())["report"]["queries"] == REPORT.queries
    write_converter(tmp_path, CARD, network, None)
    assert not views_path(path).exists()
    assert not load_converter(tmp_path, "e1", "e2").converts_views


def test_turned_outputs_come_with_the_other_sign(vectors: tuple[Vectors, Vectors]) -> None:
    views = train_network(signs_of(vectors[0]), bent(vectors[0]), Recipe(steps=2))
    before = views.convert(vectors[1])
    flips = np.arange(OUTPUTS) % 3 == 0
    views.turn(flips)
    assert np.array_equal(views.convert(vectors[1]), np.where(flips, -before, before))


@pytest.mark.parametrize(("pairs", "steps"), [(100, 50), (4000, 250), (100_000, 500)])
def test_many_pairs_are_trained_on_for_longer(pairs: int, steps: int) -> None:
    assert Recipe().steps_for(pairs) == steps
    assert Recipe(steps=7).steps_for(pairs) == 7


def test_one_picture_is_not_enough(vectors: tuple[Vectors, Vectors]) -> None:
    with pytest.raises(ValueError, match="two pictures"):
        train_network(vectors[0][:1], bent(vectors[0][:1]), QUICK)
