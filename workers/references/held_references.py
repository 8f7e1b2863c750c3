"""A set's references in the state of the index: rows of a table, and what was changed since the table was made."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping

import numpy as np
import numpy.typing as npt

from shared.types import Reference
from workers.references.byte_column import Rows
from workers.references.kept_bytes import total_bytes
from workers.references.reference_table import ReferenceTable

Alive = npt.NDArray[np.bool_]


class HeldReferences(Mapping[str, Reference]):
    """References by id, in order of arrival; the rows of ``table`` that are ``alive``, then what came since.

    ``alive`` belongs to the state of the index, which has one for all its sets.
    """

    __slots__ = ("_alive", "_name", "_since", "_size", "_table")

    def __init__(self, name: str, table: ReferenceTable, alive: Alive) -> None:
        self._name = name
        self._table = table
        self._alive = alive
        self._since: dict[str, Reference] = {}
        rows = table.sets.get(name, range(0))
        self._size = int(np.count_nonzero(alive[rows.start : rows.stop]))

    def add(self, reference: Reference) -> bool:
        """Put a reference in place of one of the same id, if any; tell whether there was none."""
        fresh = not self.remove(reference.reference)
        self._since[reference.reference] = reference
        self._size += 1
        return fresh

    def remove(self, identity: str) -> bool:
        """Take a reference out; tell whether it was there."""
        row = self._row(identity)
        if row is not None:
            self._alive[row] = False
        elif self._since.pop(identity, None) is None:
            return False
        self._size -= 1
        return True

    def clear(self) -> None:
        """Take all of them out."""
        self._alive[self._rows()] = False
        self._since, self._size = {}, 0

    def each(self) -> Iterator[Reference]:
        """Yield every reference."""
        yield from (self._table[row] for row in self._rows().tolist())
        yield from self._since.values()

    def since(self) -> tuple[str, ...]:
        """Return the ids of what came, or was changed, since the table was made."""
        return tuple(self._since)

    def bytes_kept(self) -> Counter[str]:
        """Return how many bytes are kept of them, by what they are."""
        return self._table.kept_bytes(self._rows()) + total_bytes(self._since.values())

    def encoders(self) -> Counter[str]:
        """Return how many there are of each encoder."""
        since = Counter(reference.encoder for reference in self._since.values())
        return self._table.encoder_counts(self._rows()) + since

    def _rows(self) -> Rows:
        return self._table.rows_of(self._name, self._alive)

    def _row(self, identity: str) -> int | None:
        row = self._table.number(self._name, identity)
        return row if row is not None and self._alive[row] else None

    def __getitem__(self, identity: str) -> Reference:
        row = self._row(identity)
        return self._since[identity] if row is None else self._table[row]

    def __contains__(self, identity: object) -> bool:
        return identity in self._since or (isinstance(identity, str) and self._row(identity) is not None)

    def __iter__(self) -> Iterator[str]:
        yield from (self._table.reference[row].decode() for row in self._rows().tolist())
        yield from self._since

    def __len__(self) -> int:
        return self._size


__all__ = ["Alive", "HeldReferences"]
