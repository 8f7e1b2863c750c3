"""Search over the signs of reference views' embeddings: 64 bytes a view, of which 16 are looked at for all.

For vectors around the origin the share of signs that differ is the angle between them over pi, on average (Charikar,
"Similarity estimation techniques from rounding algorithms", STOC 2002).  A vector of 512 floats takes 2,048 bytes;
with 64 bytes a view a reference can afford two dozen crops and tilts of itself, near which its cropped and tilted
copies lie.

A sample of 128 of the 512 signs decides which views are looked at as a whole: of views that are just near enough it
passes over one in 740 (``SURE`` standard deviations), of nearer ones next to none, and of others it lets one in some
thousand through.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from shared.errors import IntegrityError
from workers.byte_column import ByteColumn, Bytes
from workers.hamming import Words, hamming

WORD_BYTES: Final = 8
SAMPLE_BYTES: Final = 16
SURE: Final = 3.0
BUILD_CHUNK: Final = 4096
"""Codes whose samples are laid side by side at once."""


def signs(vectors: npt.NDArray[np.float32]) -> bytes:
    """Return the packed signs of n x dimension vectors, one after the other; the dimension is a multiple of 8."""
    return np.packbits(vectors > 0, axis=-1).tobytes()


def nearest_code(codes: bytes, wanted: bytes) -> int | None:
    """Return the bits in which the nearest of the ``codes`` differs from ``wanted``, None where there are none."""
    if not codes:
        return None
    return int(_distances(np.frombuffer(codes, np.uint8), wanted).min())


def _distances(codes: Bytes, wanted: bytes) -> npt.NDArray[np.uint32]:
    query = np.frombuffer(wanted, dtype=np.uint64)
    rows = codes.reshape(-1, len(wanted)).view(np.uint64)
    return np.bitwise_count(rows ^ query).sum(axis=1, dtype=np.uint32)


@dataclass(frozen=True, slots=True)
class SignIndex:
    """``words`` (w x n, one row a word so that each is contiguous): a sample of each code, reference by reference.

    ``codes`` (n x bytes) are the whole ones; ``starts`` gives the first of each reference; ``bits`` is the length of
    one, 0 where there are none.
    """

    codes: Bytes
    words: Words
    starts: npt.NDArray[np.int32]
    bits: int

    @classmethod
    def build(cls, codes: ByteColumn, bits: int) -> SignIndex:
        """Index the codes of each reference; raises IntegrityError for lengths that are no multiple of a code's."""
        size = bits // 8
        if not len(codes.data):
            return cls(codes.data, np.empty((0, 0), np.uint64), np.zeros(len(codes) + 1, np.int32), 0)
        lengths = codes.lengths()
        if size == 0 or bits % (8 * WORD_BYTES) or (lengths % size).any():
            raise IntegrityError(f"the signs of a reference's views are not codes of {bits} bits")
        rows = codes.data.reshape(-1, size)
        words = np.empty((min(size, SAMPLE_BYTES) // WORD_BYTES, len(rows)), dtype=np.uint64)
        for first in range(0, len(rows), BUILD_CHUNK):
            words[:, first : first + BUILD_CHUNK] = _sample(rows[first : first + BUILD_CHUNK]).T
        return cls(rows, words, np.concatenate([[0], np.cumsum(lengths // size)]).astype(np.int32), bits)

    def near(self, wanted: bytes, limit: int) -> npt.NDArray[np.intp]:
        """Return the references that have a code within ``limit`` bits of ``wanted``, ascending."""
        if self.words.size == 0 or limit < 0:
            return np.empty(0, np.intp)
        (query,) = _sample(np.frombuffer(wanted, np.uint8).reshape(1, -1))
        places = np.flatnonzero(hamming(self.words, query) <= self._sample_limit(limit))
        near = places[_distances(self.codes[places], wanted) <= limit]
        return np.unique(np.searchsorted(self.starts, near, side="right") - 1)

    def _sample_limit(self, limit: int) -> int:
        """Return how many bits of a sample may differ where ``limit`` of the whole do (hypergeometric)."""
        sample = len(self.words) * WORD_BYTES * 8
        if sample == self.bits:
            return limit
        share = min(1.0, limit / self.bits)
        variance = sample * share * (1.0 - share) * (self.bits - sample) / (self.bits - 1)
        return math.ceil(sample * share + SURE * math.sqrt(variance))


def _sample(rows: Bytes) -> Words:
    """Return n x w words of n codes: bytes from all over them, for neighbouring dimensions may mean the same."""
    size = rows.shape[1]
    kept = min(size, SAMPLE_BYTES)
    return np.ascontiguousarray(rows[:, :: size // kept][:, :kept]).view(np.uint64)


__all__ = ["SignIndex", "nearest_code", "signs"]
