"""What happened to image sets in the last days, and back again.

Every event of the index log carries its time, and what is withdrawn is kept in a blob of its own that expires by
itself.  Before a compaction truncates the log, the outlines of the events go into a second log (`remember`), a hundred
bytes each: twice where a compaction was cut off, so they are told apart by position.

A set at revision R is what it is now, with everything after R undone, the last event first.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Final

from shared.errors import IntegrityError, UsageError, WireError
from shared.ports import Store
from shared.sealing import Sealer
from shared.types import (
    INDEX_LOG,
    IndexEvent,
    LogEntry,
    ReferenceAdded,
    ReferenceRemoved,
    SetCreated,
    SetDeleted,
    SetRolledBack,
    SetThreshold,
)
from workers.index.log import READ_LIMIT, IndexLog
from workers.index.state import SetState

HISTORY_LOG: Final = "index-history"
DAY: Final = 86_400.0
KEEP_DAYS: Final = 14.0
_PLACE: Final = "index-history"


@dataclass(frozen=True, slots=True, kw_only=True)
class Past:
    """The outline of one event on a set; ``position`` is the revision that it made.

    ``threshold`` and ``previous`` where a threshold was moved, ``revision`` where the set was rolled back.
    """

    position: int
    at: float
    set: str
    what: str
    reference: str = ""
    name: str = ""
    kept: str = ""
    threshold: float | None = None
    previous: float | None = None
    revision: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """A set as it was: each reference with the blob that holds it, empty for one that the set has now.

    ``kept`` is a blob that holds the set's options, where it was deleted meanwhile.
    """

    threshold: float
    references: dict[str, str]
    kept: str = ""


def outline(position: int, at: float, event: IndexEvent) -> Past:
    """Return what is remembered of an event."""
    match event:
        case SetCreated(name=name, threshold=threshold):
            return Past(position=position, at=at, set=name, what="created", threshold=threshold)
        case SetThreshold(name=name, threshold=threshold, previous=previous):
            return Past(position=position, at=at, set=name, what="threshold", threshold=threshold, previous=previous)
        case SetDeleted(name=name, kept=kept):
            return Past(position=position, at=at, set=name, what="deleted", kept=kept)
        case ReferenceAdded(reference=added):
            return Past(
                position=position, at=at, set=added.set, what="added", reference=added.reference, name=added.name
            )
        case ReferenceRemoved(set=name, reference=reference, kept=kept):
            return Past(position=position, at=at, set=name, what="removed", reference=reference, kept=kept)
        case SetRolledBack(name=name, revision=revision):
            return Past(position=position, at=at, set=name, what="rolled_back", revision=revision)


class SetHistory:
    """Reads and writes the outlines; raises StoreError."""

    def __init__(self, store: Store, sealer: Sealer) -> None:
        self._store = store
        self._sealer = sealer
        self._log = IndexLog(store, sealer)

    async def remember(self, upto: int, oldest: float) -> None:
        """Write the outlines of the index log up to a position, and forget those from before ``oldest``."""
        async for entries in self._pages(INDEX_LOG, upto):
            pasts = [past for entry in entries if (past := self._outline(entry)) is not None]
            if pasts:
                sealed = [self._sealer.seal(json.dumps(asdict(past)).encode(), place=_PLACE) for past in pasts]
                await self._store.append(HISTORY_LOG, sealed)
        await self._forget(oldest)

    async def read(self, name: str, since: float) -> tuple[Past, ...]:
        """Return what happened to a set since then, the oldest first."""
        found: dict[int, Past] = {}
        async for entries in self._pages(HISTORY_LOG):
            for entry in entries:
                past = self._open(entry)
                found[past.position] = past
        async for entries in self._pages(INDEX_LOG):
            found |= {live.position: live for entry in entries if (live := self._outline(entry)) is not None}
        return tuple(found[at] for at in sorted(found) if found[at].set == name and found[at].at >= since)

    async def _forget(self, oldest: float) -> None:
        last = 0
        async for entries in self._pages(HISTORY_LOG):
            for entry in entries:
                if self._open(entry).at >= oldest:
                    break
                last = entry.position
            else:
                continue
            break
        if last:
            await self._store.truncate(HISTORY_LOG, last)

    async def _pages(self, log: str, upto: int | None = None) -> AsyncIterator[tuple[LogEntry, ...]]:
        position = 0
        while entries := await self._store.read(log, position, READ_LIMIT):
            kept = tuple(entry for entry in entries if upto is None or entry.position <= upto)
            if not kept:
                return
            yield kept
            position = kept[-1].position

    def _outline(self, entry: LogEntry) -> Past | None:
        try:
            at, event = self._log.open(entry.value)
        except (IntegrityError, WireError):
            return None  # whoever follows the log counts it
        return outline(entry.position, at, event)

    def _open(self, entry: LogEntry) -> Past:
        values: dict[str, Any] = json.loads(self._sealer.open(entry.value, place=_PLACE))
        return Past(**values)


def effective(pasts: Iterable[Past]) -> list[Past]:
    """Leave out what changed nothing: a second creation, an image that was added twice at once."""
    kept, present, exists = [], set[str](), None
    for past in pasts:
        match past.what:
            case "created":
                if exists:
                    continue
                exists, present = True, set()
            case "deleted":
                exists, present = False, set()
            case "added":
                if past.reference in present:
                    continue
                present.add(past.reference)
            case "removed":
                present.discard(past.reference)
        kept.append(past)
    return kept


async def state_at(log: IndexLog, pasts: Sequence[Past], revision: int, current: SetState | None) -> Target:
    """Return a set as it was right after the event at ``revision``, one of ``pasts``.

    Raises UsageError where there was no such set then, or what it held is no longer kept; IntegrityError.
    """
    references = dict.fromkeys(current.references, "") if current is not None else {}
    target = Target(threshold=current.created.threshold if current is not None else 0.0, references=references)
    exists = current is not None
    for past in reversed([past for past in effective(pasts) if past.position > revision]):
        match past.what:
            case "created":
                exists, target = False, Target(threshold=0.0, references={})
            case "deleted":
                exists, target = True, await _before_deletion(log, past)
            case "added":
                target.references.pop(past.reference, None)
            case "removed":
                target.references[past.reference] = past.kept or _GONE
            case "threshold" if past.previous is not None:
                target = replace(target, threshold=past.previous)
    if not exists:
        raise UsageError(f"there was no such set at revision {revision}")
    if _GONE in target.references.values():
        raise UsageError(f"what was removed after revision {revision} was purged")
    return target


_GONE: Final = "gone"


async def _before_deletion(log: IndexLog, past: Past) -> Target:
    held = await log.kept(past.kept) if past.kept else None
    if held is None or not held.sets:
        raise UsageError(f"what the set held when it was deleted (revision {past.position}) is no longer kept")
    references = {reference.reference: past.kept for reference in held.references}
    return Target(threshold=held.sets[0].threshold, references=references, kept=past.kept)


__all__ = ["DAY", "HISTORY_LOG", "KEEP_DAYS", "Past", "SetHistory", "Target", "effective", "outline", "state_at"]
