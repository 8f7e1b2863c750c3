"""Exact Hamming search over packed PDQ hashes: 32 bytes each, all of them, every time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

WORDS: Final = 4
UNKNOWN: Final = 257
"""The distance of a reference without a usable hash: farther than any."""

Distances = npt.NDArray[np.uint16]


@dataclass(frozen=True, slots=True)
class PdqIndex:
    """``words`` (4 x n, uint64, one row a word so that each is contiguous); ``known`` tells which rows hold a hash."""

    words: npt.NDArray[np.uint64]
    known: npt.NDArray[np.bool_]

    @classmethod
    def build(cls, hashes: Sequence[str]) -> PdqIndex:
        """Index hashes of 64 hexadecimal digits; an empty one is never near anything."""
        packed = np.frombuffer(bytes.fromhex("".join(h or "0" * 64 for h in hashes)), dtype=np.uint64)
        words = np.ascontiguousarray(packed.reshape(-1, WORDS).T)
        return cls(words, np.array([bool(h) for h in hashes], dtype=np.bool_))

    def distances(self, variants: Sequence[str]) -> tuple[Distances, Distances]:
        """Return each row's distance to the first variant (upright) and to the nearest of all, in bits."""
        upright = self._distance(variants[0])
        nearest = upright
        for variant in variants[1:]:
            nearest = np.minimum(nearest, self._distance(variant))
        return upright, nearest

    def _distance(self, variant: str) -> Distances:
        query = np.frombuffer(bytes.fromhex(variant), dtype=np.uint64)
        bits = np.bitwise_count(self.words ^ query[:, None]).sum(axis=0, dtype=np.uint16)
        return np.where(self.known, bits, np.uint16(UNKNOWN))
