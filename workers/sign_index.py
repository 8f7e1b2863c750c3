"""Exact Hamming search over the signs of reference views' embeddings: 64 bytes a view, all of them, every time.

For vectors around the origin the share of signs that differ is the angle between them over pi, on average (Charikar,
"Similarity estimation techniques from rounding algorithms", STOC 2002).  A vector of 512 floats takes 2,048 bytes;
with 64 bytes a view a reference can afford two dozen crops and tilts of itself, near which its cropped and tilted
copies lie.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from shared.errors import IntegrityError

WORD_BITS: Final = 64
CHUNK_CODES: Final = 1 << 15
"""Codes looked at together: their words and counts stay in a core's second-level cache."""

Distances = npt.NDArray[np.uint16]


def signs(vectors: npt.NDArray[np.float32]) -> bytes:
    """Return the packed signs of n x dimension vectors, one after the other; the dimension is a multiple of 8."""
    return np.packbits(vectors > 0, axis=-1).tobytes()


@dataclass(frozen=True, slots=True)
class SignIndex:
    """``words`` (w x n, uint64, one row a word so that each is contiguous); ``starts``: each reference's first code.

    ``starts`` ascends and has one more entry than there are references; a reference may have no code at all.
    """

    words: npt.NDArray[np.uint64]
    starts: npt.NDArray[np.intp]

    @classmethod
    def build(cls, codes: Sequence[bytes], bits: int) -> SignIndex:
        """Index the codes of each reference; raises IntegrityError for lengths that are no multiple of a code's."""
        size = bits // 8
        if not any(codes):
            return cls(np.empty((0, 0), np.uint64), np.zeros(len(codes) + 1, np.intp))
        if size == 0 or bits % WORD_BITS or any(len(code) % size for code in codes):
            raise IntegrityError(f"the signs of a reference's views are not codes of {bits} bits")
        packed = np.frombuffer(b"".join(codes), dtype=np.uint64).reshape(-1, bits // WORD_BITS)
        starts = np.concatenate([[0], np.cumsum([len(code) // size for code in codes])]).astype(np.intp)
        return cls(np.ascontiguousarray(packed.T), starts)

    @property
    def unknown(self) -> int:
        """The distance of a reference without codes: farther than any."""
        return len(self.words) * WORD_BITS + 1

    def nearest(self, vector: npt.NDArray[np.float32]) -> Distances:
        """Return for each reference the bits in which the nearest of its views differs from ``vector``."""
        query = np.frombuffer(signs(vector), dtype=np.uint64)
        count = self.words.shape[1]
        bits = np.empty(count, dtype=np.uint16)
        for first in range(0, count, CHUNK_CODES):
            part = slice(first, first + CHUNK_CODES)
            np.bitwise_count(self.words[:, part] ^ query[:, None]).sum(axis=0, dtype=np.uint16, out=bits[part])
        return self._least(bits)

    def _least(self, bits: Distances) -> Distances:
        nearest = np.full(len(self.starts) - 1, self.unknown, dtype=np.uint16)
        held = np.flatnonzero(np.diff(self.starts))
        if len(held):
            nearest[held] = np.minimum.reduceat(bits, self.starts[held])
        return nearest
