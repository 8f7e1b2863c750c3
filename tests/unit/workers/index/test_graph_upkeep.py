import asyncio
import logging

import pytest

from shared.telemetry import Metrics
from shared.types import IndexEvent, ReferenceRemoved
from tests.index_factories import CALIBRATION, ENCODER, SEALER, added, make_set, make_vector
from tests.leases import FreeLease, HeldLease
from tests.memory_store import MemoryStore
from workers.encoders.embeddings import to_bytes
from workers.index.graph_store import GraphStore
from workers.index.graph_upkeep import GRAPH_FROM, GraphUpkeep
from workers.index.log import IndexLog
from workers.index.replica import IndexReplica
from workers.search.vector_graph import LEAST_HELD

COUNT = 60


async def write(store: MemoryStore, *events: IndexEvent) -> None:
    await IndexLog(store, SEALER).append(*events)


class Worker:
    """A worker's index, and its upkeep."""

    def __init__(self, store: MemoryStore, *, lease: FreeLease | None = None, graph_from: int = 20) -> None:
        self.metrics = Metrics()
        self.replica = IndexReplica(store, SEALER, ENCODER, CALIBRATION, self.metrics, exact_limit=20)
        self.lease = lease or FreeLease()
        self.upkeep = GraphUpkeep(store, SEALER, lambda: self.replica, self.lease, self.metrics, graph_from=graph_from)

    @classmethod
    async def at_work(cls, store: MemoryStore, **options: object) -> "Worker":
        worker = cls(store, **options)  # type: ignore[arg-type]
        await worker.replica.catch_up()
        return worker

    def finds(self, seed: int) -> bool:
        view = self.replica.current()
        (found,) = view.search([view.probe("f" * 64, make_vector(seed))])
        return any(match.matched for match in found)

    def searches(self, outcome: str) -> float:
        return self.metrics.value("safelight_index_graph_searches_total", outcome=outcome)

    @property
    def vectors(self) -> float:
        return self.metrics.value("safelight_index_graph_vectors")


async def enrolled(count: int = COUNT) -> MemoryStore:
    store = MemoryStore()
    await write(store, make_set(), *(added(seed) for seed in range(count)))
    return store


async def test_one_worker_builds_a_graph_and_the_others_take_it() -> None:
    store = await enrolled()
    first = await Worker.at_work(store)
    assert first.vectors == 0
    assert first.finds(7)
    assert first.searches("graph") == 0
    await first.upkeep.look()
    assert first.vectors == COUNT
    assert first.finds(7)
    assert not first.finds(999)
    assert first.searches("graph") == 2
    second = await Worker.at_work(store, lease=HeldLease())
    await second.upkeep.look()
    assert second.vectors == COUNT
    assert all(second.finds(seed) for seed in range(COUNT))
    assert (first.lease.taken, first.lease.released) == (1, 1)


async def test_a_graph_that_serves_is_left_alone() -> None:
    worker = await Worker.at_work(await enrolled())
    await worker.upkeep.look()
    graph = worker.replica.base_ann().graph
    await worker.upkeep.look()
    assert worker.replica.base_ann().graph is graph
    assert worker.lease.taken == 1


@pytest.mark.parametrize("graph_from", [COUNT + 1, GRAPH_FROM])
async def test_a_small_index_has_no_graph(graph_from: int) -> None:
    store = await enrolled()
    worker = await Worker.at_work(store, graph_from=graph_from)
    await worker.upkeep.look()
    assert (worker.lease.taken, worker.vectors) == (0, 0)


async def test_an_index_without_codes_has_no_graph() -> None:
    worker = Worker(await enrolled())
    await worker.upkeep.look()
    await worker.replica.load()
    await worker.upkeep.look()
    assert (worker.lease.taken, worker.vectors) == (0, 0)
    assert worker.finds(7)


async def test_while_another_worker_builds_codes_answer() -> None:
    worker = await Worker.at_work(await enrolled(), lease=HeldLease())
    await worker.upkeep.look()
    assert worker.vectors == 0
    assert worker.finds(7)


async def test_a_graph_goes_on_serving_when_the_base_is_built_anew() -> None:
    store = await enrolled(100)
    worker = await Worker.at_work(store)
    await worker.upkeep.look()
    before = worker.replica.base_ann().graph
    await write(store, ReferenceRemoved(set="designs", reference="r5"), *(added(seed) for seed in range(100, 106)))
    await worker.replica.catch_up()
    await worker.replica.rebuild()
    after = worker.replica.base_ann().graph
    assert before is not None
    assert after is not None
    assert after.graph is before.graph
    assert worker.vectors == 99
    await worker.upkeep.look()
    assert worker.lease.taken == 1
    assert [seed for seed in range(106) if not worker.finds(seed)] == [5]
    assert worker.searches("graph") == 106


async def test_a_graph_that_too_much_came_or_went_since_is_built_anew() -> None:
    store = await enrolled()
    worker = await Worker.at_work(store)
    await worker.upkeep.look()
    await write(store, *(added(seed) for seed in range(COUNT, COUNT + 10)))
    await worker.replica.catch_up()
    await worker.replica.rebuild()
    assert worker.vectors == COUNT
    await worker.upkeep.look()
    assert worker.vectors == COUNT + 10
    assert worker.lease.taken == 2
    other = await Worker.at_work(store, lease=HeldLease())
    await other.upkeep.look()
    assert other.vectors == COUNT + 10


async def test_a_replica_that_was_loaded_again_has_its_graph_back_without_building() -> None:
    worker = await Worker.at_work(await enrolled())
    await worker.upkeep.look()
    await worker.replica.load()
    await worker.replica.rebuild()
    assert worker.vectors == 0
    await worker.upkeep.look()
    assert worker.vectors == COUNT
    assert worker.lease.taken == 1


async def test_a_broken_graph_is_counted_and_another_takes_its_place(caplog: pytest.LogCaptureFixture) -> None:
    store = await enrolled()
    await (await Worker.at_work(store)).upkeep.look()
    good = dict(store.blobs)
    for name, data in good.items():
        store.blobs[name] = data[:-1] + bytes([data[-1] ^ 1])
    waits, builds = await Worker.at_work(store, lease=HeldLease()), await Worker.at_work(store)
    with caplog.at_level(logging.WARNING):
        await waits.upkeep.look()
    assert waits.metrics.value("safelight_index_rejected_entries_total", cause="graph") == 1
    assert "its codes answer" in caplog.text
    assert waits.vectors == 0
    assert waits.finds(7)
    await builds.upkeep.look()
    assert builds.vectors == COUNT
    await waits.upkeep.look()
    assert waits.vectors == COUNT


async def test_graphs_go_with_their_encoders_snapshots() -> None:
    store = await enrolled()
    worker = await Worker.at_work(store)
    await worker.upkeep.look()
    assert await GraphStore(store, SEALER, ENCODER).held() is not None
    await worker.replica.log.drop(ENCODER)
    assert await GraphStore(store, SEALER, ENCODER).held() is None
    assert not store.blobs


def even(seed: int) -> IndexEvent:
    return added(seed, vectors=(to_bytes(make_vector(seed, dimension=512)),))


async def test_of_vectors_that_lie_evenly_no_graph_is_built_and_that_is_said_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    store = MemoryStore()
    await write(store, make_set(), *(even(seed) for seed in range(600)))
    worker = await Worker.at_work(store)
    with caplog.at_level(logging.WARNING):
        await worker.upkeep.look()
        await worker.upkeep.look()
    assert caplog.text.count("no graph of the index is built") == 1
    assert 0.3 < worker.metrics.value("safelight_index_graph_held_share") < LEAST_HELD
    assert (worker.lease.taken, worker.vectors) == (0, 0)
    assert await GraphStore(store, SEALER, ENCODER).held() is None
    await write(store, *(even(seed) for seed in range(600, 670)))
    await worker.replica.catch_up()
    await worker.replica.rebuild()
    with caplog.at_level(logging.WARNING):
        await worker.upkeep.look()
    assert caplog.text.count("no graph of the index is built") == 2


async def test_of_vectors_in_few_directions_a_graph_is_built_and_their_share_is_known() -> None:
    worker = await Worker.at_work(await enrolled())
    await worker.upkeep.look()
    assert worker.metrics.value("safelight_index_graph_held_share") == pytest.approx(1.0)
    assert worker.vectors == COUNT


async def test_a_store_that_is_down_is_outlived(caplog: pytest.LogCaptureFixture) -> None:
    store = await enrolled()
    worker = await Worker.at_work(store)
    store.down = True
    with caplog.at_level(logging.WARNING), pytest.raises(TimeoutError):
        async with asyncio.timeout(0.05):
            await worker.upkeep.run()
    assert "no graph before the index" in caplog.text
    assert worker.finds(7)
