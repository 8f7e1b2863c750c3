from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace

import pytest

from proxy_addon.uploads.session import Session
from proxy_addon.uploads.spool import OFF_LOOP_BYTES, Spool
from shared.errors import ErrorCode, ExtractionError, StoreError
from shared.extract.reassembly import Piece, SpoolLimits
from shared.sealing import Sealer
from shared.telemetry import Metrics
from tests.memory_store import MemoryStore

KEY = "//up.example/1?sig=secret"
LIFETIME = 60.0


@dataclass
class Clock:
    now: float = 0.0

    def monotonic(self) -> float:
        return self.now

    def wall(self) -> float:
        return self.now


class Proxy:
    """One proxy's spool over a store that several may share."""

    def __init__(self, store: MemoryStore, secret: bytes = bytes(32), max_bytes: int = 1 << 20) -> None:
        self.clock, self.metrics = Clock(), Metrics()
        limits = SpoolLimits(max_bytes=1 << 20)
        self.spool = Spool(
            store, Sealer(secret), self.clock, self.metrics, limits, max_bytes=max_bytes, seconds=LIFETIME
        )

    async def put(self, key: str, *bodies: bytes) -> Session:
        """Add parts one after the other."""
        session = await self.spool.open(key)
        for body in bodies:
            offset = sum(piece.size for piece in session.parts.pieces)
            session = await self.add(session, body, offset)
        return session

    async def add(self, session: Session, body: bytes, offset: int) -> Session:
        piece = await self.spool.keep(session, body, offset=offset, number="")
        return await self.spool.change(session, lambda known: known.with_piece(piece, None, self.spool.limits))

    async def read(self, pieces: Sequence[Piece]) -> list[bytes]:
        return list((await self.spool.load(pieces)).values())

    @property
    def held(self) -> float:
        return self.metrics.value("safelight_proxy_upload_spool_bytes")


async def test_another_proxy_reads_what_one_has_written() -> None:
    store = MemoryStore()
    await Proxy(store).put(KEY, b"abc", bytes(OFF_LOOP_BYTES + 1))
    other = Proxy(store)
    session = await other.spool.open(KEY)
    assert await other.read(session.parts.pieces) == [b"abc", bytes(OFF_LOOP_BYTES + 1)]
    assert session.parts.pieces[0].sha256 == hashlib.sha256(b"abc").hexdigest()
    assert await other.spool.find("//up.example/2") is None


async def test_neither_bytes_nor_addresses_can_be_read_in_the_store() -> None:
    store = MemoryStore()
    await Proxy(store).put(KEY, b"picture")
    everything = repr((store.keys, store.blobs))
    assert "secret" not in everything
    assert "picture" not in everything
    with pytest.raises(StoreError, match="cannot be opened"):
        await Proxy(store, secret=bytes([1]) * 32).spool.find(KEY)


async def test_a_part_that_was_changed_in_the_store_is_not_read() -> None:
    store = MemoryStore()
    proxy = Proxy(store)
    session = await proxy.put(KEY, bytes(2 * OFF_LOOP_BYTES))
    ((name, sealed),) = store.blobs.items()
    half = len(sealed) // 2
    for changed in (sealed[half:] + sealed[:half], sealed[:half], sealed + sealed[:half], sealed[:5]):
        store.blobs[name] = changed
        with pytest.raises(StoreError, match="cannot be opened"):
            await proxy.read(session.parts.pieces)


async def test_an_upload_has_several_names() -> None:
    proxy = Proxy(MemoryStore())
    session = await proxy.put(KEY, b"abc")
    await proxy.spool.alias([KEY, "slack F7"], session)
    assert await proxy.spool.find("slack F7") == session
    again = await proxy.put("slack F7", b"de")
    assert [piece.size for piece in again.parts.pieces] == [3, 2]
    await proxy.spool.drop(again)
    assert (await proxy.spool.find("slack F7"), proxy.held) == (None, 0)


async def test_proxies_that_write_at_once_lose_nothing() -> None:
    store = MemoryStore()
    proxies = [Proxy(store) for _ in range(4)]
    session = await proxies[0].spool.open(KEY)
    await asyncio.gather(*(proxies[at % 4].add(session, bytes([at]), at) for at in range(40)))
    found = await proxies[0].spool.open(KEY)
    assert sorted(piece.offset or 0 for piece in found.parts.pieces) == list(range(40))


async def test_the_same_part_is_kept_once() -> None:
    store = MemoryStore()
    proxy = Proxy(store)
    session = await proxy.put(KEY, b"abc")
    assert await proxy.add(session, b"abc", 0) == session
    assert (len(store.blobs), proxy.held) == (1, 3)


async def test_room_is_made_by_what_has_ended_or_expired() -> None:
    store = MemoryStore()
    proxy = Proxy(store, max_bytes=10)
    first = await proxy.put("one", b"12345")
    await proxy.put("two", b"12345")
    with pytest.raises(ExtractionError, match="holds 10 bytes already") as error:
        await proxy.put("three", b"1")
    assert error.value.code is ErrorCode.OVER_BUDGET
    assert proxy.metrics.value("safelight_proxy_limit_hits_total", limit="upload_spool") == 1
    proxy.spool.finish(first)
    await proxy.put("three", b"1")
    assert (await proxy.read(first.parts.pieces), proxy.held) == ([], 6)
    proxy.clock.now = LIFETIME
    await proxy.put("four", b"1234567890")
    assert proxy.held == 10


async def test_a_part_over_the_limits_of_one_upload_is_not_kept() -> None:
    store = MemoryStore()
    proxy = Proxy(store)
    proxy.spool.limits = SpoolLimits(max_bytes=4)
    with pytest.raises(ExtractionError):
        await proxy.put(KEY, b"12345")
    assert store.blobs == {}


async def test_what_a_client_leaves_is_still_written() -> None:
    store = MemoryStore()
    proxy = Proxy(store)
    session = await proxy.spool.open(KEY)
    begun = asyncio.Event()

    def change(known: Session) -> Session:
        begun.set()
        return replace(known, over="why")

    async with asyncio.TaskGroup() as group:
        leaving = group.create_task(proxy.spool.change(session, change))
        await begun.wait()
        leaving.cancel()
    await proxy.spool.close()
    assert (await proxy.spool.open(KEY)).over == "why"


async def test_a_store_that_is_down_says_so() -> None:
    store = MemoryStore()
    store.down = True
    with pytest.raises(StoreError):
        await Proxy(store).spool.find(KEY)
