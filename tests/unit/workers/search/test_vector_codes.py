"""Codes of vectors: what is near enough is let through, little else is, and only their own codes are taken."""

from dataclasses import replace

import numpy as np
import pytest

from shared.errors import IntegrityError
from workers.encoders.embeddings import STORED, Vectors
from workers.search.vector_codes import (
    BITS,
    CODE_BYTES,
    COMPARED,
    SCANNED,
    CodeImage,
    VectorCodes,
    farthest,
    random_planes,
    scanned_words,
)


def normalised(vectors: Vectors) -> Vectors:
    scaled: Vectors = vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)
    return scaled


def at_cosine(query: Vectors, cosine: float, count: int, seed: int) -> Vectors:
    """Return so many vectors at this cosine to the query, in all directions."""
    noise = np.random.default_rng(seed).standard_normal((count, len(query)), dtype=np.float32)
    aside = normalised(noise - np.outer(noise @ query, query).astype(np.float32))
    return np.float32(cosine) * query + np.float32(np.sqrt(1 - cosine * cosine)) * aside


def query_of(dimension: int) -> Vectors:
    return normalised(np.random.default_rng(1).standard_normal(dimension, dtype=np.float32))


def let_through(vectors: Vectors, query: Vectors, floor: float) -> int:
    codes = VectorCodes.build(vectors.astype(STORED))
    return len(codes.near(query, np.array([floor], np.float32), np.zeros(len(vectors), np.int32)))


@pytest.mark.parametrize("dimension", [64, 512, 768])
@pytest.mark.parametrize("floor", [0.4, 0.63, 0.84])
def test_of_those_just_at_the_floor_next_to_all_are_let_through(dimension: int, floor: float) -> None:
    query = query_of(dimension)
    assert let_through(at_cosine(query, floor, 4000, 2), query, floor) >= 4000 * (1 - 1 / 150)


@pytest.mark.parametrize("floor", [0.4, 0.63, 0.84])
def test_of_nearer_ones_all_are_and_of_unrelated_ones_few(floor: float) -> None:
    query = query_of(512)
    assert let_through(at_cosine(query, floor + 0.1, 4000, 3), query, floor) == 4000
    assert let_through(at_cosine(query, 0.0, 4000, 4), query, floor) <= 40


def test_vectors_far_from_the_origin_are_told_apart() -> None:
    rng = np.random.default_rng(5)
    positive = normalised(np.abs(rng.standard_normal((500, 512), dtype=np.float32)))
    codes = VectorCodes.build(positive.astype(STORED))
    for row in range(0, 500, 50):
        near = codes.near(positive[row], np.array([0.95], np.float32), np.zeros(500, np.int32))
        assert row in near
        assert len(near) < 50


def test_every_group_has_a_floor_of_its_own() -> None:
    query = query_of(512)
    vectors = at_cosine(query, 0.6, 300, 6)
    codes = VectorCodes.build(vectors.astype(STORED))
    groups = (np.arange(300) // 100).astype(np.int32)
    near = codes.near(query, np.array([0.9, 0.5, np.inf], np.float32), groups)
    assert near.tolist() == list(range(100, 200))


def test_of_more_than_are_compared_the_nearest_are_left() -> None:
    query = query_of(512)
    vectors = np.concatenate([at_cosine(query, 0.7, COMPARED, 7), at_cosine(query, 0.95, 10, 8)])
    codes = VectorCodes.build(vectors.astype(STORED))
    near = codes.near(query, np.array([0.5], np.float32), np.zeros(len(vectors), np.int32))
    assert len(near) == COMPARED
    assert (np.diff(near) > 0).all()
    assert set(range(COMPARED, COMPARED + 10)) <= set(near.tolist())


def test_the_higher_the_floor_the_fewer_words_are_looked_at() -> None:
    words = [scanned_words(floor) for floor in (-1.0, 0.0, 0.5, 0.8, 0.95, 1.0)]
    assert words[2:] == sorted(words[2:], reverse=True)
    assert (words[2], words[-1]) == (SCANNED, 1)


def test_bits_that_may_differ_are_the_angles_share_and_some() -> None:
    limits = farthest(np.array([1.0, 0.5, 0.0, -1.0, np.inf], np.float32), BITS)
    assert limits.tolist() == [0, 203, 290, BITS, -1]


@pytest.mark.parametrize("dimension", [40, 512, 700])
def test_planes_are_at_right_angles_and_the_same_every_time(dimension: int) -> None:
    planes = random_planes(dimension)
    assert planes.shape == (BITS, dimension)
    first = planes[: min(dimension, BITS)]
    np.testing.assert_allclose(first @ first.T, np.eye(len(first)), atol=1e-5)
    np.testing.assert_array_equal(planes, random_planes(dimension))


def test_an_image_brings_the_codes_back() -> None:
    vectors = at_cosine(query_of(512), 0.3, 50, 9).astype(STORED)
    built = VectorCodes.build(vectors)
    read = VectorCodes.read(built.image(), *vectors.shape)
    for one, other in ((built.planes, read.planes), (built.codes, read.codes), (built.columns, read.columns)):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize(
    "spoil",
    [
        lambda image: replace(image, planes=image.planes[:-4]),
        lambda image: replace(image, planes=image.planes[:0]),
        lambda image: replace(image, codes=image.codes[:-CODE_BYTES]),
        lambda image: replace(image, codes=np.concatenate([image.codes, image.codes[:1]])),
        lambda image: replace(image, planes=np.full_like(image.planes, 0xFF)),
    ],
)
def test_an_image_of_other_vectors_is_refused(spoil: object) -> None:
    assert callable(spoil)
    vectors = at_cosine(query_of(64), 0.3, 50, 9).astype(STORED)
    image: CodeImage = spoil(VectorCodes.build(vectors).image())
    with pytest.raises(IntegrityError, match="codes in the snapshot"):
        VectorCodes.read(image, *vectors.shape)
