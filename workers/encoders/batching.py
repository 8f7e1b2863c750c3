"""Which images the encoder runs together, decided without waiting for anything: the time is handed in.

A batch forms while the one before it runs, so under load it fills by itself, and an idle encoder never waits for
company longer than ``wait``, nor longer than the most urgent item can afford.  An item that cannot be computed by its
deadline is handed back as late, never computed.

``sizes`` are those of the runs.  On a CPU a run of f1-128-v2 costs 2.0 ms an image alone, 1.8 in twos, 1.7 in fours and
eights, but three padded to four 2.3 and five padded to eight 2.7: so the largest size that is full is taken, and the
rest goes with the next run.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from shared.types import Priority
from workers.encoders.lanes import LaneQueue


@dataclass(frozen=True, slots=True, kw_only=True)
class Due[T]:
    """What to run now, the first first, and what to refuse."""

    batch: tuple[T, ...] = ()
    late: tuple[T, ...] = ()


class MicroBatcher[T]:
    """``sizes`` a batch may have, 1 among them; ``wait`` seconds that the oldest is held back for others to join.

    ``reserve`` is how many seconds a run takes as far as is known: change it as that becomes better known.  The wait
    ends two of them before the deadline, one for the run and one for being woken late.
    """

    def __init__(self, *, sizes: Sequence[int], wait: float = 0.0, reserve: float = 0.0) -> None:
        if min(sizes, default=0) != 1 or min(wait, reserve) < 0:
            raise ValueError("the smallest size must be 1, wait and reserve not negative")
        self._sizes = tuple(sorted(sizes))
        self._wait = wait
        self.reserve = reserve
        self._queue: LaneQueue[T] = LaneQueue()

    def __len__(self) -> int:
        return len(self._queue)

    @property
    def limit(self) -> int:
        """The largest size."""
        return self._sizes[-1]

    def add(self, item: T, now: float, deadline: float | None = None, priority: Priority = Priority.UPLOAD) -> None:
        """Queue an item that came at ``now`` and is worthless after ``deadline``."""
        self._queue.add(item, now, priority=priority, deadline=deadline)

    @property
    def deadline(self) -> float | None:
        """When ``due`` has something to say, or None while nothing waits.

        A full batch is due at once.
        """
        oldest, urgent = self._queue.oldest, self._queue.most_urgent
        if oldest is None or len(self._queue) >= self.limit:
            return oldest
        return oldest + self._wait if urgent is None else min(oldest + self._wait, urgent - 2 * self.reserve)

    def due(self, now: float) -> Due[T]:
        """Take what is due at ``now``: late items, and a batch where it is full or the wait is over."""
        late = self._queue.take_late(now, self.reserve)
        opens = self.deadline
        if opens is None or now < opens:
            return Due(late=late)
        size = max(size for size in self._sizes if size <= len(self._queue))
        return Due(batch=tuple(self._queue.pop() for _ in range(size)), late=late)
