"""One tenant's part of a store that several share: every name it gives begins with its own prefix.

Here and not in the adapters, so that a store that is written later cannot forget it.  A prefix begins with ``@``,
which no name of a deployment without a tenant does, and ends with ``/``, which no tenant's name holds: no tenant's
names are ever another's.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from shared.ports import Store
from shared.types import LogEntry, Versioned


class TenantStore:
    """``Store`` for the names of ``tenant`` in ``shared``, which belongs to this one: started and stopped with it."""

    def __init__(self, shared: Store, tenant: str) -> None:
        self._shared = shared
        self._prefix = f"@{tenant}/"

    async def start(self) -> None:
        """See the port."""
        await self._shared.start()

    async def get(self, key: str) -> Versioned | None:
        """See the port."""
        return await self._shared.get(self._prefix + key)

    async def compare_and_set(
        self, key: str, expected: int | None, value: bytes, *, ttl: float | None = None
    ) -> int | None:
        """See the port."""
        return await self._shared.compare_and_set(self._prefix + key, expected, value, ttl=ttl)

    async def delete(self, key: str, expected: int | None = None) -> bool:
        """See the port."""
        return await self._shared.delete(self._prefix + key, expected)

    async def put_blob(self, name: str, data: bytes, *, ttl: float | None = None) -> None:
        """See the port."""
        await self._shared.put_blob(self._prefix + name, data, ttl=ttl)

    async def get_blob(self, name: str) -> bytes | None:
        """See the port."""
        return await self._shared.get_blob(self._prefix + name)

    async def read_blobs(self, names: Sequence[str], largest: int, take: Callable[[int, memoryview], None]) -> bool:
        """See the port."""
        return await self._shared.read_blobs([self._prefix + name for name in names], largest, take)

    async def delete_blob(self, name: str) -> None:
        """See the port."""
        await self._shared.delete_blob(self._prefix + name)

    async def append(self, log: str, values: Sequence[bytes]) -> int:
        """See the port."""
        return await self._shared.append(self._prefix + log, values)

    async def read(self, log: str, after: int, limit: int) -> tuple[LogEntry, ...]:
        """See the port."""
        return await self._shared.read(self._prefix + log, after, limit)

    async def wait(self, log: str, after: int, timeout: float) -> bool:
        """See the port."""
        return await self._shared.wait(self._prefix + log, after, timeout)

    async def last_position(self, log: str) -> int:
        """See the port."""
        return await self._shared.last_position(self._prefix + log)

    async def truncate(self, log: str, upto: int) -> None:
        """See the port."""
        await self._shared.truncate(self._prefix + log, upto)

    async def stop(self) -> None:
        """See the port."""
        await self._shared.stop()
