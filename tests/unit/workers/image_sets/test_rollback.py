"""A set goes back to any revision that is kept, whatever happened to it since."""

import pytest

from shared.errors import UsageError
from shared.telemetry import Metrics
from shared.types import INDEX_LOG, ReferenceAdded
from tests.clocks import ManualClock
from tests.index_factories import CALIBRATION, ENCODER, SEALER, SeedFingerprinter
from tests.memory_store import MemoryStore
from workers.image_sets.enrolment import ImageSets
from workers.image_sets.rollback import Revisions
from workers.index.compaction import compact
from workers.index.log import IndexLog
from workers.index.replica import IndexReplica
from workers.index.set_history import HISTORY_LOG, Past

LOOK = SeedFingerprinter()


class Wall(ManualClock):
    """A clock whose days pass."""

    days = 0.0

    def wall(self) -> float:
        return super().wall() + self.days * 86_400


class FreeLease:
    async def acquire(self) -> None:
        return

    async def release(self) -> None:
        return


class Deployment:
    """A store, its sets and their revisions, on one clock."""

    def __init__(self, *, keep_days: float = 14.0) -> None:
        self.store, self.clock, self.keep_days = MemoryStore(), Wall(), keep_days
        self.sets = ImageSets(self.store, SEALER, clock=self.clock, keep_days=keep_days)
        self.revisions = Revisions(self.store, SEALER, self.clock, keep_days=keep_days)

    async def add(self, *seeds: int, name: str = "designs") -> list[str]:
        return [(await self.sets.add(name, f"{seed}.png", b"%d" % seed, LOOK)).reference for seed in seeds]

    async def held(self, name: str = "designs") -> set[str]:
        return {reference.name for reference in (await self.sets.show(name)).references}

    async def history(self) -> tuple[Past, ...]:
        return await self.revisions.history("designs")

    async def compact(self) -> None:
        replica = IndexReplica(self.store, SEALER, ENCODER, CALIBRATION, Metrics())
        await replica.load()
        assert await compact(self.store, SEALER, replica, FreeLease(), self.clock, limit=0, keep_days=self.keep_days)


@pytest.mark.parametrize("compacted", [False, True])
async def test_every_revision_can_be_returned_to(compacted: bool) -> None:
    one = Deployment()
    await one.sets.create("designs")
    states = {1: (set[str](), 85.0)}

    async def note() -> None:
        summary = (await one.sets.show("designs")).summary
        states[await one.store.last_position(INDEX_LOG)] = (await one.held(), summary.threshold)

    first, *_ = await one.add(1, 2)
    await note()
    await one.sets.move_threshold("designs", 70.0)
    await note()
    await one.sets.remove("designs", [first])
    await note()
    if compacted:
        await one.compact()
        assert await one.store.read(INDEX_LOG, 0, 10) == ()
    await one.add(3)
    await note()
    await one.sets.delete("designs")
    await one.sets.create("designs", 99.0)
    await note()
    if compacted:
        await one.compact()
    await one.add(4)
    for revision, (names, threshold) in [*states.items(), *reversed(states.items())]:
        await one.revisions.rollback("designs", revision)
        assert (await one.held(), (await one.sets.show("designs")).summary.threshold) == (names, threshold)
    whats = [past.what for past in await one.history()]
    assert whats[:8] == ["created", "added", "added", "threshold", "removed", "added", "deleted", "created"]
    assert whats.count("rolled_back") == 2 * len(states)


async def test_a_deleted_set_comes_back_whole() -> None:
    one = Deployment()
    await one.sets.create("designs", 60.0, "any", prior=0.5)
    await one.add(1, 2)
    await one.sets.delete("designs")
    back = await one.revisions.rollback("designs", 3)
    assert (back.added, back.removed) == (2, 0)
    summary = (await one.sets.show("designs")).summary
    assert (summary.threshold, summary.relation, summary.prior, summary.size) == (60.0, "any", 0.5, 2)
    with pytest.raises(UsageError, match="no such set at revision 4"):
        await one.revisions.rollback("designs", 4)


async def test_an_image_that_was_added_twice_at_once_is_one() -> None:
    one = Deployment()
    await one.sets.create("designs")
    await one.add(1)
    (reference,) = (await one.sets.show("designs")).references
    await IndexLog(one.store, SEALER).append(ReferenceAdded(reference=reference), at=one.clock.wall())
    await one.add(2)
    await one.revisions.rollback("designs", 2)
    assert await one.held() == {"1.png"}


async def test_what_was_purged_does_not_come_back() -> None:
    one = Deployment()
    await one.sets.create("designs")
    first, second, _ = await one.add(1, 2, 3)
    await one.sets.remove("designs", [first])
    blobs = set(one.store.blobs)
    await one.sets.remove("designs", [second], purge=True)
    assert set(one.store.blobs) == blobs
    with pytest.raises(UsageError, match="purged"):
        await one.revisions.rollback("designs", 4)
    await one.revisions.rollback("designs", 6)
    await one.sets.delete("designs", purge=True)
    assert one.store.blobs == {}
    with pytest.raises(UsageError, match="no longer kept"):
        await one.revisions.rollback("designs", 5)


async def test_what_has_expired_does_not_come_back_and_its_outline_is_forgotten() -> None:
    one = Deployment(keep_days=2)
    await one.sets.create("designs")
    (first,) = await one.add(1)
    await one.sets.remove("designs", [first])
    await one.compact()
    one.clock.days = 1.0
    await one.add(2)
    assert len(await one.history()) == 4
    one.clock.days = 2.5
    assert [past.what for past in await one.history()] == ["added"]
    with pytest.raises(UsageError, match="no revision 2"):
        await one.revisions.rollback("designs", 2)
    await one.add(3)
    await one.compact()
    assert [entry.position for entry in await one.store.read(HISTORY_LOG, 0, 10)] == [4, 5]
    one.store.blobs = {name: data for name, data in one.store.blobs.items() if "kept" not in name}
    one.clock.days = 0.0
    with pytest.raises(UsageError, match="no revision 3"):
        await one.revisions.rollback("designs", 3)


async def test_nothing_is_kept_where_nothing_is_to_be() -> None:
    one = Deployment(keep_days=0)
    await one.sets.create("designs")
    (first,) = await one.add(1)
    await one.sets.remove("designs", [first])
    assert one.store.blobs == {}


async def test_an_unknown_set_or_revision_is_said() -> None:
    one = Deployment()
    with pytest.raises(UsageError, match="no image set"):
        await one.revisions.history("designs")
    await one.sets.create("designs")
    with pytest.raises(UsageError, match="no revision 7"):
        await one.revisions.rollback("designs", 7)
