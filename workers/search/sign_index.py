"""Search over the signs of reference views' embeddings: 64 bytes a view, of which 16 are looked at for all.

For vectors around the origin the share of signs that differ is the angle between them over pi, on average (Charikar,
"Similarity estimation techniques from rounding algorithms", STOC 2002).  A vector of 512 floats takes 2,048 bytes;
with 64 bytes a view a reference can afford two dozen crops and tilts of itself, near which its cropped and tilted
copies lie.

A sample of 128 of the 512 signs decides which views are looked at as a whole: of views that are just near enough it
passes over one in 740 (``SURE`` standard deviations), of nearer ones next to none, and of others it lets one in some
thousand through.

Every set has a distance of its own: what a set of ten still takes for near, one code in ten is by chance, and looking
at all of those as a whole costs many times the scan.  The scan takes 3 ns a code, so there is an end to how many are
searched: those of the smallest sets first, whose copies may lie farthest off.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from shared.errors import IntegrityError
from workers.references.byte_column import ByteColumn, Bytes
from workers.references.row_lookup import rows_of_each
from workers.search.hamming import Words, within

Places = npt.NDArray[np.int64]

WORD_BYTES: Final = 8
SAMPLE_BYTES: Final = 16
SURE: Final = 3.0
BUILD_CHUNK: Final = 4096
"""Codes whose samples are laid side by side at once."""
LARGEST: Final = 2_400_000
"""Codes that are searched, in 38 MB and 7 ms at 3 ns each: those of 100,000 references with 24 views.

The others are compared with only where something else led to their reference."""


def signs(vectors: npt.NDArray[np.float32]) -> bytes:
    """Return the packed signs of n x dimension vectors, one after the other; the dimension is a multiple of 8."""
    return np.packbits(vectors > 0, axis=-1).tobytes()


def _distances(codes: Bytes, wanted: bytes) -> npt.NDArray[np.uint32]:
    query = np.frombuffer(wanted, dtype=np.uint64)
    rows = codes.reshape(-1, len(wanted)).view(np.uint64)
    return np.bitwise_count(rows ^ query).sum(axis=1, dtype=np.uint32)


@dataclass(frozen=True, slots=True)
class SignIndex:
    """``codes`` (n x bytes) are the whole ones; ``starts`` gives the first of each reference; ``bits`` is the length of
    one, 0 where there are none.

    ``sets`` are those that are searched, ascending; ``words`` (w x m, one row a word so that each is contiguous) a
    sample of their codes, of which those of each set begin at ``edges`` and are the codes from ``firsts`` on.
    """

    codes: Bytes
    starts: Places
    bits: int
    words: Words
    sets: Places
    edges: Places
    firsts: Places

    @classmethod
    def build(cls, codes: ByteColumn, bits: int, set_starts: Places, *, largest: int = LARGEST) -> SignIndex:
        """Index the codes of each reference; those of each set begin at ``set_starts``, the last is the end of all.

        Raises IntegrityError for lengths that are no multiple of a code's.
        """
        size = bits // 8
        nothing = np.empty(0, np.int64)
        if not len(codes.data):
            words = np.empty((0, 0), np.uint64)
            return cls(codes.data, np.zeros(len(codes) + 1, np.int64), 0, words, nothing, nothing, nothing)
        lengths = codes.lengths()
        if size == 0 or bits % (8 * WORD_BYTES) or (lengths % size).any():
            raise IntegrityError(f"the signs of a reference's views are not codes of {bits} bits")
        rows, starts = codes.data.reshape(-1, size), np.concatenate([[0], np.cumsum(lengths // size)])
        of_set = np.diff(starts[set_starts])
        order = np.argsort(of_set, kind="stable")
        sets = np.sort(order[np.cumsum(of_set[order]) <= largest])
        firsts, edges = starts[set_starts][sets], np.concatenate([[0], np.cumsum(of_set[sets])])
        words = np.empty((min(size, SAMPLE_BYTES) // WORD_BYTES, int(edges[-1])), dtype=np.uint64)
        for place, first, count in zip(edges.tolist(), firsts.tolist(), of_set[sets].tolist(), strict=False):
            for at in range(0, count, BUILD_CHUNK):
                some = min(BUILD_CHUNK, count - at)
                words[:, place + at : place + at + some] = _sample(rows[first + at : first + at + some]).T
        return cls(rows, starts, bits, words, sets, edges, firsts)

    @property
    def unsearched(self) -> int:
        """How many codes are not searched."""
        return len(self.codes) - self.words.shape[1] if self.bits else 0

    def near(self, wanted: bytes, limits: Places) -> npt.NDArray[np.intp]:
        """Return the references that have a code within their set's limit of ``wanted``, in bits, ascending."""
        if self.words.size == 0:
            return np.empty(0, np.intp)
        (query,) = _sample(np.frombuffer(wanted, np.uint8).reshape(1, -1))
        own = limits[self.sets]
        breaks = [0, *(np.flatnonzero(np.diff(own)) + 1).tolist(), len(own)]
        found = [np.empty(0, np.int64)]
        for first, last in pairwise(breaks):  # neighbouring sets of one limit at once
            limit, start = int(own[first]), int(self.edges[first])
            if limit >= 0:
                places = start + within(
                    self.words[:, start : int(self.edges[last])], query, self._sample_limit(limit) + 1
                )
                of_set = np.searchsorted(self.edges, places, side="right") - 1
                codes = self.firsts[of_set] + places - self.edges[of_set]
                found.append(codes[_distances(self.codes[codes], wanted) <= limit])
        near = np.concatenate(found)
        return np.unique(np.searchsorted(self.starts, near, side="right") - 1) if len(near) else near

    def nearest(self, references: npt.NDArray[np.integer[Any]], wanted: bytes) -> list[int | None]:
        """Return for each reference the bits in which its nearest code differs from ``wanted``; None: it has none."""
        if self.bits == 0:
            return [None] * len(references)
        rows, counts = rows_of_each(self.starts, references)
        some = counts > 0
        distances = _distances(self.codes[rows], wanted)
        nearest = np.minimum.reduceat(distances, (np.cumsum(counts) - counts)[some]) if len(rows) else distances
        found = iter(nearest.tolist())
        return [next(found) if has else None for has in some.tolist()]

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


__all__ = ["SignIndex", "signs"]
