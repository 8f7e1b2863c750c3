"""The index as a fold over its events: pure, the same on every host, in order of arrival."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from shared.types import (
    IndexEvent,
    Reference,
    ReferenceAdded,
    ReferenceRemoved,
    SetCreated,
    SetDeleted,
    SetRolledBack,
    SetThreshold,
)
from workers.references.held_references import Alive, HeldReferences
from workers.references.reference_table import ReferenceTable

Key = tuple[str, str]
"""A reference's place: (set, reference)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """What an event did: ``fresh`` where it made or removed something, ``keys`` the references it touched.

    ``gone`` is the set that was deleted with all its references, empty for none.
    """

    fresh: bool
    keys: tuple[Key, ...] = ()
    gone: str = ""


@dataclass(slots=True)
class SetState:
    """A set and its references by id."""

    created: SetCreated
    references: HeldReferences


NOTHING: Final = Change(fresh=False)


class IndexState:
    """All sets; events that make no sense (any more) change nothing, so that writers may race.

    ``table`` holds the references as of when it was made; what was changed since is kept beside it.
    """

    def __init__(self, sets: Iterable[SetCreated] = (), references: ReferenceTable | Iterable[Reference] = ()) -> None:
        self.table = ReferenceTable.of(references)
        self._alive = np.ones(len(self.table), dtype=np.bool_)
        self.sets: dict[str, SetState] = {created.name: self._holder(created) for created in sets}
        for name, rows in self.table.sets.items():
            if name not in self.sets:
                self._alive[rows.start : rows.stop] = False

    def _holder(self, created: SetCreated) -> SetState:
        return SetState(created, HeldReferences(created.name, self.table, self._alive))

    def apply(self, event: IndexEvent) -> Change:
        """Fold one event in."""
        match event:
            case SetCreated():
                return self._create(event)
            case SetThreshold(name=name, threshold=threshold):
                return self._move_threshold(name, threshold)
            case SetDeleted(name=name):
                return self._delete(name)
            case ReferenceAdded(reference=reference):
                return self._add(reference)
            case ReferenceRemoved(set=name, reference=identity):
                holder = self.sets.get(name)
                if holder is None or not holder.references.remove(identity):
                    return NOTHING
                return Change(fresh=True, keys=((name, identity),))
            case SetRolledBack():
                return Change(fresh=True)  # the events before it did it

    def _create(self, event: SetCreated) -> Change:
        if event.name in self.sets:
            return NOTHING  # the first one wins; only SetThreshold moves a threshold under the set's policies
        self.sets[event.name] = self._holder(event)
        return Change(fresh=True)

    def _move_threshold(self, name: str, threshold: float) -> Change:
        holder = self.sets.get(name)
        if holder is None or holder.created.threshold == threshold:
            return NOTHING
        holder.created = replace(holder.created, threshold=threshold)
        return Change(fresh=True)

    def _delete(self, name: str) -> Change:
        holder = self.sets.pop(name, None)
        if holder is None:
            return NOTHING
        holder.references.clear()
        return Change(fresh=True, gone=name)

    def _add(self, reference: Reference) -> Change:
        holder = self.sets.get(reference.set)
        if holder is None:
            return NOTHING  # the set was deleted meanwhile
        fresh = holder.references.add(reference)
        return Change(fresh=fresh, keys=((reference.set, reference.reference),))

    def rebase(self, table: ReferenceTable, changed: Iterable[Key], gone: Collection[str]) -> None:
        """Stand on a newer table.  It is that of the state but for ``changed`` and all of the sets in ``gone``."""
        before = self.sets
        self.table, self._alive = table, np.ones(len(table), dtype=np.bool_)
        for name, rows in table.sets.items():
            if name not in before or name in gone:
                self._alive[rows.start : rows.stop] = False
        self.sets = {name: self._holder(holder.created) for name, holder in before.items()}
        for name in gone:
            for reference in before[name].references.each() if name in before else ():
                self._add(reference)
        for name, identity in changed:
            if name not in before:
                continue
            now = before[name].references.get(identity)
            if now is None:
                self.sets[name].references.remove(identity)
            else:
                self._add(now)

    def get(self, key: Key) -> Reference | None:
        """Return one reference, or None."""
        holder = self.sets.get(key[0])
        return holder.references.get(key[1]) if holder is not None else None

    def created(self) -> tuple[SetCreated, ...]:
        """Return the sets in order of creation."""
        return tuple(holder.created for holder in self.sets.values())

    def references(self) -> Iterator[Reference]:
        """Yield every reference, set by set, in order of arrival."""
        for holder in self.sets.values():
            yield from holder.references.each()

    def alive(self) -> Alive:
        """Return which rows of the table still stand, as they are now."""
        return self._alive.copy()

    def since(self) -> tuple[Key, ...]:
        """Return what came, or was changed, since the table was made."""
        return tuple((name, identity) for name, holder in self.sets.items() for identity in holder.references.since())

    def __len__(self) -> int:
        return sum(len(holder.references) for holder in self.sets.values())
