"""Puts an image set back to what it was at an earlier revision, as further events of the index log."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace

from shared.errors import UsageError
from shared.ports import Clock, Store
from shared.sealing import Sealer
from shared.types import (
    IndexEvent,
    Reference,
    ReferenceAdded,
    ReferenceRemoved,
    SetCreated,
    SetRolledBack,
    SetThreshold,
)
from workers.index.catalogue import SetCatalogue
from workers.index.log import IndexLog
from workers.index.set_history import DAY, Past, SetHistory, Target, state_at
from workers.index.snapshot import Snapshot
from workers.index.state import SetState
from workers.references.reference_table import ReferenceTable


@dataclass(frozen=True, slots=True, kw_only=True)
class RolledBack:
    """What a rollback changed: references brought back and withdrawn, and the threshold now."""

    revision: int
    added: int
    removed: int
    threshold: float


class Revisions:
    """A set's revisions, of ``keep_days`` at most.  All raise StoreError and IntegrityError."""

    def __init__(self, store: Store, sealer: Sealer, clock: Clock, *, keep_days: float) -> None:
        self._catalogue = SetCatalogue(store, sealer, clock)
        self._history = SetHistory(store, sealer)
        self._log = IndexLog(store, sealer)
        self._clock = clock
        self._keep_seconds = keep_days * DAY
        self._withdrawn = Withdrawn(store, sealer, keep_days=keep_days)

    async def history(self, name: str) -> tuple[Past, ...]:
        """Return what happened to a set, the oldest first; raises UsageError where nothing did."""
        found = await self._history.read(name, self._clock.wall() - self._keep_seconds)
        if not found and name not in (await self._catalogue.refresh()).sets:
            raise UsageError(f"there is no image set {name}, and there was none in the days that are kept")
        return found

    async def rollback(self, name: str, revision: int) -> RolledBack:
        """Make a set what it was right after ``revision``; raises UsageError where that is not kept."""
        pasts = await self.history(name)
        if not any(past.position == revision for past in pasts):
            raise UsageError(f"{name} has no revision {revision} that is kept; see `set history {name}`")
        current = (await self._catalogue.refresh()).sets.get(name)
        target = await state_at(self._log, pasts, revision, current)
        held = current.references if current is not None else {}
        added = await self._fetch(target, held.keys())
        removed = [held[reference] for reference in held if reference not in target.references]
        events: list[IndexEvent] = await self._options(name, target, current)
        events += [ReferenceAdded(reference=reference) for reference in added]
        events += await self._withdrawals(current, removed)
        await self._catalogue.append_all([*events, SetRolledBack(name=name, revision=revision)])
        return RolledBack(revision=revision, added=len(added), removed=len(removed), threshold=target.threshold)

    async def _fetch(self, target: Target, held: Collection[str]) -> list[Reference]:
        """Return the references that the set does not have now."""
        wanted = {reference: blob for reference, blob in target.references.items() if blob and reference not in held}
        found: dict[str, Reference] = {}
        for blob in dict.fromkeys(wanted.values()):
            snapshot = await self._log.kept(blob)
            for reference in snapshot.references if snapshot is not None else ():
                if wanted.get(reference.reference) == blob:
                    found[reference.reference] = reference
        if len(found) < len(wanted):
            raise UsageError(f"{len(wanted) - len(found)} references of that revision are no longer kept")
        return list(found.values())

    async def _options(self, name: str, target: Target, current: SetState | None) -> list[IndexEvent]:
        if current is not None:
            previous = current.created.threshold
            moved = SetThreshold(name=name, threshold=target.threshold, previous=previous)
            return [moved] if target.threshold != previous else []
        snapshot = await self._log.kept(target.kept)
        if snapshot is None:
            raise UsageError(f"the options of {name} are no longer kept")
        return [replace(snapshot.sets[0], threshold=target.threshold)]

    async def _withdrawals(self, current: SetState | None, removed: list[Reference]) -> list[IndexEvent]:
        if current is None or not removed:
            return []
        kept = await self._withdrawn.keep(current.created, removed)
        return [ReferenceRemoved(set=each.set, reference=each.reference, kept=kept) for each in removed]


class Withdrawn:
    """What is withdrawn from sets, kept for ``keep_days``.  All raise StoreError."""

    def __init__(self, store: Store, sealer: Sealer, *, keep_days: float) -> None:
        self._log = IndexLog(store, sealer)
        self._history = SetHistory(store, sealer)
        self._seconds = keep_days * DAY

    async def keep(self, created: SetCreated, references: Sequence[Reference]) -> str:
        """Keep what is about to be removed; return the blob's name, empty where nothing is kept."""
        if self._seconds <= 0:
            return ""
        snapshot = Snapshot(encoder="", position=0, sets=(created,), references=ReferenceTable.of(references))
        return await self._log.keep(snapshot, self._seconds)

    async def purge(self, name: str, references: Collection[str] | None = None) -> None:
        """Forget what was withdrawn from a set, or whatever holds some references of it."""
        for past in await self._history.read(name, 0.0):
            if past.kept and (references is None or past.what == "deleted" or past.reference in references):
                await self._log.forget(past.kept)


__all__ = ["Revisions", "RolledBack", "Withdrawn"]
