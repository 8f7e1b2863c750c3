"""Exact Hamming search over packed PDQ hashes: 32 bytes each, all of them, every time.

An image is asked for in eight turns, whose hashes are one another's with bits turned over: a mirrored picture has the
negative of every odd column of the discrete cosine transform, an upside-down one of every odd row, and a bit tells
whether a coefficient is over the median.  So the bits are kept in four words by the parity of row and column, a turn is
a hash of which whole words are negated, and the counts of four words are the distances of four turns: eight turns cost
two hashes.  The median is not quite zero, so a turn's true hash differs in some bits, which are known beforehand: by so
many more bits may differ what is compared with the true hash afterwards.  The result is that of comparing all.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

import numpy as np
import numpy.typing as npt

from shared.core.matching import PDQ_BITS
from workers.search.hamming import FEW_ROWS, BitCounter, Counts, Distances, Rows, Words, chunks, hamming_each

HASH_BYTES: Final = 32
HASH_WORDS: Final = 4
WORD_BITS: Final = 64
UNKNOWN: Final = 257
"""The distance of a reference without a usable hash: farther than any."""
REACH: Final = 105
"""Bits up to which a limit and what a turn is off may add up, for the turn to be one with another that has words
negated: by chance one hash in 500 is as near."""
SAMPLE: Final = 2000
USUAL_SHARE: Final = 0.98
"""Of the rows, by a sample: what is worth while is decided by their limits; the smallest sets' are the widest."""
FEWER_WORDS: Final = ((40, 2), (64, 3))
"""Up to so many bits, so many words are looked at for all: by chance one hash in a million is as near in them."""

_CLASS: Final = np.uint64(0x0000_5555_0000_5555)
"""Every other column of every other row, of four rows of 16 bits."""
_SHIFTS: Final = tuple(np.uint64(shift) for shift in (0, 1, 16, 17))

Known = npt.NDArray[np.bool_]
Limits = npt.NDArray[np.int16]


@dataclass(frozen=True, slots=True)
class _Turns:
    """Turns that are ``base`` (four words) with words negated: ``negated`` (turns x 4), but for ``off`` bits each."""

    base: Words
    negated: Known
    off: npt.NDArray[np.int16]

    @property
    def farthest_off(self) -> int:
        """The most bits in which one differs from the base with words negated."""
        return int(self.off.max())

    def least(self, turn: int, counts: Sequence[Counts]) -> Counts:
        """Return ``farthest_off`` more than a turn's distance is at least, by the base's in its first words.

        Modulo 256: what overflows looks near, and is compared as a whole.
        """
        negated = self.negated[turn, : len(counts)]
        start = WORD_BITS * int(negated.sum()) + self.farthest_off - int(self.off[turn])
        total = np.full(len(counts[0]), start % 256, np.uint8)
        for each, minus in zip(counts, negated.tolist(), strict=True):
            (np.subtract if minus else np.add)(total, each, out=total)
        return total


@dataclass(frozen=True, slots=True)
class PdqIndex:
    """``words`` (4 x n, uint64, one row a word so that each is contiguous); ``known`` tells which rows hold a hash."""

    words: Words
    known: Known

    @classmethod
    def build(cls, hashes: Sequence[str]) -> PdqIndex:
        """Index hashes of 64 hexadecimal digits; an empty one is never near anything."""
        packed = np.frombuffer(bytes.fromhex("".join(h or "0" * 64 for h in hashes)), dtype=np.uint8)
        return cls.of(packed.reshape(-1, HASH_BYTES), np.array([bool(h) for h in hashes], dtype=np.bool_))

    @classmethod
    def of(cls, packed: npt.NDArray[np.uint8], known: Known) -> PdqIndex:
        """Index n hashes of 32 bytes, of which those that are not known are never near anything."""
        words = np.empty((HASH_WORDS, len(packed)), np.uint64)
        for part in chunks(len(packed)):
            words[:, part] = _by_parity(packed[part])
        return cls(words, known)

    def distances(self, variants: Sequence[str], rows: Rows) -> tuple[Distances, Distances]:
        """Return these rows' distances to the first variant (upright) and to the nearest of all, in bits."""
        each = hamming_each(self.words[:, rows], _queries(tuple(variants)))
        each[:, ~self.known[rows]] = UNKNOWN
        return each[0], each.min(axis=0)

    def near(self, variants: Sequence[str], limits: Limits, group_of: npt.NDArray[np.int32]) -> Rows:
        """Return the rows within their group's limit of any of the variants, in bits, ascending; -1: none is."""
        queries, farthest, count = _queries(tuple(variants)), int(limits.max(initial=-1)), len(self.known)
        if farthest < 0:
            return np.empty(0, np.intp)
        if count <= FEW_ROWS:
            bits = hamming_each(self.words, queries).min(axis=0)
            few: Rows = np.flatnonzero((bits <= limits[group_of]) & self.known)
            return few
        of_row: int | Distances = farthest
        usual = farthest
        if count and bool((limits != limits[0]).any()):
            of_row = np.maximum(limits, 0).astype(np.uint16)[group_of]
            usual = int(np.quantile(of_row[:: 1 + count // SAMPLE], USUAL_SHARE))
        maybe = np.zeros(count, np.bool_)
        for turns in _grouped(queries, REACH - usual):
            self._mark(turns, of_row, usual, maybe)
        rows = np.flatnonzero(maybe & self.known)
        nearest = hamming_each(self.words[:, rows], queries).min(axis=0)
        near: Rows = rows[nearest <= limits[group_of[rows]]]
        return near

    def _mark(self, turns: _Turns, limits: int | Distances, usual: int, maybe: Known) -> None:
        """Mark the rows that may be within their limit, or that of all, of one of these turns."""
        bits = usual + turns.farthest_off
        used = next((words for most, words in FEWER_WORDS if bits <= most), HASH_WORDS)
        highest = np.asarray(np.minimum(np.add(limits, turns.farthest_off), 255), np.uint8)
        counters = [BitCounter(len(maybe)) for _ in range(used)]
        for part in chunks(len(maybe)):
            counts = [
                counter.count(self.words[place : place + 1, part], turns.base[place : place + 1])
                for place, counter in enumerate(counters)
            ]
            nearest = np.minimum.reduce([turns.least(turn, counts) for turn in range(len(turns.off))])
            maybe[part] |= nearest <= (highest[part] if highest.ndim else highest)


def _by_parity(packed: npt.NDArray[np.uint8]) -> Words:
    """Return 4 x n words of n hashes: the bits of even rows and columns, of odd columns, of odd rows, of both odd."""
    of_rows = np.ascontiguousarray(packed).view(np.uint64).T
    words = np.zeros((HASH_WORDS, len(packed)), np.uint64)
    for place, taken in enumerate(_SHIFTS):
        for rows, put in zip(of_rows, _SHIFTS, strict=True):
            words[place] |= ((rows >> taken) & _CLASS) << put
    return words


_SINGLE_BITS: Final = np.packbits(np.eye(PDQ_BITS, dtype=np.uint8), axis=1, bitorder="little")
_SOURCES: Final = (
    np.unpackbits(np.ascontiguousarray(_by_parity(_SINGLE_BITS).T).view(np.uint8), axis=1, bitorder="little")
    .argmax(axis=1)
    .argsort()
)
"""Which bit of a hash each bit of its four words is."""


@lru_cache(maxsize=64)
def _queries(variants: tuple[str, ...]) -> Words:
    """Return hashes as ``_by_parity`` lays them out, a row each, in a fifth of the time that it takes for so few."""
    # One image's are asked for twice by each segment.
    packed = np.frombuffer(bytes.fromhex("".join(variants)), np.uint8).reshape(-1, HASH_BYTES)
    bits = np.take(np.unpackbits(packed, axis=1, bitorder="little"), _SOURCES, axis=1)
    return np.packbits(bits, axis=1, bitorder="little").view(np.uint64)


def _grouped(queries: Words, most_off: int) -> list[_Turns]:
    """Put together those that are one another's with words negated, but for so many bits."""
    groups: list[_Turns] = []
    left = queries
    while len(left):
        bits = np.bitwise_count(left ^ left[0]).astype(np.int16)
        off = np.minimum(bits, WORD_BITS - bits).sum(axis=1, dtype=np.int16)
        own = off <= max(0, most_off)
        groups.append(_Turns(left[0], bits[own] > WORD_BITS // 2, off[own]))
        left = left[~own]
    return groups
