"""Who goes first among those that wait: by priority, but nobody for ever.  Pure: the time is handed in.

Each waits from the moment it came *plus a handicap for its priority*, and the earliest goes first.  So an upload goes
before a download that came up to ``HANDICAPS`` earlier; one that has waited longer than that goes before the uploads
that come now.
"""

from __future__ import annotations

import bisect
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from shared.types import Priority

HANDICAPS: Final[Mapping[Priority, float]] = MappingProxyType(
    {Priority.UPLOAD: 0.0, Priority.DOWNLOAD: 0.5, Priority.BACKGROUND: 5.0}
)
"""Seconds.  A download gives way for a third of what a transfer waits by default, a scan for as long as any burst."""


@dataclass(frozen=True, slots=True)
class _Waiting[T]:
    item: T
    rank: float
    since: float
    deadline: float | None

    def late(self, now: float, reserve: float) -> bool:
        return self.deadline is not None and (now >= self.deadline or now + reserve > self.deadline)


class LaneQueue[T]:
    """Items in the order in which they are to go."""

    def __init__(self) -> None:
        self._waiting: list[_Waiting[T]] = []

    def __len__(self) -> int:
        return len(self._waiting)

    def add(self, item: T, now: float, *, priority: Priority = Priority.UPLOAD, deadline: float | None = None) -> None:
        """Queue an item that came at ``now`` and is worthless after ``deadline``."""
        waiting = _Waiting(item, now + HANDICAPS[priority], now, deadline)
        bisect.insort(self._waiting, waiting, key=lambda each: each.rank)

    def first(self) -> T:
        """Return who goes next; raises IndexError where nobody waits."""
        return self._waiting[0].item

    def pop(self) -> T:
        """Remove and return it."""
        return self._waiting.pop(0).item

    def take_late(self, now: float, reserve: float = 0.0) -> tuple[T, ...]:
        """Remove and return all whose deadline has passed, or comes within ``reserve`` seconds."""
        late = tuple(each.item for each in self._waiting if each.late(now, reserve))
        if late:
            self._waiting = [each for each in self._waiting if not each.late(now, reserve)]
        return late

    def discard(self, item: T) -> None:
        """Remove an item that waits no more; others stay where they are."""
        self._waiting = [each for each in self._waiting if each.item is not item]

    @property
    def oldest(self) -> float | None:
        """Since when the oldest has waited, None while nobody does."""
        return min((each.since for each in self._waiting), default=None)

    @property
    def most_urgent(self) -> float | None:
        """The first deadline of all, None where there is none."""
        return min((each.deadline for each in self._waiting if each.deadline is not None), default=None)
