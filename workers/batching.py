"""Which images the encoder runs together, decided without waiting for anything: the time is handed in.

A batch forms while the one before it runs, so under load it fills by itself, and an idle encoder never waits for
company longer than ``wait``, nor longer than the most urgent item can afford.  An item whose deadline has passed is
handed back as late, never computed.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Due[T]:
    """What to run now, oldest first, and what to refuse."""

    batch: tuple[T, ...] = ()
    late: tuple[T, ...] = ()


@dataclass(frozen=True, slots=True)
class _Waiting[T]:
    item: T
    since: float
    deadline: float | None


class MicroBatcher[T]:
    """``limit`` items a batch at most; ``wait`` seconds that the oldest is held back for others to join.

    ``reserve`` seconds before an item's deadline the wait is over: what the run itself will take.
    """

    def __init__(self, *, limit: int, wait: float = 0.0, reserve: float = 0.0) -> None:
        if limit < 1 or min(wait, reserve) < 0:
            raise ValueError("limit must be at least 1, wait and reserve not negative")
        self._limit = limit
        self._wait = wait
        self._reserve = reserve
        self._queue: deque[_Waiting[T]] = deque()

    def __len__(self) -> int:
        return len(self._queue)

    def add(self, item: T, now: float, deadline: float | None = None) -> None:
        """Queue an item that came at ``now`` and is worthless after ``deadline``."""
        self._queue.append(_Waiting(item, now, deadline))

    @property
    def deadline(self) -> float | None:
        """When ``due`` has something to say, or None while nothing waits.

        A full batch is due at once.
        """
        if not self._queue:
            return None
        oldest = self._queue[0].since
        if len(self._queue) >= self._limit:
            return oldest
        latest = (each.deadline - self._reserve for each in self._queue if each.deadline is not None)
        return min((oldest + self._wait, *latest))

    def due(self, now: float) -> Due[T]:
        """Take what is due at ``now``: late items, and a batch where it is full or the wait is over."""
        late = tuple(each.item for each in self._queue if _is_late(each, now))
        opens = self.deadline
        if late:
            self._queue = deque(each for each in self._queue if not _is_late(each, now))
        if opens is None or now < opens:
            return Due(late=late)
        size = min(self._limit, len(self._queue))
        return Due(batch=tuple(self._queue.popleft().item for _ in range(size)), late=late)


def _is_late[T](waiting: _Waiting[T], now: float) -> bool:
    return waiting.deadline is not None and now >= waiting.deadline
