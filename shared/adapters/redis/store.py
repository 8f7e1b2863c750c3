"""The scale-out store: Redis >= 7.0 with an append-only file.

A command that is cancelled half-way would leave its answer on the connection for the next caller (redis-py issue
2665).  So no command is ever cancelled: each runs in a task of its own, bounded by socket timeouts, and a caller that
is cancelled or out of time leaves it to end by itself.  Only the blocking read of ``wait`` is cancelled, on a
connection of its own that is dropped then.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
import threading
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Sequence
from itertools import batched
from typing import Any, Final, cast

from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError, ResponseError

from shared.adapters.blob_reading import AT_ONCE, all_of, check_size, read_each
from shared.adapters.redis import scripts
from shared.adapters.redis.bulk import BulkReader
from shared.errors import ConfigError, StoreError
from shared.types import LogEntry, Versioned

CALL_TIMEOUT: Final = 2.0
"""Seconds within which every command has an answer or is a StoreError."""
SOCKET_TIMEOUT: Final = 1.5
CONNECT_TIMEOUT: Final = 1.0
CONNECTIONS: Final = 16
WAITERS: Final = 64
BLOCK_SECONDS: Final = 1.0  # one blocking read; a server that has gone is noticed this often
CHUNK_BYTES: Final = 512 << 10
CHUNKS_AT_ONCE: Final = 8
READ_AT_ONCE: Final = 2
"""Chunks that are asked for at once: Redis lays an answer out before it sends it, and 8 took it a quarter longer."""
UPLOAD_SECONDS: Final = 3600.0  # chunks of an upload that never ended
REPLACED_SECONDS: Final = 60.0  # old chunks, for who is reading them
STOP_TIMEOUT: Final = 2.0
MINIMUM_VERSION: Final = (7, 0)
PREFIX: Final = "safelight:"
_REPLACED_RETRIES: Final = 5
_MANIFEST_FIELDS: Final = ["generation", "chunks", "size"]

_logger = logging.getLogger(__name__)


class RedisStore:
    """``Store`` in the Redis at ``url``; every key begins with ``safelight:``."""

    def __init__(self, url: str) -> None:
        self._client = _client(url, CONNECTIONS, SOCKET_TIMEOUT)
        self._waiting = _client(url, WAITERS, BLOCK_SECONDS + SOCKET_TIMEOUT)
        self._bulk = BulkReader(url, SOCKET_TIMEOUT)
        self._running: set[asyncio.Task[Any]] = set()
        self._stopped = False

    async def start(self) -> None:
        """Check the server; raises StoreError where it cannot be reached, ConfigError where it is too old."""
        await self._check_version()
        await self._check_durability()

    async def stop(self) -> None:
        """Let commands under way end, then close; idempotent."""
        if self._stopped:
            return
        self._stopped = True
        if self._running:
            await asyncio.wait(self._running, timeout=STOP_TIMEOUT)
        await self._client.aclose()
        await self._waiting.aclose()
        self._bulk.close()

    async def get(self, key: str) -> Versioned | None:
        """See the port."""
        value, version = await self._call(self._client.eval(scripts.GET, 1, _key(key)))
        return None if value is None else Versioned(value=value, version=int(version))

    async def compare_and_set(
        self, key: str, expected: int | None, value: bytes, *, ttl: float | None = None
    ) -> int | None:
        """See the port."""
        wanted = "" if expected is None else str(expected)
        arguments = (wanted, value, _milliseconds(ttl), str(scripts.TOMBSTONE_MS))
        version = await self._call(self._client.eval(scripts.COMPARE_AND_SET, 1, _key(key), *arguments))
        return None if version is None else int(version)

    async def delete(self, key: str, expected: int | None = None) -> bool:
        """See the port."""
        wanted = "" if expected is None else str(expected)
        return bool(
            await self._call(self._client.eval(scripts.DELETE, 1, _key(key), wanted, str(scripts.TOMBSTONE_MS)))
        )

    async def put_blob(self, name: str, data: bytes, *, ttl: float | None = None) -> None:
        """See the port: chunks first, then the manifest that makes them visible."""
        generation = secrets.token_hex(8)
        life = round(max(UPLOAD_SECONDS, ttl or 0) * 1000)
        chunks = -(-len(data) // CHUNK_BYTES)
        view = memoryview(data)
        for numbers in batched(range(chunks), CHUNKS_AT_ONCE):
            # Together: one round trip, and one fsync of the append-only file where Redis makes one for each reply.
            together: Any = self._client.pipeline(transaction=False)
            for number in numbers:
                chunk = view[number * CHUNK_BYTES : (number + 1) * CHUNK_BYTES]
                together.set(_chunk(name, generation, number), chunk, px=life)
            await self._call(together.execute())
        arguments = (_chunks(name), generation, chunks, len(data), _milliseconds(ttl), _milliseconds(REPLACED_SECONDS))
        await self._call(self._client.eval(scripts.PUT_MANIFEST, 1, _manifest(name), *map(str, arguments)))

    async def get_blob(self, name: str) -> bytes | None:
        """See the port; begins again where the blob is replaced faster than it is read."""
        for _ in range(_REPLACED_RETRIES):
            found = await self._manifest(name)
            if found is None:
                return None
            generation, chunks, size = found
            data = await self._read_chunks(name, generation, chunks)
            if data is not None and len(data) == size:
                return data
        return None

    async def read_blobs(self, names: Sequence[str], largest: int, take: Callable[[int, memoryview], None]) -> bool:
        """See the port; over sockets of their own, each in one thread to the end: no blob waits for the event loop."""
        if self._stopped:
            raise StoreError("the store is closed")
        if not self._bulk.usable:
            return await read_each(self.get_blob, names, largest, take)
        ended = threading.Event()
        turns = [range(first, len(names), AT_ONCE) for first in range(min(AT_ONCE, len(names)))]
        try:
            return all(
                await all_of(asyncio.to_thread(self._read_some, names, turn, largest, take, ended) for turn in turns)
            )
        finally:
            ended.set()  # where one failed, or the caller has gone, the others leave after their blob

    async def _manifest(self, name: str) -> tuple[str, int, int] | None:
        """Return a blob's generation, number of chunks, and size."""
        fields = self._client.hmget(_manifest(name), _MANIFEST_FIELDS)
        return _read_manifest(cast("list[bytes | None]", await self._call(fields)))

    async def delete_blob(self, name: str) -> None:
        """See the port."""
        await self._call(self._client.eval(scripts.DELETE_BLOB, 1, _manifest(name), _chunks(name)))

    async def append(self, log: str, values: Sequence[bytes]) -> int:
        """See the port."""
        return int(await self._call(self._client.eval(scripts.APPEND, 2, _log(log), _counter(log), *values)))

    async def read(self, log: str, after: int, limit: int) -> tuple[LogEntry, ...]:
        """See the port."""
        entries: Any = await self._call(self._client.xrange(_log(log), min=f"({after}-0", count=limit))
        return tuple(
            LogEntry(position=int(number.partition(b"-")[0]), value=fields[b"v"]) for number, fields in entries
        )

    async def wait(self, log: str, after: int, timeout: float) -> bool:
        """See the port."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + timeout
        while await self.last_position(log) <= after:
            left = deadline - loop.time()
            if left <= 0:
                return False
            if await self._block(log, after, min(left, BLOCK_SECONDS)):
                return True
        return True

    async def last_position(self, log: str) -> int:
        """See the port."""
        return int(await self._call(self._client.get(_counter(log))) or 0)

    async def truncate(self, log: str, upto: int) -> None:
        """See the port."""
        await self._call(self._client.xtrim(_log(log), minid=f"{upto + 1}-0", approximate=False))

    async def _read_chunks(self, name: str, generation: str, chunks: int) -> bytes | None:
        parts: list[bytes] = []
        for numbers in batched(range(chunks), CHUNKS_AT_ONCE):
            values = await self._call(self._client.mget([_chunk(name, generation, number) for number in numbers]))
            if None in values:
                return None
            parts += [value for value in values if isinstance(value, bytes)]
        return b"".join(parts)

    def _read_some(
        self,
        names: Sequence[str],
        turn: Iterable[int],
        largest: int,
        take: Callable[[int, memoryview], None],
        ended: threading.Event,
    ) -> bool:
        """Read and hand over some of these blobs; False where one is not there, or all is over."""
        memory = memoryview(bytearray(largest))
        for place in turn:
            if ended.is_set():
                return False
            size = self._read_whole(names[place], memory)
            if size is None:
                ended.set()
                return False
            take(place, memory[:size])
        return True

    def _read_whole(self, name: str, memory: memoryview) -> int | None:
        """Read a blob, in a thread; begins again as ``get_blob`` does."""
        for _ in range(_REPLACED_RETRIES):
            found = _read_manifest(self._bulk.fields(_manifest(name), _MANIFEST_FIELDS))
            if found is None:
                return None
            generation, chunks, size = found
            check_size(name, size, len(memory))
            if self._read_into([_chunk(name, generation, number) for number in range(chunks)], memory[:size]):
                return size
        return None

    def _read_into(self, keys: Sequence[str], out: memoryview) -> bool:
        """Fill ``out`` with these values, in a thread; False where one is gone."""
        place = 0
        for some in batched(keys, READ_AT_ONCE):
            read = self._bulk.read(some, out[place:])
            if read is None:
                return False
            place += read
        return place == len(out)

    async def _block(self, log: str, after: int, seconds: float) -> bool:
        """Wait for an entry on a connection of its own; redis-py drops it where the wait is cancelled."""
        milliseconds = max(1, round(seconds * 1000))
        read = self._waiting.xread({_log(log): f"{after}-0"}, count=1, block=milliseconds)
        try:
            return bool(await asyncio.wait_for(read, seconds + CALL_TIMEOUT))
        except (RedisError, OSError, TimeoutError) as error:
            raise StoreError(f"Redis: {str(error) or type(error).__name__}") from error

    async def _call[T](self, command: Awaitable[T]) -> T:
        """Return the command's answer; raises StoreError within ``CALL_TIMEOUT``."""
        if self._stopped:
            _discard(command)
            raise StoreError("the store is closed")
        task = asyncio.get_running_loop().create_task(_run(command))
        self._running.add(task)
        task.add_done_callback(self._ended)
        try:
            return await asyncio.wait_for(asyncio.shield(task), CALL_TIMEOUT)
        except TimeoutError as error:
            raise StoreError(f"Redis did not answer within {CALL_TIMEOUT} s") from error
        except (RedisError, OSError) as error:
            raise StoreError(f"Redis: {str(error) or type(error).__name__}") from error

    def _ended(self, task: asyncio.Task[Any]) -> None:
        self._running.discard(task)
        if not task.cancelled():
            task.exception()  # seen: its caller may have gone

    async def _check_version(self) -> None:
        try:
            info = await self._call(self._client.info("server"))
        except StoreError as error:
            if not isinstance(error.__cause__, ResponseError):
                raise
            _logger.warning("Redis's version could not be checked (%s); it must be >= 7.0", error)
            return
        version = str(info["redis_version"])
        if tuple(int(part) for part in version.split(".")[:2]) < MINIMUM_VERSION:
            raise ConfigError(f"store: this Redis is {version}; >= 7.0 is needed")

    async def _check_durability(self) -> None:
        try:
            answer = await self._call(self._client.config_get("appendonly"))
        except StoreError as error:
            if not isinstance(error.__cause__, ResponseError):
                raise
            _logger.warning(
                "it could not be checked whether Redis keeps an append-only file (%s): without one, image sets,"
                " policies and alerts are lost when it restarts",
                error,
            )
            return
        if "yes" not in {_text(value) for value in answer.values()}:
            _logger.warning(
                "REDIS KEEPS NO APPEND-ONLY FILE: image sets, policies and alerts are lost when it restarts;"
                " set `appendonly yes` in redis.conf"
            )


def _client(url: str, connections: int, timeout: float) -> Redis:
    try:
        pool = BlockingConnectionPool.from_url(
            url,
            max_connections=connections,
            timeout=CALL_TIMEOUT,
            socket_timeout=timeout,
            socket_connect_timeout=CONNECT_TIMEOUT,
            # A command whose answer was lost may have been done: appending it again would double it.
            retry=Retry(NoBackoff(), 0),
            protocol=2,
        )
    except ValueError as error:
        raise ConfigError(f"store: {url} is no address of a Redis: {error}") from error
    return Redis.from_pool(pool)


async def _run[T](command: Awaitable[T]) -> T:
    return await command


def _discard(command: Awaitable[Any]) -> None:
    if isinstance(command, Coroutine):
        command.close()


def _text(value: object) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)


def _milliseconds(seconds: float | None) -> str:
    return "" if seconds is None else str(max(1, round(seconds * 1000)))


def _key(key: str) -> str:
    return f"{PREFIX}key:{key}"


def _log(log: str) -> str:
    return f"{PREFIX}log:{log}"


def _counter(log: str) -> str:
    return f"{PREFIX}last:{log}"


def _manifest(name: str) -> str:
    return f"{PREFIX}blob:{name}"


def _read_manifest(fields: Sequence[bytes | None]) -> tuple[str, int, int] | None:
    generation, chunks, size = fields
    if generation is None or chunks is None or size is None:
        return None
    return generation.decode(), int(chunks), int(size)


def _chunks(name: str) -> str:
    return f"{PREFIX}chunk:{name}:"


def _chunk(name: str, generation: str, number: int) -> str:
    return f"{_chunks(name)}{generation}:{number}"
