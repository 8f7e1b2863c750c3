"""From a hash to the rows that may have it: two arrays, 12 bytes a row where a dictionary takes 150.

And from references to the rows of something that each has several of.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True, slots=True)
class RowLookup:
    """``hashes`` (n, ascending) and the ``rows`` they are of."""

    hashes: npt.NDArray[np.int64]
    rows: npt.NDArray[np.int32]

    @classmethod
    def build(cls, hashes: npt.NDArray[np.int64]) -> RowLookup:
        """Index the hash of each row."""
        order = np.argsort(hashes)
        return cls(hashes[order], order.astype(np.int32))

    def candidates(self, wanted: int) -> list[int]:
        """Return the rows with this hash, ascending: compare, for two keys may share one."""
        # searchsorted of another type would convert the whole array for every question.
        hashed = np.int64(wanted)
        first, last = np.searchsorted(self.hashes, hashed, "left"), np.searchsorted(self.hashes, hashed, "right")
        return sorted(self.rows[first:last].tolist())


def rows_of_each(
    starts: npt.NDArray[np.integer[Any]], numbers: npt.NDArray[np.integer[Any]]
) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]]:
    """Return the rows of each of these numbers, one after the other, and how many each has.

    The rows of number n are those from ``starts[n]`` up to ``starts[n + 1]``.
    """
    firsts = starts[numbers].astype(np.intp)
    counts = starts[numbers + 1] - firsts
    ends = np.cumsum(counts)
    rows = np.arange(int(ends[-1]) if len(ends) else 0) + np.repeat(firsts - ends + counts, counts)
    return rows, counts
