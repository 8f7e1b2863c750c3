"""A ``Store`` in memory: the port's semantics without a file, for tests of what is built on it.

It is shared by everyone who holds it, like a server; ``down`` makes every call raise.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

from shared.adapters.blob_reading import read_each
from shared.errors import StoreError
from shared.types import LogEntry, Versioned


class MemoryStore:
    """Keys, blobs and logs; TTLs are taken and never run out."""

    def __init__(self) -> None:
        self.down = False
        self.keys: dict[str, Versioned] = {}
        self.blobs: dict[str, bytes] = {}
        self.logs: dict[str, list[LogEntry]] = {}
        self._versions: dict[str, int] = {}
        self.lasts: dict[str, int] = {}
        self._appended = asyncio.Condition()

    def lose_logs(self) -> None:
        """Forget every log, positions included, as a server does that comes back from an old backup."""
        self.logs.clear()
        self.lasts.clear()

    def _check(self) -> None:
        if self.down:
            raise StoreError("the store is down")

    async def start(self) -> None:
        self._check()

    async def stop(self) -> None:
        return

    async def get(self, key: str) -> Versioned | None:
        self._check()
        return self.keys.get(key)

    async def compare_and_set(
        self, key: str, expected: int | None, value: bytes, *, ttl: float | None = None
    ) -> int | None:
        self._check()
        held = self.keys.get(key)
        if (held.version if held else None) != expected:
            return None
        version = self._versions.get(key, 0) + 1  # also after a delete: a version never comes back
        self._versions[key] = version
        self.keys[key] = Versioned(value=value, version=version)
        return version

    async def delete(self, key: str, expected: int | None = None) -> bool:
        self._check()
        held = self.keys.get(key)
        if held is None or (expected is not None and held.version != expected):
            return False
        del self.keys[key]
        return True

    async def put_blob(self, name: str, data: bytes, *, ttl: float | None = None) -> None:
        self._check()
        self.blobs[name] = data

    async def get_blob(self, name: str) -> bytes | None:
        self._check()
        return self.blobs.get(name)

    async def read_blobs(self, names: Sequence[str], largest: int, take: Callable[[int, memoryview], None]) -> bool:
        return await read_each(self.get_blob, names, largest, take)

    async def delete_blob(self, name: str) -> None:
        self._check()
        self.blobs.pop(name, None)

    async def append(self, log: str, values: Sequence[bytes]) -> int:
        self._check()
        for value in values:
            position = self.lasts.get(log, 0) + 1
            self.logs.setdefault(log, []).append(LogEntry(position=position, value=value))
            self.lasts[log] = position
        async with self._appended:
            self._appended.notify_all()
        return self.lasts.get(log, 0)

    async def read(self, log: str, after: int, limit: int) -> tuple[LogEntry, ...]:
        self._check()
        return tuple(entry for entry in self.logs.get(log, []) if entry.position > after)[:limit]

    async def wait(self, log: str, after: int, timeout: float) -> bool:
        self._check()
        try:
            async with asyncio.timeout(timeout), self._appended:
                await self._appended.wait_for(lambda: self.lasts.get(log, 0) > after)
        except TimeoutError:
            return False
        return True

    async def last_position(self, log: str) -> int:
        self._check()
        return self.lasts.get(log, 0)

    async def truncate(self, log: str, upto: int) -> None:
        self._check()
        self.logs[log] = [entry for entry in self.logs.get(log, []) if entry.position > upto]
