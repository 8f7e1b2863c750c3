"""The index as a fold over its events: pure, the same on every host, in order of arrival."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from typing import Final

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

Key = tuple[str, str]
"""A reference's place: (set, reference)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """What an event did: ``fresh`` where it made or removed something, ``keys`` the references it touched."""

    fresh: bool
    keys: tuple[Key, ...] = ()


@dataclass(slots=True)
class SetState:
    """A set and its references by id."""

    created: SetCreated
    references: dict[str, Reference] = field(default_factory=dict)


NOTHING: Final = Change(fresh=False)


class IndexState:
    """All sets; events that make no sense (any more) change nothing, so that writers may race."""

    def __init__(self, sets: Iterable[SetCreated] = (), references: Iterable[Reference] = ()) -> None:
        self.sets: dict[str, SetState] = {created.name: SetState(created) for created in sets}
        for reference in references:
            self._add(reference)

    def apply(self, event: IndexEvent) -> Change:
        """Fold one event in."""
        match event:
            case SetCreated():
                return self._create(event)
            case SetThreshold(name=name, threshold=threshold):
                return self._move_threshold(name, threshold)
            case SetDeleted(name=name):
                gone = self.sets.pop(name, None)
                return NOTHING if gone is None else Change(fresh=True, keys=tuple((name, r) for r in gone.references))
            case ReferenceAdded(reference=reference):
                return self._add(reference)
            case ReferenceRemoved(set=name, reference=identity):
                holder = self.sets.get(name)
                if holder is None or holder.references.pop(identity, None) is None:
                    return NOTHING
                return Change(fresh=True, keys=((name, identity),))
            case SetRolledBack():
                return Change(fresh=True)  # the events before it did it

    def _create(self, event: SetCreated) -> Change:
        if event.name in self.sets:
            return NOTHING  # the first one wins; only SetThreshold moves a threshold under the set's policies
        self.sets[event.name] = SetState(event)
        return Change(fresh=True)

    def _move_threshold(self, name: str, threshold: float) -> Change:
        holder = self.sets.get(name)
        if holder is None or holder.created.threshold == threshold:
            return NOTHING
        holder.created = replace(holder.created, threshold=threshold)
        return Change(fresh=True)

    def _add(self, reference: Reference) -> Change:
        holder = self.sets.get(reference.set)
        if holder is None:
            return NOTHING  # the set was deleted meanwhile
        fresh = reference.reference not in holder.references
        holder.references[reference.reference] = reference
        return Change(fresh=fresh, keys=((reference.set, reference.reference),))

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
            yield from holder.references.values()

    def __len__(self) -> int:
        return sum(len(holder.references) for holder in self.sets.values())
