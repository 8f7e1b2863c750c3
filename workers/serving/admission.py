"""How many images are at work at once, by number and by bytes, and which of those that wait is next.

Decoders, encoder and search are kept busy by a few images; all others wait here, where priority and deadline count and
where they cost nothing: a claim check is fetched only when its image may begin.  Who cannot be done by its deadline is
refused while that is still early enough to say so, instead of being computed for nobody.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Final

from shared.errors import DecodeError, ErrorCode
from shared.ports import Clock
from shared.telemetry import Metrics
from shared.types import Priority
from workers.encoders.lanes import LaneQueue
from workers.encoders.running_average import RunningAverage

BYTES_AT_WORK: Final = 512 << 20
"""Of image files; each is held twice for a moment, sealed and open."""


@dataclass(frozen=True, slots=True, eq=False)
class _Waiter:
    size: int
    turn: asyncio.Future[None]


class Admission:
    """``places`` images at work, with ``size`` bytes of files in all; a larger file comes in alone."""

    def __init__(self, clock: Clock, metrics: Metrics, *, places: int, size: int = BYTES_AT_WORK) -> None:
        self._clock = clock
        self._metrics = metrics
        self._places = places
        self._size = size
        self._at_work = 0
        self._bytes = 0
        self._queue: LaneQueue[_Waiter] = LaneQueue()
        self._stay = RunningAverage()

    @asynccontextmanager
    async def turn(self, size: int, deadline: float, priority: Priority) -> AsyncIterator[None]:
        """Wait for a place for a file of ``size`` bytes; raises DecodeError(too_late) in time to be told."""
        await self._enter(size, deadline, priority)
        begun = self._clock.monotonic()
        try:
            yield
        finally:
            self._stay.add(self._clock.monotonic() - begun)
            self._leave(size)

    @property
    def at_work(self) -> int:
        """How many images are at work."""
        return self._at_work

    async def _enter(self, size: int, deadline: float, priority: Priority) -> None:
        now = self._clock.monotonic()
        if now >= deadline:
            raise _too_late()
        if not len(self._queue) and self._has_room(size):
            self._count(1, size)  # with nobody to give the time to, little time is better than none
            return
        waiter = _Waiter(size, asyncio.get_running_loop().create_future())
        self._queue.add(waiter, now, priority=priority, deadline=deadline)
        self._show_waiting()
        try:
            await asyncio.wait({waiter.turn}, timeout=max(0.0, deadline - self._stay.most - now))
        except asyncio.CancelledError:
            if waiter.turn.done():  # called, and gone
                self._leave(size)
            self._queue.discard(waiter)
            self._show_waiting()
            raise
        if not waiter.turn.done():
            self._queue.discard(waiter)
            self._show_waiting()
            raise _too_late()

    def _leave(self, size: int) -> None:
        self._count(-1, -size)
        self._call_next()

    def _call_next(self) -> None:
        while len(self._queue) and self._has_room(self._queue.first().size):
            waiter = self._queue.pop()
            self._show_waiting()
            self._count(1, waiter.size)
            waiter.turn.set_result(None)

    def _has_room(self, size: int) -> bool:
        return self._at_work == 0 or (self._at_work < self._places and self._bytes + size <= self._size)

    def _count(self, images: int, size: int) -> None:
        self._at_work += images
        self._bytes += size
        self._metrics.set("safelight_worker_images_at_work", self._at_work)
        self._metrics.set("safelight_worker_bytes_at_work", self._bytes)

    def _show_waiting(self) -> None:
        self._metrics.set("safelight_worker_images_waiting", len(self._queue))


def _too_late() -> DecodeError:
    return DecodeError(ErrorCode.TOO_LATE, "there is no time left for it")
