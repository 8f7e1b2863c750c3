"""The hub's requests: queued, handed out, given back when a worker dies, forgotten when committed or too old.

Pure: the time is handed in.  Numbers grow with arrival, so "front of the queue" is "lowest number".
"""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from shared.types import BusMessage

QUEUE_MESSAGES: Final = 4096
QUEUE_BYTES: Final = 256 << 20
RETENTION_SECONDS: Final = 60.0  # as the Kafka topics; nobody waits that long for a verdict


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What the hub holds at most, handed out or not."""

    messages: int = QUEUE_MESSAGES
    bytes: int = QUEUE_BYTES
    retention: float = RETENTION_SECONDS


@dataclass(frozen=True, slots=True)
class _Held:
    message: BusMessage
    size: int
    expires: float


class RequestQueue:
    """At least once: a request leaves when it is committed or older than the retention, not before."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._held: dict[int, _Held] = {}  # in order of arrival
        self._new: deque[int] = deque()
        self._returned: list[int] = []  # a heap
        self._owned: dict[int, dict[int, None]] = {}  # worker -> its uncommitted requests
        self._bytes = 0
        self._last = 0

    def __len__(self) -> int:
        return len(self._held)

    def add(self, message: BusMessage, now: float) -> str:
        """Queue a request; return why it was refused, or an empty string."""
        self._expire(now)
        size = len(message.key) + len(message.value)
        if len(self._held) >= self._limits.messages or self._bytes + size > self._limits.bytes:
            return f"the bus is full: {len(self._held)} requests, {self._bytes} bytes wait for a worker"
        self._last += 1
        self._held[self._last] = _Held(message, size, now + self._limits.retention)
        self._bytes += size
        self._new.append(self._last)
        return ""

    def take(self, worker: int, limit: int, now: float) -> tuple[tuple[int, BusMessage], ...]:
        """Hand at most ``limit`` requests to ``worker``, oldest first."""
        self._expire(now)
        owned = self._owned.setdefault(worker, {})
        taken: list[tuple[int, BusMessage]] = []
        while len(taken) < limit and (number := self._next()) is not None:
            if number in self._held:
                owned[number] = None
                taken.append((number, self._held[number].message))
        return tuple(taken)

    def commit(self, worker: int, numbers: Iterable[int]) -> None:
        """Forget requests that ``worker`` holds; others are none of its business."""
        owned = self._owned.get(worker, {})
        for number in numbers:
            if number in owned:
                del owned[number]
                self._forget(number)

    def give_back(self, worker: int) -> None:
        """Queue again, at the front, what ``worker`` did not commit."""
        for number in self._owned.pop(worker, {}):
            heapq.heappush(self._returned, number)

    def _next(self) -> int | None:
        if self._returned:
            return heapq.heappop(self._returned)
        return self._new.popleft() if self._new else None

    def _expire(self, now: float) -> None:
        while self._held:
            number = next(iter(self._held))
            if self._held[number].expires > now:
                return
            self._forget(number)

    def _forget(self, number: int) -> None:
        held = self._held.pop(number, None)
        if held is not None:
            self._bytes -= held.size
        if self._new and self._new[0] == number:
            self._new.popleft()
