"""Transfers that are judged after they have passed: all that applies to them is in monitor mode."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine
from typing import Any, Final

BACKGROUND_TRANSFERS: Final = 64
BACKGROUND_BYTES: Final = 256 << 20

_log = logging.getLogger(__name__)


class BodyCopy:
    """Keeps a streamed body as it goes by, up to ``limit`` bytes; past it nothing is kept."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._chunks: list[bytes] = []
        self._size = 0

    @property
    def is_whole(self) -> bool:
        """Whether all that went by is kept."""
        return self._size <= self._limit

    def feed(self, chunk: bytes) -> bytes:
        """Return ``chunk``, unchanged."""
        self._size += len(chunk)
        if self.is_whole:
            self._chunks.append(chunk)
        else:
            self._chunks.clear()
        return chunk

    def body(self) -> bytes:
        """Return what went by."""
        return b"".join(self._chunks)


class Background:
    """A bounded number of tasks over a bounded number of bytes."""

    def __init__(self, *, transfers: int = BACKGROUND_TRANSFERS, size: int = BACKGROUND_BYTES) -> None:
        self._transfers = transfers
        self._bytes_left = size
        self._tasks: set[asyncio.Task[None]] = set()

    def has_room(self, size: int) -> bool:
        """Tell whether a body of ``size`` bytes can be taken."""
        return len(self._tasks) < self._transfers and size <= self._bytes_left

    def start(self, work: Coroutine[Any, Any, None], size: int) -> None:
        """Run ``work``, which keeps ``size`` bytes alive."""
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        self._bytes_left -= size

        def done(task: asyncio.Task[None]) -> None:
            self._tasks.discard(task)
            self._bytes_left += size
            if not task.cancelled() and (error := task.exception()) is not None:
                _log.error("judging a transfer that had passed failed", exc_info=error)

        task.add_done_callback(done)

    async def finish(self, timeout: float) -> None:
        """Wait for what runs; what has not ended after ``timeout`` seconds is cancelled."""
        if not self._tasks:
            return
        _, late = await asyncio.wait(self._tasks, timeout=timeout)
        for task in late:
            task.cancel()
