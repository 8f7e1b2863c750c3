"""A second index beside the first, both fed by one log."""

from collections.abc import Sequence
from dataclasses import replace

import pytest

from shared.errors import IntegrityError, LeaseHeldError, StoreError
from shared.telemetry import Metrics
from shared.types import INDEX_LOG, IndexEvent, Reference, ReferenceRemoved, SetThreshold
from tests.classifier_factories import SPACE, make_classifier
from tests.clocks import ManualClock
from tests.index_factories import CALIBRATION, ENCODER, SEALER, added, make_set, make_vector
from tests.memory_store import MemoryStore
from workers.classifying.model import Classifier
from workers.classifying.revisions import ClassifierBook
from workers.index.compaction import compact
from workers.index.log import IndexLog
from workers.index.replica import IndexReplica
from workers.migration.copying import Counted, convert_classifiers, keep_alone, make_index, taken

OTHER = "encoder-2"
CLOCK = ManualClock()


class Same:
    """Both encoders see the same; classifiers need only their space named."""

    def __init__(self, target: str = OTHER, *, able: bool = True) -> None:
        self.target = target
        self.able = able

    def references(self, references: Sequence[Reference]) -> list[Reference]:
        return [replace(each, encoder=self.target) if self.able else each for each in references]

    def classifier(self, classifier: Classifier) -> Classifier:
        space = replace(SPACE, encoder=self.target)
        return classifier if classifier.space == space else replace(classifier, space=space)


class Lease:
    """Free after some tries."""

    def __init__(self, held: int = 0) -> None:
        self.held = held

    async def acquire(self) -> None:
        self.held -= 1
        if self.held >= 0:
            raise LeaseHeldError("held")

    async def release(self) -> None:
        return


class Stops(MemoryStore):
    """A store that is gone after so many writes."""

    def __init__(self) -> None:
        super().__init__()
        self.writes_left = 10**9

    def _spend(self) -> None:
        self.writes_left -= 1
        if self.writes_left < 0:
            raise StoreError("gone")

    async def put_blob(self, name: str, data: bytes, *, ttl: float | None = None) -> None:
        self._spend()
        await super().put_blob(name, data, ttl=ttl)

    async def compare_and_set(
        self, key: str, expected: int | None, value: bytes, *, ttl: float | None = None
    ) -> int | None:
        self._spend()
        return await super().compare_and_set(key, expected, value, ttl=ttl)

    async def truncate(self, log: str, upto: int) -> None:
        self._spend()
        await super().truncate(log, upto)

    async def delete_blob(self, name: str) -> None:
        self._spend()
        await super().delete_blob(name)


def replica_of(store: MemoryStore, encoder: str, *, able: bool = True) -> IndexReplica:
    convert = Same(encoder, able=able).references
    return IndexReplica(store, SEALER, encoder, CALIBRATION, Metrics(), convert=convert)


async def write(store: MemoryStore, *events: IndexEvent) -> None:
    await IndexLog(store, SEALER).append(*events)


async def made(store: MemoryStore) -> int:
    return await make_index(replica_of(store, ENCODER), replica_of(store, OTHER), CLOCK)


async def held(store: MemoryStore, encoder: str) -> set[str]:
    """What a worker that starts now finds by its own vectors."""
    replica = replica_of(store, encoder)
    await replica.load()
    assert replica.complete()
    view = replica.current()
    assert view.revision.startswith(f"{encoder}:")
    seeds = range(1, 7)
    found = view.search([view.probe("f" * 64, make_vector(seed)) for seed in seeds])
    return {f"r{seed}" for seed, matches in zip(seeds, found, strict=True) if any(match.matched for match in matches)}


async def test_both_have_all_that_is_enrolled_before_and_after_and_removed_by_either() -> None:
    store = MemoryStore()
    await write(store, make_set(), added(1), added(2))
    assert await made(store) == 2
    assert await made(store) == 2, "again is nothing to do"
    await write(store, added(3), ReferenceRemoved(set="designs", reference="r1"))
    await write(store, added(4, encoder=OTHER), SetThreshold(name="designs", threshold=80.0, previous=85.0))
    for encoder in (ENCODER, OTHER):
        assert await held(store, encoder) == {"r2", "r3", "r4"}
        replica = replica_of(store, encoder)
        await replica.load()
        assert replica.current().sets["designs"].threshold == 80.0


async def test_neither_loses_what_the_other_compacts() -> None:
    store = MemoryStore()
    await write(store, make_set(), added(1))
    await made(store)
    await write(store, added(2), added(3, encoder=OTHER))
    replica = replica_of(store, OTHER)
    await replica.load()
    assert await compact(store, SEALER, replica, Lease(), CLOCK, limit=0)
    assert len(await store.read(INDEX_LOG, 0, 10)) == 2, "kept for the encoder before"
    assert await held(store, ENCODER) == await held(store, OTHER) == {"r1", "r2", "r3"}


@pytest.mark.parametrize("encoder", [ENCODER, OTHER])
async def test_what_is_kept_alone_stands_for_all_and_nothing_is_left_of_the_other(encoder: str) -> None:
    store = MemoryStore()
    await write(store, make_set(), added(1))
    await made(store)
    await write(store, added(2), added(3, encoder=OTHER))
    await keep_alone(replica_of(store, encoder), CLOCK)
    await keep_alone(replica_of(store, encoder), CLOCK)
    assert [pointer.encoder for pointer in await IndexLog(store, SEALER).pointers()] == [encoder]
    assert await held(store, encoder) == {"r1", "r2", "r3"}
    await compact(store, SEALER, await loaded(store, encoder), Lease(), CLOCK, limit=-1)
    assert await store.read(INDEX_LOG, 0, 10) == ()
    assert await held(store, encoder) == {"r1", "r2", "r3"}


async def loaded(store: MemoryStore, encoder: str) -> IndexReplica:
    replica = replica_of(store, encoder)
    await replica.load()
    return replica


@pytest.mark.parametrize("writes", range(14))
async def test_whoever_is_cut_off_loses_nothing_and_the_next_one_goes_on(writes: int) -> None:
    store = Stops()
    await write(store, make_set(), added(1), added(2))
    store.writes_left = writes
    for step in (made, lambda store: keep_alone(replica_of(store, OTHER), CLOCK)):
        try:
            await step(store)
        except StoreError:
            break
    store.writes_left = 10**9
    assert await held(store, OTHER) == {"r1", "r2"}
    await made(store)
    await write(store, added(3))
    assert await held(store, ENCODER) == await held(store, OTHER) == {"r1", "r2", "r3"}
    await keep_alone(replica_of(store, OTHER), CLOCK)
    assert await held(store, OTHER) == {"r1", "r2", "r3"}


async def test_an_empty_index_is_made_of_nothing() -> None:
    store = MemoryStore()
    assert await made(store) == 0
    assert store.blobs == {}
    await write(store, make_set(), added(1))
    assert await held(store, OTHER) == {"r1"}


async def test_what_cannot_be_converted_stops_it() -> None:
    store = MemoryStore()
    await write(store, make_set(), added(1))
    with pytest.raises(IntegrityError, match="converted"):
        await make_index(replica_of(store, ENCODER), replica_of(store, OTHER, able=False), CLOCK)
    assert [pointer.encoder for pointer in await IndexLog(store, SEALER).pointers()] == [ENCODER]
    with pytest.raises(IntegrityError, match="converted"):
        await keep_alone(replica_of(store, OTHER, able=False), CLOCK)
    assert await held(store, ENCODER) == {"r1"}


def test_it_is_told_how_many_were_converted() -> None:
    told: list[int] = []
    counted = Counted(Same().references, told.append)
    references = [each.reference for each in (added(1), added(2, encoder=OTHER), added(3))]
    counted(references)
    counted(references[:1])
    assert told == [2, 3]


async def test_a_lease_that_is_held_is_waited_for() -> None:
    lease = Lease(held=3)
    await taken(lease, pause=0.0)
    assert lease.held == -1
    with pytest.raises(LeaseHeldError):
        await taken(Lease(held=10**6), pause=0.0)


async def test_classifiers_of_the_encoder_before_are_put_in_force_as_the_new_ones() -> None:
    store = MemoryStore()
    book = ClassifierBook(store, SEALER, CLOCK)
    await book.publish("documents", make_classifier("receipt"), 0, "first")
    native = replace(make_classifier("plan", name="plans"), space=replace(SPACE, encoder=OTHER))
    await book.publish("plans", native, 0, "first")
    assert await convert_classifiers(store, SEALER, CLOCK, Same()) == ("documents",)
    assert await convert_classifiers(store, SEALER, CLOCK, Same()) == ()
    revision, classifier = await book.show("documents")
    assert (classifier.space.encoder, revision.note) == (OTHER, "converted from f1")
    assert len(await book.history("plans")) == 1
