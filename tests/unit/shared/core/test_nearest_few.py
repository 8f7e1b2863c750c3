"""The few highest products are those of comparing all, whatever the vectors are."""

import numpy as np
import pytest

from shared.core.nearest_few import AXES, NearestFew, Vectors


def clustered(count: int, dimension: int, seed: int = 0) -> Vectors:
    """Vectors of length 1 that lie mostly along a few directions, as embeddings do."""
    rng = np.random.default_rng(seed)
    spread = np.exp(-np.arange(dimension) / 20)
    vectors = (rng.standard_normal((count, dimension)) * spread + 0.3 * spread).astype(np.float32)
    return np.asarray(vectors / np.linalg.norm(vectors, axis=1, keepdims=True), np.float32)


def compared(vectors: Vectors, query: Vectors, count: int) -> list[float]:
    """The highest products, of comparing all."""
    return [float(product) for product in np.sort(np.vecdot(vectors, query))[-count:]]


@pytest.mark.parametrize("dimension", [8, AXES, 256])
@pytest.mark.parametrize("count", [1, 3, 40])
def test_the_highest_products_are_those_of_comparing_all(dimension: int, count: int) -> None:
    vectors = clustered(400, dimension)
    few = NearestFew.of(vectors)
    for query in (*clustered(50, dimension, seed=1), *vectors[:5], -vectors[0], np.zeros(dimension, np.float32)):
        assert few.products(query, count).tolist() == compared(vectors, query, count)


def test_vectors_without_common_directions_are_compared_exactly_too() -> None:
    rng = np.random.default_rng(2)
    vectors = rng.standard_normal((300, 256)).astype(np.float32)  # of no length in particular
    few = NearestFew.of(vectors)
    for query in rng.standard_normal((20, 256)).astype(np.float32):
        assert few.products(query, 3).tolist() == compared(vectors, query, 3)


def test_as_many_as_there_are_can_be_asked_for() -> None:
    vectors = clustered(3, 16)
    assert NearestFew.of(vectors).products(vectors[0], 3).tolist() == compared(vectors, vectors[0], 3)


def test_most_vectors_are_ruled_out_unread() -> None:
    vectors = clustered(2000, 256)
    few = NearestFew.of(vectors)
    spoiled = NearestFew(np.full_like(vectors, np.nan), few.axes, few.along, few.left)
    query = clustered(1, 256, seed=3)[0]
    nearest = np.argsort(np.vecdot(vectors, query))[-200:]
    spoiled.vectors[nearest] = vectors[nearest]
    assert spoiled.products(query, 3).tolist() == compared(vectors, query, 3)
