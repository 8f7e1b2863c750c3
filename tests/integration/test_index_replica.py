"""Replicas that follow a real store while others enrol, compact, fail and come back."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path

import pytest

from shared.adapters.lease import Holder, Lease
from shared.adapters.redis.store import RedisStore
from shared.adapters.sqlite.store import SqliteStore
from shared.ports import Store
from shared.telemetry import Metrics
from shared.types import INDEX_LOG, IndexEvent
from tests.clocks import ManualClock
from tests.index_factories import (
    CALIBRATION,
    ENCODER,
    SEALER,
    SeedFingerprinter,
    added,
    make_set,
    make_vector,
)
from tests.memory_store import MemoryStore
from workers.image_sets.enrolment import ImageSets
from workers.index.compaction import LEASE_KEY, compact, maintain
from workers.index.log import IndexLog
from workers.index.replica import IndexReplica

SEEDS = SeedFingerprinter()
WITHIN_SECONDS = 30.0  # whatever else the machine does


type Opener = Callable[[], AbstractAsyncContextManager[Store]]


@asynccontextmanager
async def running(store: Store) -> AsyncIterator[Store]:
    await store.start()
    try:
        yield store
    finally:
        await store.stop()


@pytest.fixture(params=["sqlite", pytest.param("redis", marks=pytest.mark.redis)])
def opener(request: pytest.FixtureRequest, tmp_path: Path) -> Opener:
    """Opens one more client of the same, at first empty, store."""
    if request.param == "sqlite":
        return lambda: running(SqliteStore(tmp_path / "safelight.db", tmp_path / "spool"))
    url: str = request.getfixturevalue("redis_url")
    return lambda: running(RedisStore(url))


@pytest.fixture
async def store(opener: Opener) -> AsyncIterator[Store]:
    async with opener() as opened:
        yield opened


@pytest.fixture
async def other(opener: Opener, store: Store) -> AsyncIterator[Store]:
    """Another process's connection to the same data."""
    async with opener() as opened:
        yield opened


def lease(store: Store) -> Lease:
    return Lease(store, LEASE_KEY)


def make_replica(store: Store, *, exact_limit: int = 20_000) -> IndexReplica:
    return IndexReplica(store, SEALER, ENCODER, CALIBRATION, Metrics(), exact_limit=exact_limit, retry_seconds=0.02)


@asynccontextmanager
async def tailing(replica: IndexReplica) -> AsyncIterator[IndexReplica]:
    task = asyncio.get_running_loop().create_task(replica.tail())
    try:
        await until(replica.caught_up)
        yield replica
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def until(condition: Callable[[], bool], within: float = WITHIN_SECONDS) -> float:
    """Wait for ``condition``; return the seconds it took."""
    began = time.monotonic()
    while not condition():
        assert time.monotonic() - began < within, "it did not come true in time"
        await asyncio.sleep(0.005)
    return time.monotonic() - began


async def write(store: Store, *events: IndexEvent) -> None:
    log = IndexLog(store, SEALER)
    for event in events:
        await log.append(event)


def finds(replica: IndexReplica, seed: int) -> bool:
    view = replica.current()
    (found,) = view.search([view.probe("f" * 64, make_vector(seed))])
    return any(match.matched for match in found)


async def test_an_enrolment_is_searchable_at_once(store: Store, other: Store) -> None:
    sets = ImageSets(other, SEALER)
    await sets.create("designs")
    async with tailing(make_replica(store)) as replica:
        for seed in range(5):
            assert (await sets.add("designs", "a.png", b"%d" % seed, SEEDS)).status == "added"
            took = await until(lambda seed=seed: finds(replica, seed))  # type: ignore[misc]
            print(f"searchable after {1000 * took:.0f} ms")
        reference = (await sets.show("designs")).references[0].reference
        await sets.remove("designs", [reference])
        await until(lambda: not finds(replica, 0))


async def test_a_restart_loses_nothing(store: Store, opener: Opener) -> None:
    sets = ImageSets(store, SEALER)
    await sets.create("designs")
    for seed in range(20):
        await sets.add("designs", "a.png", b"%d" % seed, SEEDS)
    await store.stop()
    async with opener() as again:
        replica = make_replica(again)
        await replica.load()
        assert all(finds(replica, seed) for seed in range(20))


async def test_a_replica_that_was_away_across_a_truncation_recovers(store: Store, other: Store) -> None:
    await write(store, make_set(), added(1))
    away = make_replica(store)
    await away.load()
    await write(other, *(added(seed) for seed in range(2, 30)))
    compactor = make_replica(other)
    await compactor.load()
    assert await compact(other, SEALER, compactor, lease(other), ManualClock(), limit=0)
    assert await other.read(INDEX_LOG, 0, 10) == ()
    async with tailing(away):
        await until(lambda: finds(away, 29))
        await write(other, added(99))
        await until(lambda: finds(away, 99))
    assert all(finds(away, seed) for seed in range(1, 30))


async def test_nothing_is_lost_while_it_is_compacted_again_and_again(store: Store, other: Store) -> None:
    sets = ImageSets(other, SEALER)
    await sets.create("designs")
    log, compactions = IndexLog(other, SEALER), set[str]()
    async with tailing(make_replica(store)) as replica, asyncio.TaskGroup() as group:
        maintaining = group.create_task(
            maintain(store, SEALER, lambda: replica, lease(store), ManualClock(), interval=0.01, limit=3)
        )
        for seed in range(60):
            assert (await sets.add("designs", "a.png", b"%d" % seed, SEEDS)).status == "added"
            await asyncio.sleep(0.005)
            pointer = await log.pointer()
            compactions |= {pointer.blob} if pointer else set()
        await until(lambda: replica.current().sets["designs"].size == 60)
        maintaining.cancel()
    assert len(compactions) >= 2
    again = make_replica(other)
    await again.load()
    assert all(finds(again, seed) for seed in range(60))


async def test_two_compactors_at_once_lose_nothing(store: Store, other: Store) -> None:
    await write(store, make_set(), *(added(seed) for seed in range(20)))
    one, two = make_replica(store), make_replica(other)
    await one.load()
    await write(store, added(50))
    await two.load()
    results = await asyncio.gather(
        compact(store, SEALER, one, lease(store), ManualClock(), limit=0),
        compact(other, SEALER, two, lease(other), ManualClock(), limit=0),
    )
    assert sum(results) >= 1
    again = make_replica(store)
    await again.load()
    assert all(finds(again, seed) for seed in (*range(20), 50))


async def test_a_store_that_is_away_leaves_the_index_serving() -> None:
    store = MemoryStore()
    await write(store, make_set(), added(1))
    async with tailing(make_replica(store)) as replica:
        store.down = True
        await asyncio.sleep(0.1)
        assert finds(replica, 1)
        store.down = False
        await write(store, added(2))
        await until(lambda: finds(replica, 2))


async def test_a_replica_waits_for_a_store_that_comes_late() -> None:
    store = MemoryStore()
    await write(store, make_set(), added(1))
    store.down = True
    replica = make_replica(store)
    task = asyncio.get_running_loop().create_task(replica.tail())
    await asyncio.sleep(0.05)
    assert not replica.caught_up()
    store.down = False
    await until(lambda: finds(replica, 1))
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_a_refused_snapshot_leaves_the_index_serving_and_unready() -> None:
    store = MemoryStore()
    await write(store, make_set(), added(1), added(2))
    async with tailing(make_replica(store)) as replica:
        await replica.log.publish(await replica.rebuild(), None, 0.0)
        name = min(store.blobs)
        good = store.blobs[name]
        store.blobs[name] = good[:-1]
        store.lose_logs()  # it must load again, and cannot
        await write(store, make_set())
        await until(lambda: not replica.caught_up())
        assert finds(replica, 1)


async def test_a_worn_base_is_rebuilt_while_searches_go_on(store: Store) -> None:
    await write(store, make_set(), *(added(seed) for seed in range(60)))
    async with tailing(make_replica(store, exact_limit=20)) as replica:
        await until(lambda: replica.current().segments[0].segment.ann.codes is not None)
        before = replica.current().segments[0].segment
        sets = ImageSets(store, SEALER)
        gone = [f"r{seed}" for seed in range(10)]
        removing = asyncio.get_running_loop().create_task(sets.remove("designs", gone))
        while not removing.done():
            assert await asyncio.to_thread(finds, replica, 30)
            await asyncio.sleep(0)
        await until(lambda: replica.current().sets["designs"].size == 50)
        await until(lambda: len(replica.current().segments[0].segment.references) < 60)
        assert replica.current().segments[0].segment is not before
        assert [finds(replica, seed) for seed in range(60)] == [seed >= 10 for seed in range(60)]


async def test_a_compactor_that_died_is_taken_over_from(store: Store, other: Store) -> None:
    await write(store, make_set(), *(added(seed) for seed in range(5)))
    elsewhere = Holder(id="a", host="gone", boot="of another machine", pid_namespace="pid:[1]", pid=1, started=1)
    died = Lease(other, LEASE_KEY, ttl=1.0, holder=elsewhere)
    await died.acquire()
    renewing = died._renewing  # noqa: SLF001 - it dies without giving its lease back
    assert renewing is not None
    renewing.cancel()
    replica = make_replica(store)
    await replica.load()
    assert await compact(store, SEALER, replica, Lease(store, LEASE_KEY, ttl=1.0), ManualClock(), limit=0)
    assert await store.read(INDEX_LOG, 0, 10) == ()


async def test_64_threads_search_while_the_index_is_swapped() -> None:
    """Indexes that are written while they are asked are not safe: https://github.com/nmslib/hnswlib/issues/562."""
    store = MemoryStore()
    await write(store, make_set(), *(added(seed) for seed in range(100)))
    replica = make_replica(store, exact_limit=20)
    await replica.load()
    await replica.rebuild()
    stop = threading.Event()

    def search(thread: int) -> int:
        searches = 0
        while not stop.is_set() or searches == 0:
            assert finds(replica, (thread + searches) % 100)
            assert not finds(replica, 10_000 + searches)
            searches += 1
        return searches

    loop = asyncio.get_running_loop()
    with ThreadPoolExecutor(64) as pool:
        searching = [loop.run_in_executor(pool, search, thread) for thread in range(64)]
        for seed in (200, 201):
            await write(store, added(seed))
            await replica.catch_up()
            await replica.rebuild()
        stop.set()
        assert min(await asyncio.gather(*searching)) > 0
    assert all(finds(replica, seed) for seed in (*range(100), 200, 201))
