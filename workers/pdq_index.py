"""Exact Hamming search over packed PDQ hashes: 32 bytes each, all of them, every time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from workers.hamming import CHUNK_ROWS, Distances, Words, hamming

HASH_BYTES: Final = 32
UNKNOWN: Final = 257
"""The distance of a reference without a usable hash: farther than any."""


@dataclass(frozen=True, slots=True)
class PdqIndex:
    """``words`` (4 x n, uint64, one row a word so that each is contiguous); ``known`` tells which rows hold a hash."""

    words: Words
    known: npt.NDArray[np.bool_]

    @classmethod
    def build(cls, hashes: Sequence[str]) -> PdqIndex:
        """Index hashes of 64 hexadecimal digits; an empty one is never near anything."""
        packed = np.frombuffer(bytes.fromhex("".join(h or "0" * 64 for h in hashes)), dtype=np.uint8)
        return cls.of(packed.reshape(-1, HASH_BYTES), np.array([bool(h) for h in hashes], dtype=np.bool_))

    @classmethod
    def of(cls, packed: npt.NDArray[np.uint8], known: npt.NDArray[np.bool_]) -> PdqIndex:
        """Index n hashes of 32 bytes, of which those that are not known are never near anything."""
        return cls(np.ascontiguousarray(packed.view(np.uint64).T), known)

    def distances(self, variants: Sequence[str], rows: npt.NDArray[np.intp]) -> tuple[Distances, Distances]:
        """Return these rows' distances to the first variant (upright) and to the nearest of all, in bits."""
        words, known = self.words[:, rows], self.known[rows]
        each = [np.where(known, hamming(words, query), np.uint16(UNKNOWN)) for query in _packed(variants)]
        return each[0], np.minimum.reduce(each)

    def near(self, variants: Sequence[str], limit: int) -> npt.NDArray[np.intp]:
        """Return the rows within ``limit`` bits of any of the variants, ascending."""
        queries = _packed(variants)
        found = [np.empty(0, np.intp)]
        for first in range(0, self.words.shape[1], CHUNK_ROWS):
            part = self.words[:, first : first + CHUNK_ROWS]  # read once for all variants
            nearest = np.minimum.reduce([hamming(part, query) for query in queries])
            found.append(first + np.flatnonzero(nearest <= limit))
        rows = np.concatenate(found)
        return rows[self.known[rows]]


def _packed(variants: Sequence[str]) -> list[Words]:
    return [np.frombuffer(bytes.fromhex(variant), dtype=np.uint64) for variant in variants]
