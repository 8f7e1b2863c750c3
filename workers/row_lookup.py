"""From a key to the rows that may have it: two sorted arrays, 12 bytes a row where a dictionary takes 150."""

from __future__ import annotations

from collections.abc import Hashable, Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True, slots=True)
class RowLookup:
    """``hashes`` (n, ascending) and the ``rows`` they are of; hashes differ from process to process."""

    hashes: npt.NDArray[np.int64]
    rows: npt.NDArray[np.int32]

    @classmethod
    def build(cls, keys: Iterable[Hashable]) -> RowLookup:
        """Index the key of each row."""
        hashes = np.fromiter((hash(key) for key in keys), dtype=np.int64)
        order = np.argsort(hashes, kind="stable")
        return cls(hashes[order], order.astype(np.int32))

    def candidates(self, key: Hashable) -> list[int]:
        """Return the rows whose key has the hash of ``key``, in order: compare, for two keys may share a hash."""
        wanted = np.int64(hash(key))
        first, last = np.searchsorted(self.hashes, wanted, "left"), np.searchsorted(self.hashes, wanted, "right")
        return [int(row) for row in self.rows[first:last]]
