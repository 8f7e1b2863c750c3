import logging

import pytest

from shared.errors import IntegrityError, StoreError
from shared.sealing import Sealer
from shared.telemetry import Metrics
from shared.types import INDEX_LOG, IndexEvent
from tests.index_factories import CALIBRATION, ENCODER, SEALER, added, make_set, make_vector
from tests.memory_store import MemoryStore
from workers.index.log import READ_LIMIT, IndexLog, IndexStaleError
from workers.index.replica import IndexReplica

REJECTED = "safelight_index_rejected_entries_total"


def make_replica(
    store: MemoryStore, *, encoder: str = ENCODER, exact_limit: int = 1000
) -> tuple[IndexReplica, Metrics]:
    metrics = Metrics()
    return IndexReplica(store, SEALER, encoder, CALIBRATION, metrics, exact_limit=exact_limit), metrics


async def write(store: MemoryStore, *events: IndexEvent) -> None:
    log = IndexLog(store, SEALER)
    for event in events:
        await log.append(event)


def finds(replica: IndexReplica, seed: int) -> bool:
    view = replica.current()
    (found,) = view.search([view.probe("f" * 64, make_vector(seed))])
    return any(match.matched for match in found)


async def test_before_it_is_loaded_a_replica_matches_nothing_and_is_not_ready() -> None:
    replica, _ = make_replica(MemoryStore())
    assert not replica.caught_up()
    assert not replica.complete()
    assert replica.current().revision == f"{ENCODER}:0"
    assert not finds(replica, 1)
    with pytest.raises(IndexStaleError):
        await replica.rebuild()


@pytest.mark.parametrize("count", [0, 1, 2, 30])
async def test_what_is_in_the_log_is_found_after_loading(count: int) -> None:
    store = MemoryStore()
    await write(store, make_set(), *(added(seed) for seed in range(count)))
    replica, metrics = make_replica(store)
    await replica.load()
    assert replica.caught_up()
    assert all(finds(replica, seed) for seed in range(count))
    assert not finds(replica, 999)
    assert replica.current().revision == f"{ENCODER}:{count + 1}"
    assert metrics.value("safelight_index_references") == count
    assert metrics.value("safelight_index_position") == count + 1


@pytest.mark.parametrize("exact_limit", [1000, 10], ids=["exact", "codes"])
async def test_a_snapshot_and_what_came_since_are_found_after_loading(exact_limit: int) -> None:
    store = MemoryStore()
    await write(store, make_set(), *(added(seed) for seed in range(40)))
    first, _ = make_replica(store, exact_limit=exact_limit)
    await first.load()
    snapshot = await first.rebuild()
    assert bool(snapshot.codes) == (exact_limit == 10)
    assert await first.log.publish(snapshot, None, 0.0)
    await write(store, added(99))
    second, _ = make_replica(store, exact_limit=exact_limit)
    await second.load()
    assert all(finds(second, seed) for seed in (*range(40), 99))
    assert second.current().sets["designs"].size == 41


async def test_a_rebuild_changes_nothing_that_is_found() -> None:
    store = MemoryStore()
    await write(store, make_set(), added(1), added(2))
    replica, _ = make_replica(store)
    await replica.load()
    snapshot = await replica.rebuild()
    assert snapshot.position == 3
    assert [reference.reference for reference in snapshot.references] == ["r1", "r2"]
    assert finds(replica, 1)
    assert finds(replica, 2)


async def test_a_snapshot_of_another_encoder_is_refused_and_counted() -> None:
    store = MemoryStore()
    await write(store, make_set(), added(1))
    first, _ = make_replica(store)
    await first.load()
    await first.log.publish(await first.rebuild(), None, 0.0)
    other, metrics = make_replica(store, encoder="encoder-2")
    with pytest.raises(IntegrityError, match="encoder-1"):
        await other.load()
    assert not other.caught_up()
    assert metrics.value(REJECTED, cause="snapshot") == 1


async def test_a_snapshot_that_was_tampered_with_is_refused_and_what_was_there_stays() -> None:
    store = MemoryStore()
    await write(store, make_set(), added(1))
    replica, metrics = make_replica(store)
    await replica.load()
    await replica.log.publish(await replica.rebuild(), None, 0.0)
    for name, data in store.blobs.items():
        store.blobs[name] = data[:-1] + bytes([data[-1] ^ 1])
    with pytest.raises(IntegrityError, match="changed"):
        await replica.load()
    assert metrics.value(REJECTED, cause="snapshot") == 1
    assert finds(replica, 1)


async def test_a_store_that_lost_everything_leaves_what_was_there() -> None:
    store = MemoryStore()
    await write(store, make_set(), added(1))
    replica, metrics = make_replica(store)
    await replica.load()
    store.lose_logs()
    with pytest.raises(IntegrityError, match="no index any more"):
        await replica.load()
    assert metrics.value(REJECTED, cause="snapshot") == 1
    assert finds(replica, 1)
    await write(store, make_set(), added(2))  # somebody begins anew
    await replica.load()
    assert finds(replica, 2)
    assert not finds(replica, 1)


async def test_a_store_that_is_down_leaves_what_was_there() -> None:
    store = MemoryStore()
    await write(store, make_set(), added(1))
    replica, _ = make_replica(store)
    await replica.load()
    store.down = True
    with pytest.raises(StoreError):
        await replica.load()
    assert finds(replica, 1)


async def test_another_encoders_entries_are_counted_never_searched_and_never_compacted_away() -> None:
    store = MemoryStore()
    await write(store, make_set(), added(1), added(2, encoder="encoder-2"))
    replica, metrics = make_replica(store)
    await replica.load()
    assert finds(replica, 1)
    assert not finds(replica, 2)
    assert metrics.value(REJECTED, cause="encoder") == 1
    assert replica.caught_up()
    assert not replica.complete()


async def test_junk_in_the_log_is_counted_and_said(caplog: pytest.LogCaptureFixture) -> None:
    store = MemoryStore()
    await write(store, make_set())
    await store.append(INDEX_LOG, [b"junk", SEALER.seal(b"\1junk", place="index-log")])
    await write(store, added(1))
    replica, metrics = make_replica(store)
    with caplog.at_level(logging.WARNING):
        await replica.load()
    assert metrics.value(REJECTED, cause="key") == 1
    assert metrics.value(REJECTED, cause="format") == 1
    assert "refused from the index" in caplog.text
    assert finds(replica, 1)
    assert not replica.complete()


async def test_the_wrong_key_is_not_an_empty_index() -> None:
    store = MemoryStore()
    await write(store, make_set(), added(1))
    replica = IndexReplica(store, Sealer(b"\1" * 32), ENCODER, CALIBRATION, Metrics())
    with pytest.raises(IntegrityError, match="key_file"):
        await replica.load()
    assert not replica.caught_up()


async def test_a_command_catches_up_with_what_was_written_meanwhile() -> None:
    store = MemoryStore()
    await write(store, make_set(), added(1))
    replica, _ = make_replica(store)
    assert (await replica.catch_up()).revision == f"{ENCODER}:2"
    before = replica.current()
    assert await replica.catch_up() is before
    await write(store, *(added(seed) for seed in range(2, 2 * READ_LIMIT + 5)))
    await replica.catch_up()
    assert all(finds(replica, seed) for seed in (1, 2, 2 * READ_LIMIT + 4))


async def test_a_command_catches_up_across_a_compaction() -> None:
    store = MemoryStore()
    await write(store, make_set(), added(1))
    replica, _ = make_replica(store)
    await replica.catch_up()
    await write(store, added(2))
    other, _ = make_replica(store)
    await other.load()
    assert await replica.log.publish(await other.rebuild(), None, 0.0)
    await write(store, added(3))
    await replica.catch_up()
    assert all(finds(replica, seed) for seed in (1, 2, 3))
