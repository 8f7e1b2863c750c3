"""From a hash to the rows that may have it: two arrays, 12 bytes a row where a dictionary takes 150."""

from __future__ import annotations

from dataclasses import dataclass

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
