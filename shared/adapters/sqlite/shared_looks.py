"""One look at something now and then for all who wait for it to change, none while nobody does.

A look at the embedded store takes a way to a thread and back, 20 times a second.  Where each log that is followed had
its own, a worker with nothing to do took 19 ms of a core a second, and 14 since.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from shared.errors import StoreError


class SharedLooks:
    """Calls ``look`` every ``pause`` seconds while somebody waits."""

    def __init__(self, look: Callable[[], Awaitable[int]], pause: float) -> None:
        self._look = look
        self._pause = pause
        self._next: asyncio.Task[int] | None = None

    async def next(self) -> int:
        """Return what the next look sees, within ``pause`` and a look; raises as it does, StoreError once stopped."""
        if self._next is None or self._next.done():
            self._next = asyncio.get_running_loop().create_task(self._after_a_pause())
            self._next.add_done_callback(_retrieved)
        look = self._next
        await asyncio.wait({look})  # who gives up does not end it for the others
        if look.cancelled():
            raise StoreError("the store is closed")
        return look.result()

    async def stop(self) -> None:
        """Look no more; idempotent."""
        if self._next is not None:
            self._next.cancel()
            await asyncio.wait({self._next})

    async def _after_a_pause(self) -> int:
        await asyncio.sleep(self._pause)
        return await self._look()


def _retrieved(look: asyncio.Task[int]) -> None:
    if not look.cancelled():
        look.exception()  # where nobody waits any longer, nobody has to hear of it
