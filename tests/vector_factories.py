"""Vectors as an index keeps them, and the floors they are searched down to."""

from __future__ import annotations

import numpy as np

from tests.index_factories import DIMENSION, make_vector
from workers.encoders.embeddings import STORED, Stored, Vectors
from workers.search.ann_index import Floors


def stack(count: int, *, dimension: int = DIMENSION) -> Vectors:
    if not count:
        return np.empty((0, dimension), np.float32)
    return np.stack([make_vector(seed, dimension=dimension) for seed in range(count)])


def kept(vectors: Vectors) -> Stored:
    return vectors.astype(STORED)


def floors(count: int, floor: float = 0.9) -> Floors:
    return Floors(np.full(1, floor, dtype=np.float32), np.zeros(count, dtype=np.int32))
