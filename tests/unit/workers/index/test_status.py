import pytest

from shared.errors import IntegrityError
from shared.telemetry import Metrics
from shared.types import IndexEvent, ReferenceRemoved
from tests.clocks import ManualClock
from tests.index_factories import CALIBRATION, ENCODER, SEALER, added, make_set
from tests.memory_store import MemoryStore
from workers.index.log import IndexLog
from workers.index.replica import IndexReplica
from workers.index.status import HEALTH_KEY, read_health, read_status, write_health

CLOCK = ManualClock()


async def test_an_empty_store_has_a_status() -> None:
    status = await read_status(MemoryStore(), SEALER, CLOCK)
    assert (status.references, status.position, status.lag, status.sets) == (0, 0, 0, ())
    assert (status.snapshot_age_s, status.health) == (None, None)


async def test_sizes_positions_and_what_a_worker_said() -> None:
    store, metrics = MemoryStore(), Metrics()
    log = IndexLog(store, SEALER)
    events: list[IndexEvent] = [make_set("a"), make_set("b", threshold=70.0)]
    for event in [*events, *(added(seed, set="a") for seed in range(3))]:
        await log.append(event)
    replica = IndexReplica(store, SEALER, ENCODER, CALIBRATION, metrics)
    await replica.load()
    assert await log.publish(await replica.rebuild(), None, CLOCK.wall() - 60)
    await log.append(ReferenceRemoved(set="a", reference="r1"))
    await replica.catch_up()
    await write_health(store, await replica.probe(CLOCK))
    status = await read_status(store, SEALER, CLOCK)
    assert [(each.name, each.references, each.threshold) for each in status.sets] == [("a", 2, 85.0), ("b", 0, 70.0)]
    assert status.bytes["vectors"] == 2 * 128
    assert status.encoders == {ENCODER: 2}
    assert (status.position, status.snapshot_position, status.lag, status.snapshot_age_s) == (6, 5, 1, 60.0)
    assert status.snapshot_bytes == sum(map(len, store.blobs.values()))
    health = status.health
    assert health is not None
    assert (health.position, health.recall.tried, health.recall.found) == (6, 2, 2)
    assert metrics.value("safelight_index_self_recall") == 1.0
    assert metrics.value("safelight_index_bytes", kind="vectors") > 0


async def test_junk_from_a_worker_is_refused() -> None:
    store = MemoryStore()
    await store.compare_and_set(HEALTH_KEY, None, b'{"at": 1}')
    with pytest.raises(IntegrityError, match="worker"):
        await read_health(store)
