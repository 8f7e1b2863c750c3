"""The tables of the codebook: centroids where the points are, and shapes that the product reads."""

import io
from typing import Any

import numpy as np

from workers.closer_look.codebook import CENTROIDS, DIMENSION, read_codebook
from workers.training.codebook import k_means, nearest, train


def points(count: int, dimension: int) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    return np.abs(np.random.default_rng(0).standard_normal((count, dimension))).astype(np.float32)


def test_the_nearest_centroid_is_the_nearest() -> None:
    some, centroids = points(300, 8), points(CENTROIDS, 8)[::-1]
    apart = ((some[:, None] - centroids[None]) ** 2).sum(axis=2)
    assert (nearest(some, centroids) == apart.argmin(axis=1)).all()


def test_centroids_move_to_where_the_points_are() -> None:
    homes = np.arange(CENTROIDS, dtype=np.float32)[:, None] * 10
    some = np.concatenate([homes + shift for shift in (-0.5, 0.0, 0.5)]).astype(np.float32)
    found = k_means(some, np.random.default_rng(1))
    assert np.abs(found - homes.T).min(axis=1).max() < 10
    spread = ((some - found[nearest(some, found)]) ** 2).mean()
    assert spread < ((some - some.mean()) ** 2).mean() / 1000


def test_the_product_reads_what_was_trained() -> None:
    descriptors = points(2 * CENTROIDS, DIMENSION)
    descriptors /= np.linalg.norm(descriptors, axis=1, keepdims=True)
    stream = io.BytesIO()
    tables: dict[str, Any] = {name: table.astype(np.float16) for name, table in train(descriptors).items()}
    np.savez_compressed(stream, **tables)
    codebook = read_codebook(stream.getvalue())
    decoded = codebook.decode(codebook.encode(descriptors[:50]))
    assert float((decoded * descriptors[:50]).sum(axis=1).mean()) > 0.8
