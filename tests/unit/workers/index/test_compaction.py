import pytest

from shared.telemetry import Metrics
from shared.types import INDEX_LOG, IndexEvent
from tests.clocks import ManualClock
from tests.index_factories import CALIBRATION, ENCODER, SEALER, added, make_set, make_vector
from tests.leases import FreeLease, HeldLease
from tests.memory_store import MemoryStore
from workers.index.compaction import compact
from workers.index.log import IndexLog
from workers.index.replica import IndexReplica


class EnrolsMeanwhile(MemoryStore):
    """A store where a reference is enrolled exactly while a snapshot is being stored."""

    async def put_blob(self, name: str, data: bytes, *, ttl: float | None = None) -> None:
        if not self.blobs:
            await IndexLog(self, SEALER).append(added(500))
        await super().put_blob(name, data, ttl=ttl)


class Overtaken(MemoryStore):
    """A store where somebody else publishes a snapshot just before."""

    async def put_blob(self, name: str, data: bytes, *, ttl: float | None = None) -> None:
        await super().put_blob(name, data, ttl=ttl)
        self.keys.pop("index/snapshot", None)
        await self.compare_and_set(
            "index/snapshot",
            None,
            b'[{"encoder": "encoder-1", "blob": "theirs", "position": 0, "previous": "", "at": 0, "bytes": 0, '
            b'"parts": 0, "previous_parts": 0}]',
        )


async def write(store: MemoryStore, *events: IndexEvent) -> None:
    log = IndexLog(store, SEALER)
    for event in events:
        await log.append(event)


async def loaded(store: MemoryStore) -> IndexReplica:
    replica = IndexReplica(store, SEALER, ENCODER, CALIBRATION, Metrics())
    await replica.load()
    return replica


def finds(replica: IndexReplica, seed: int) -> bool:
    view = replica.current()
    (found,) = view.search([view.probe("f" * 64, make_vector(seed))])
    return any(match.matched for match in found)


async def test_a_long_log_becomes_a_snapshot() -> None:
    store, lease = MemoryStore(), FreeLease()
    await write(store, make_set(), *(added(seed) for seed in range(10)))
    replica = await loaded(store)
    assert await compact(store, SEALER, replica, lease, ManualClock(), limit=10)
    assert await store.read(INDEX_LOG, 0, 100) == ()
    assert (lease.taken, lease.released) == (1, 1)
    again = await loaded(store)
    assert all(finds(again, seed) for seed in range(10))
    assert again.current().revision == replica.current().revision


async def test_a_short_log_stays() -> None:
    store, lease = MemoryStore(), FreeLease()
    await write(store, make_set(), added(1))
    replica = await loaded(store)
    assert not await compact(store, SEALER, replica, lease, ManualClock(), limit=2)
    assert await compact(store, SEALER, replica, lease, ManualClock(), limit=1)
    await write(store, added(2))
    assert not await compact(store, SEALER, await loaded(store), lease, ManualClock(), limit=1)
    assert lease.taken == 1


async def test_only_the_holder_of_the_lease_compacts() -> None:
    store = MemoryStore()
    await write(store, make_set(), added(1))
    assert not await compact(store, SEALER, await loaded(store), HeldLease(), ManualClock(), limit=0)
    assert store.blobs == {}


async def test_what_is_enrolled_meanwhile_is_not_lost() -> None:
    store = EnrolsMeanwhile()
    await write(store, make_set(), added(1))
    assert await compact(store, SEALER, await loaded(store), FreeLease(), ManualClock(), limit=0)
    assert [entry.position for entry in await store.read(INDEX_LOG, 0, 100)] == [3]
    again = await loaded(store)
    assert finds(again, 1)
    assert finds(again, 500)


async def test_who_was_overtaken_truncates_nothing() -> None:
    store = Overtaken()
    await write(store, make_set(), added(1))
    assert not await compact(store, SEALER, await loaded(store), FreeLease(), ManualClock(), limit=0)
    assert len(await store.read(INDEX_LOG, 0, 100)) == 2
    assert store.blobs == {}


async def test_a_worker_that_cannot_read_everything_does_not_compact(caplog: pytest.LogCaptureFixture) -> None:
    for entry in (b"junk", SEALER.seal(b"\1of a later program", place="index-log")):
        store = MemoryStore()
        await write(store, make_set(), added(1))
        await store.append(INDEX_LOG, [entry])
        assert not await compact(store, SEALER, await loaded(store), FreeLease(), ManualClock(), limit=0)
        assert len(await store.read(INDEX_LOG, 0, 100)) == 3
    assert "cannot read" in caplog.text
