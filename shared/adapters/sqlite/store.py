"""The embedded store: SQLite in WAL mode for keys and logs, a spool folder for blobs.

All SQL runs in two threads, each with a connection of its own: one writes, one reads, and the event loop does
neither.  Several processes use the same file at once; SQLite's locks and ``PRAGMA data_version`` are all they share.
"""

from __future__ import annotations

import asyncio
import logging
import sqlite3
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Concatenate, Final

from shared.adapters.blob_files import BlobFiles
from shared.adapters.blob_reading import read_each
from shared.adapters.role import SystemClock
from shared.adapters.sqlite import tables
from shared.adapters.sqlite.shared_looks import SharedLooks
from shared.errors import StoreError
from shared.ports import Clock
from shared.types import LogEntry, Versioned

CALL_TIMEOUT: Final = 5.0  # seconds for one call: the busy timeout, and the calls queued before it
BLOB_TIMEOUT: Final = 120.0  # seconds for a blob's file: 2 GiB on a slow disk
STOP_TIMEOUT: Final = 3.0
POLL_SECONDS: Final = 0.05
SWEEP_SECONDS: Final = 30.0
_REPLACED_RETRIES: Final = 5

_logger = logging.getLogger(__name__)


class _Lane:
    """A thread with its own connection; calls run in it one after the other."""

    def __init__(self, path: Path, name: str) -> None:
        self._path = path
        self._executor = ThreadPoolExecutor(1, thread_name_prefix=f"sqlite-{name}")
        self._connection: sqlite3.Connection | None = None

    async def open(self) -> None:
        await _in_thread(self._executor, self._connect)

    async def call[**P, T](
        self, function: Callable[Concatenate[sqlite3.Connection, P], T], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """Run ``function(connection, …)`` in the thread.

        After a timeout or a cancellation the outcome is unknown: what has begun in the thread goes on.
        """

        def run() -> T:
            if self._connection is None:
                raise StoreError("the store is not open")
            return function(self._connection, *args, **kwargs)

        return await _in_thread(self._executor, run)

    async def close(self) -> None:
        try:
            await _in_thread(self._executor, self._disconnect, STOP_TIMEOUT)
        except StoreError as error:
            _logger.warning("the embedded store did not close: %s", error)
        self._executor.shutdown(wait=False)

    def _connect(self) -> None:
        if self._connection is None:
            self._connection = tables.connect(self._path)

    def _disconnect(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None


async def _in_thread[T](
    executor: ThreadPoolExecutor | None, function: Callable[[], T], timeout: float = CALL_TIMEOUT
) -> T:
    try:
        future = asyncio.get_running_loop().run_in_executor(executor, function)
    except RuntimeError as error:  # the executor is shut down
        raise StoreError("the store is closed") from error
    try:
        return await asyncio.wait_for(future, timeout)
    except TimeoutError as error:
        raise StoreError(f"the embedded store did not answer within {timeout} s") from error
    except (sqlite3.Error, OSError) as error:
        raise StoreError(f"the embedded store failed: {error}") from error


class SqliteStore:
    """``Store`` in the file ``path``, blobs in the folder ``spool``."""

    def __init__(self, path: Path, spool: Path, clock: Clock | None = None) -> None:
        self._clock = clock or SystemClock()
        self._writer = _Lane(path, "writer")
        self._reader = _Lane(path, "reader")
        self._looks = SharedLooks(partial(self._reader.call, tables.data_version), POLL_SECONDS)
        self._files = BlobFiles(spool)
        self._sweeper: asyncio.Task[None] | None = None
        self._stopped = False

    async def start(self) -> None:
        """Open both connections and begin to sweep what has expired; can be tried again where it failed."""
        await _in_thread(None, self._files.prepare)
        await self._writer.open()
        await self._reader.open()
        known = await self._reader.call(tables.blob_files)
        await _in_thread(None, lambda: self._files.remove_orphans(known, self._clock.wall()))
        self._sweeper = asyncio.get_running_loop().create_task(self._sweep_for_ever())

    async def stop(self) -> None:
        """Close; idempotent."""
        if self._stopped:
            return
        self._stopped = True
        if self._sweeper is not None:
            self._sweeper.cancel()
            await asyncio.gather(self._sweeper, return_exceptions=True)
        await self._looks.stop()
        await self._reader.close()
        await self._writer.close()

    async def get(self, key: str) -> Versioned | None:
        """See the port."""
        return await self._reader.call(tables.get, key, self._clock.wall())

    async def compare_and_set(
        self, key: str, expected: int | None, value: bytes, *, ttl: float | None = None
    ) -> int | None:
        """See the port."""
        now = self._clock.wall()
        return await self._writer.call(tables.compare_and_set, key, expected, value, _expiry(now, ttl), now)

    async def delete(self, key: str, expected: int | None = None) -> bool:
        """See the port."""
        return await self._writer.call(tables.delete, key, expected, self._clock.wall())

    async def put_blob(self, name: str, data: bytes, *, ttl: float | None = None) -> None:
        """See the port.  What has no TTL must survive a power cut; what expires is not worth an fsync."""
        file = await _in_thread(None, lambda: self._files.write(name, data, durable=ttl is None), BLOB_TIMEOUT)
        replaced = await self._writer.call(tables.put_blob, name, file, _expiry(self._clock.wall(), ttl))
        if replaced is not None:
            await _in_thread(None, lambda: self._files.remove([replaced]))

    async def get_blob(self, name: str) -> bytes | None:
        """See the port."""
        for _ in range(_REPLACED_RETRIES):
            file = await self._reader.call(tables.blob_file, name, self._clock.wall())
            if file is None:
                return None
            data = await _in_thread(None, lambda file=file: self._files.read(file), BLOB_TIMEOUT)  # type: ignore[misc]
            if data is not None:
                return data
        return None  # replaced faster than it can be read

    async def read_blobs(self, names: Sequence[str], largest: int, take: Callable[[int, memoryview], None]) -> bool:
        """See the port."""
        return await read_each(self.get_blob, names, largest, take)

    async def delete_blob(self, name: str) -> None:
        """See the port."""
        file = await self._writer.call(tables.delete_blob, name)
        if file is not None:
            await _in_thread(None, lambda: self._files.remove([file]))

    async def append(self, log: str, values: Sequence[bytes]) -> int:
        """See the port."""
        return await self._writer.call(tables.append, log, tuple(values))

    async def read(self, log: str, after: int, limit: int) -> tuple[LogEntry, ...]:
        """See the port."""
        return await self._reader.call(tables.read, log, after, limit)

    async def wait(self, log: str, after: int, timeout: float) -> bool:
        """See the port.  Polls: no commit of another process wakes anybody."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + timeout
        seen = await self._reader.call(tables.data_version)
        while await self.last_position(log) <= after:
            version = seen
            while version == seen:
                left = deadline - loop.time()
                if left <= 0:
                    return False
                if left < POLL_SECONDS:
                    await asyncio.sleep(left)
                    version = await self._reader.call(tables.data_version)
                else:
                    version = await self._looks.next()
            seen = version
        return True

    async def last_position(self, log: str) -> int:
        """See the port."""
        return await self._reader.call(tables.last_position, log)

    async def truncate(self, log: str, upto: int) -> None:
        """See the port."""
        await self._writer.call(tables.truncate, log, upto)

    async def sweep(self) -> None:
        """Remove what has expired; runs every ``SWEEP_SECONDS`` by itself."""
        files = await self._writer.call(tables.sweep, self._clock.wall())
        await _in_thread(None, lambda: self._files.remove(files))

    async def _sweep_for_ever(self) -> None:
        while True:
            try:
                await self.sweep()
            except StoreError as error:
                _logger.warning("expired entries stay until the next sweep: %s", error)
            await asyncio.sleep(SWEEP_SECONDS)


def _expiry(now: float, ttl: float | None) -> float | None:
    return None if ttl is None else now + ttl
