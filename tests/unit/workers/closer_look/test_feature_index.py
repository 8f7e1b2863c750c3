import dataclasses
from collections.abc import Callable

import numpy as np
import pytest
from PIL import Image

from shared.errors import IntegrityError, UsageError
from tests.local_feature_factories import (
    cropped,
    lattice,
    mirrored_picture,
    pasted,
    picture,
    plane,
    plane_of,
    recompressed,
    turned,
)
from workers.closer_look.codebook import shipped_codebook
from workers.closer_look.feature_index import LARGEST, FeatureIndex
from workers.closer_look.local_features import REFERENCE_FEATURES, extract, pack
from workers.training.drawing import FAMILIES

SEEDS = range(3)
DRAWINGS = [(family, seed) for family in FAMILIES for seed in SEEDS]


def packed_plane(grey: np.ndarray) -> bytes:
    return pack(extract(grey, limit=REFERENCE_FEATURES), shipped_codebook())


@pytest.fixture(scope="module")
def index() -> FeatureIndex:
    return FeatureIndex.build([packed_plane(plane(*drawing)) for drawing in DRAWINGS], shipped_codebook())


@pytest.mark.parametrize(
    ("edit", "is_mirrored"),
    [
        (lambda image: image, False),
        (lambda image: cropped(image, 0.3), False),
        (lambda image: cropped(image, 0.15, 5), False),
        (lambda image: turned(image, 33), False),
        (lambda image: turned(image, 90), False),
        (mirrored_picture, True),
        (lambda image: turned(mirrored_picture(image), 61), True),
        (lambda image: pasted(image, 0.25), False),
        (lambda image: recompressed(image, 30), False),
        (lambda image: image.resize((200, 220)), False),
    ],
    ids=["same", "crop 30", "crop 15", "turn 33", "turn 90", "mirror", "mirror turned", "paste 25", "jpeg", "squash"],
)
@pytest.mark.parametrize("drawing", [("poster", 1), ("whiteboard", 0), ("user_interface", 2)])
def test_an_edited_picture_finds_its_original(
    index: FeatureIndex, drawing: tuple[str, int], edit: Callable[[Image.Image], Image.Image], is_mirrored: bool
) -> None:
    found = index.candidates(extract(plane_of(edit(picture(*drawing)))), limit=8)
    assert len(found) <= 8
    assert [each.votes for each in found] == sorted((each.votes for each in found), reverse=True)
    assert (DRAWINGS.index(drawing), is_mirrored) in [(each.number, each.mirrored) for each in found]


def test_searching_twice_gives_the_same(index: FeatureIndex) -> None:
    features = extract(plane("circuit", 99))
    assert index.candidates(features) == index.candidates(features)


def test_each_reference_is_a_candidate_once_each_way(index: FeatureIndex) -> None:
    ways = [(each.number, each.mirrored) for each in index.candidates(extract(plane("circuit", 1)), limit=100)]
    assert len(ways) == len(set(ways))
    assert ways[0] == (DRAWINGS.index(("circuit", 1)), False)


def test_references_without_features_are_never_found() -> None:
    flat = packed_plane(np.full((100, 100), 9, np.uint8))
    index = FeatureIndex.build([b"", flat, packed_plane(plane("poster", 1))], shipped_codebook())
    assert {each.number for each in index.candidates(extract(plane("poster", 1)))} == {2}


@pytest.mark.parametrize("packed", [[], [b""], [b"", b""]])
def test_an_empty_index_finds_nothing(packed: list[bytes]) -> None:
    assert FeatureIndex.build(packed, shipped_codebook()).candidates(extract(plane("poster", 1))) == []


def test_a_plane_that_shows_nothing_finds_nothing(index: FeatureIndex) -> None:
    assert index.candidates(extract(np.zeros((512, 512), np.uint8))) == []


def test_equal_features_by_the_hundred_stay_bounded() -> None:
    dots = lattice()
    index = FeatureIndex.build([packed_plane(dots)] * 300, shipped_codebook())
    assert len(index.candidates(extract(dots), limit=8)) == 8


def test_features_of_another_codebook_are_refused() -> None:
    other = dataclasses.replace(shipped_codebook(), name=shipped_codebook().name ^ 1)
    with pytest.raises(IntegrityError):
        FeatureIndex.build([packed_plane(plane("poster", 1))], other)


def test_too_many_references_are_refused() -> None:
    with pytest.raises(UsageError, match="too many"):
        FeatureIndex.build([b""] * (LARGEST + 1), shipped_codebook())


def test_what_was_indexed_before_is_indexed_alike() -> None:
    packed = [packed_plane(plane("poster", seed)) for seed in SEEDS]
    book = shipped_codebook()
    # A copy of the codebook is another one, of which nothing is remembered.
    first, again, anew = (FeatureIndex.build(packed, each) for each in (book, book, dataclasses.replace(book)))
    for other in (again, anew):
        assert np.array_equal(first.starts, other.starts)
        assert np.array_equal(first.owners, other.owners)
        assert np.array_equal(first.signs, other.signs)
