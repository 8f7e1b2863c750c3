"""Vectors of pictures that never were, for benchmarks of the index: as an encoder gives them, or hard on purpose.

``fitted`` ones lie as the embeddings of f1-128-v2 do, measured on 2,029 photographs, pages and screens of 40 archives
and an edit of each: where their energy is (98 % of it in 128 directions, as much as in 42 even ones), how near they
are to each other (the mean cosine is .05, its deviation .15, one pair in a thousand is over .56 and one in ten thousand
over .73, for they come in crowds), and where an edit moves them.  Directions are random: an angle does not depend on
them.

``even`` ones have noise of one size in all 512 directions, and so has what makes a copy of them, as index benchmarks
usually do it.  No encoder gives such vectors, but it is the worst case: nothing in them is easier to find than the
rest.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, Literal

import numpy as np
import numpy.typing as npt

Vectors = npt.NDArray[np.float32]
Kind = Literal["fitted", "even"]
KINDS: Final[tuple[Kind, ...]] = ("fitted", "even")

DIMENSION: Final = 512
CHUNK: Final = 10_000
CENTRES: Final = 1000
"""Crowds, and of the even ones whatever they lie around."""
CROWDED: Final = (0.6, 0.95)
"""How much of a vector is its crowd's, at least and at most."""
LOCAL: Final = 32
"""Directions around a centre of the even ones."""
MEAN: Final = 0.218
"""The length of the mean of all embeddings."""
SHARES: Final = {
    "embeddings": (0.0673, 0.1167, 0.1943, 0.3164, 0.4844, 0.6895, 0.8903, 0.9803, 0.9976, 1.0),
    "edits": (0.0161, 0.0307, 0.0620, 0.1231, 0.2416, 0.4460, 0.7369, 0.9359, 0.9894, 1.0),
}
"""Of the energy, in the first 1, 2, 4 … 512 principal directions of the embeddings around their mean."""


def make_vectors(count: int, seed: int, kind: Kind = "fitted") -> Vectors:
    """Return count x 512 vectors of length 1."""
    return np.concatenate(list(vector_chunks(count, seed, kind)))


def vector_chunks(count: int, seed: int, kind: Kind = "fitted") -> Iterator[Vectors]:
    """Yield the same, some thousand at a time."""
    rng = np.random.default_rng(seed)
    make = _Fitted() if kind == "fitted" else _Even()
    for first in range(0, count, CHUNK):
        yield normalised(make(rng, min(CHUNK, count - first)))


def copies(vectors: Vectors, cosine: float, seed: int, kind: Kind = "fitted") -> Vectors:
    """Return what an edit makes of each vector, at this cosine or nearly."""
    noise = np.random.default_rng(seed).standard_normal(vectors.shape, dtype=np.float32)
    if kind == "fitted":
        noise = (noise * _deviations("edits") @ _directions()).astype(np.float32)
    aside = normalised(noise - np.vecdot(noise, vectors)[:, None] * vectors)
    return normalised(cosine * vectors + np.float32(np.sqrt(1 - cosine * cosine)) * aside)


def normalised(vectors: Vectors) -> Vectors:
    """Scale each to length 1."""
    scaled: Vectors = vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)
    return scaled


class _Fitted:
    def __init__(self) -> None:
        self._across = _deviations("embeddings")[:, None] * _directions() * np.float32(np.sqrt(1 - MEAN * MEAN))
        self._mean = np.float32(MEAN) * _directions()[0]
        self._centres = np.random.default_rng(0).standard_normal((CENTRES, DIMENSION), dtype=np.float32)

    def __call__(self, rng: np.random.Generator, count: int) -> Vectors:
        of_crowd = rng.uniform(*CROWDED, (count, 1)).astype(np.float32)
        own = rng.standard_normal((count, DIMENSION), dtype=np.float32)
        mixed = of_crowd * self._centres[rng.integers(CENTRES, size=count)] + np.sqrt(1 - of_crowd * of_crowd) * own
        made: Vectors = mixed @ self._across + self._mean
        return made


class _Even:
    def __init__(self) -> None:
        shape = np.random.default_rng(0)
        self._centres = shape.standard_normal((CENTRES, DIMENSION), dtype=np.float32)
        self._spans = shape.standard_normal((8, LOCAL, DIMENSION), dtype=np.float32)

    def __call__(self, rng: np.random.Generator, count: int) -> Vectors:
        centre = rng.integers(CENTRES, size=count)
        local = rng.standard_normal((count, LOCAL), dtype=np.float32) / np.sqrt(LOCAL, dtype=np.float32)
        made = self._centres[centre] + np.float32(0.5) * rng.standard_normal((count, DIMENSION), dtype=np.float32)
        for span, directions in enumerate(self._spans):
            chosen = centre % len(self._spans) == span
            made[chosen] += local[chosen] @ directions
        return made


def _deviations(what: str) -> Vectors:
    """Return the deviation along each principal direction, of all 1."""
    edges = np.concatenate([[0], 2 ** np.arange(10)])
    shares = np.diff([0.0, *SHARES[what]])
    return np.sqrt(np.repeat(shares / np.diff(edges), np.diff(edges))).astype(np.float32)


def _directions() -> Vectors:
    drawn = np.random.default_rng(1).standard_normal((DIMENSION, DIMENSION))
    directions: Vectors = np.linalg.qr(drawn)[0].astype(np.float32)
    return directions
