"""A bounded queue between a task that receives and an iterator that is read, which can be closed."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator


class Inbox[T]:
    """Holds at most ``limit`` items; the oldest is dropped for a new one, for it has waited longest already."""

    def __init__(self, limit: int) -> None:
        self._items: deque[T] = deque(maxlen=limit)
        self._changed = asyncio.Event()
        self._closed = False

    @property
    def closed(self) -> bool:
        """Tell whether nothing more will come."""
        return self._closed

    def put(self, item: T) -> None:
        """Add an item; never waits."""
        self._items.append(item)
        self._changed.set()

    def close(self) -> None:
        """End the iteration once what is left has been read."""
        self._closed = True
        self._changed.set()

    def take(self, limit: int) -> tuple[T, ...]:
        """Remove and return at most ``limit`` items without waiting."""
        return tuple(self._items.popleft() for _ in range(min(limit, len(self._items))))

    def clear(self) -> None:
        """Forget every item."""
        self._items.clear()

    async def wait(self, timeout: float | None = None) -> bool:
        """Wait until there is an item or the inbox is closed; return False after ``timeout`` seconds."""
        if self._items or self._closed:
            return True
        self._changed.clear()
        try:
            await asyncio.wait_for(self._changed.wait(), timeout)
        except TimeoutError:
            return False
        return True

    async def __aiter__(self) -> AsyncIterator[T]:
        """Yield items until closed."""
        while True:
            for item in self.take(1):
                yield item
            if not self._items:
                if self._closed:
                    return
                await self.wait()
