"""Commits behind the replies' back: one at a time, each with all that was done meanwhile.

A commit is a round trip that costs the worker and the broker as much as a reply.  What was answered and not yet
committed when a worker dies is answered again, and nobody waits for the second answer any more; so a tenth of a second
of answers is no loss, and thousands of round trips are saved.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Final

from shared.adapters.kafka.offsets import OffsetTracker
from shared.errors import BusError

COMMIT_SECONDS: Final = 0.1

Send = Callable[[Mapping[int, int]], Awaitable[None]]
"""Commits the positions of partitions; raises BusError within its bound."""


class Committer:
    """Commits the positions of ``offsets`` at most every ``seconds``, from the first ``wake`` to ``stop``."""

    def __init__(self, offsets: OffsetTracker[int], send: Send, *, seconds: float = COMMIT_SECONDS) -> None:
        self._offsets = offsets
        self._send = send
        self._seconds = seconds
        self._one = asyncio.Lock()
        self._error: BusError | None = None
        self._later: asyncio.Task[None] | None = None

    def wake(self) -> None:
        """Commit soon; never waits.  Raises the BusError that an earlier commit ended with, once."""
        if self._later is None or self._later.done():
            self._later = asyncio.get_running_loop().create_task(self._commit_later())
        error, self._error = self._error, None
        if error is not None:
            raise error

    async def flush(self) -> None:
        """Commit now what is done; what does not come through is tried again with the next."""
        async with self._one:
            positions = self._offsets.positions()
            if not positions:
                return
            try:
                await self._send(positions)
            except BusError as error:
                self._error = error
            else:
                self._offsets.committed(positions)

    async def stop(self) -> None:
        """Commit what is left; idempotent."""
        later, self._later = self._later, None
        if later is not None:
            later.cancel()
            await asyncio.gather(later, return_exceptions=True)
        await self.flush()

    async def _commit_later(self) -> None:
        # One pause at least, and again for what was done meanwhile; after a failure the next answer begins anew.
        while self._offsets.positions() and self._error is None:
            await asyncio.sleep(self._seconds)
            await self.flush()
