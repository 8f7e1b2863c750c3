import asyncio
import logging
from dataclasses import replace
from hashlib import sha256
from typing import Any

import pytest

from shared.codec import encode_event
from shared.core.matching import Background
from shared.errors import IntegrityError, StoreError, UsageError
from shared.sealing import Sealer
from shared.telemetry import Metrics
from shared.types import INDEX_LOG, ReferenceAdded, SetDeleted
from tests.clocks import ManualClock
from tests.factories import make_image_info
from tests.index_factories import CALIBRATION, ENCODER, SEALER, SeedFingerprinter, make_vector
from tests.memory_store import MemoryStore
from workers.encoders.embeddings import to_bytes
from workers.image_sets.enrolment import NAME_LIMIT, ImageSets
from workers.image_sets.fingerprint import Fingerprint
from workers.index.compaction import compact
from workers.index.log import IndexLog
from workers.index.replica import IndexReplica
from workers.references.kept_bytes import bytes_kept

SEEDS = SeedFingerprinter()


class Lease:
    async def acquire(self) -> None:
        return

    async def release(self) -> None:
        return


class DeletesMeanwhile(SeedFingerprinter):
    """The set is deleted while the image is being looked at."""

    def __init__(self, store: MemoryStore) -> None:
        self._store = store

    async def fingerprint(self, data: bytes) -> Fingerprint:
        await IndexLog(self._store, SEALER).append(SetDeleted(name="designs"))
        return await super().fingerprint(data)


class Paused(SeedFingerprinter):
    """Two look at the same image at the same time."""

    def __init__(self) -> None:
        self._both = asyncio.Barrier(2)

    async def fingerprint(self, data: bytes) -> Fingerprint:
        await self._both.wait()
        return await super().fingerprint(data)


PLANE = bytes(range(256)) * 40
PLANE_SIZE = (128, 80)


class Described(SeedFingerprinter):
    """Gives every image this much of a fingerprint."""

    def __init__(self, **overrides: Any) -> None:
        self._overrides = overrides

    async def fingerprint(self, data: bytes) -> Fingerprint:
        return replace(await super().fingerprint(data), **self._overrides)


def make_replica(store: MemoryStore, *, usual: float | None = None) -> IndexReplica:
    """Return a replica whose background bank is the picture 7, near nothing else."""
    background = None if usual is None else Background(bank=make_vector(7)[None], nearest=1, usual=usual)
    return IndexReplica(store, SEALER, ENCODER, replace(CALIBRATION, background=background), Metrics())


async def compacted(store: MemoryStore) -> None:
    replica = IndexReplica(store, SEALER, ENCODER, CALIBRATION, Metrics())
    await replica.load()
    assert await compact(store, SEALER, replica, Lease(), ManualClock(), limit=0)


async def test_an_added_image_is_found_by_a_worker() -> None:
    store = MemoryStore()
    sets = ImageSets(store, SEALER)
    await sets.create("designs")
    result = await sets.add("designs", "seven.png", b"7", SEEDS)
    digest = sha256(b"7").hexdigest()
    assert (result.status, result.reference, result.sha256, result.error) == ("added", digest[:20], digest, "")
    replica = IndexReplica(store, SEALER, ENCODER, CALIBRATION, Metrics())
    await replica.load()
    view = replica.current()
    (found,) = view.search([view.probe("f" * 64, make_vector(7))])
    assert (found[0].name, found[0].reference, found[0].matched) == ("seven.png", digest[:20], True)


async def test_the_same_image_twice_is_one_reference() -> None:
    sets = ImageSets(MemoryStore(), SEALER)
    await sets.create("designs")
    await sets.create("more")
    assert (await sets.add("designs", "a.png", b"7", SEEDS)).status == "added"
    assert (await sets.add("designs", "b.png", b"7", SEEDS)).status == "duplicate"
    assert (await sets.add("more", "a.png", b"7", SEEDS)).status == "added"
    assert [reference.name for reference in (await sets.show("designs")).references] == ["a.png"]


async def test_two_adders_at_once_leave_one_reference() -> None:
    store, paused = MemoryStore(), Paused()
    await ImageSets(store, SEALER).create("designs")
    one, other = (ImageSets(store, SEALER).add("designs", name, b"7", paused) for name in ("a.png", "b.png"))
    assert sorted(result.status for result in await asyncio.gather(one, other)) == ["added", "duplicate"]
    assert (await ImageSets(store, SEALER).show("designs")).summary.size == 1


@pytest.mark.parametrize(("data", "error"), [(b"no image", "not_an_image"), (b"blank", "low_information")])
async def test_what_cannot_protect_is_rejected_with_a_reason(data: bytes, error: str) -> None:
    store = MemoryStore()
    sets = ImageSets(store, SEALER)
    await sets.create("designs")
    result = await sets.add("designs", "x.png", data, SEEDS)
    assert (result.status, result.error) == ("rejected", error)
    assert result.message
    assert (await sets.show("designs")).references == ()


async def test_remove_then_add_again() -> None:
    sets = ImageSets(MemoryStore(), SEALER)
    await sets.create("designs")
    reference = (await sets.add("designs", "a.png", b"7", SEEDS)).reference
    result = await sets.remove("designs", [reference, "nobody", reference])
    assert (result.removed, result.unknown) == ((reference,), ("nobody",))
    assert (await sets.show("designs")).summary.size == 0
    assert (await sets.add("designs", "a.png", b"7", SEEDS)).status == "added"


async def test_sets_are_made_listed_and_deleted() -> None:
    store = MemoryStore()
    sets = ImageSets(store, SEALER)
    assert await sets.list() == ()
    await sets.create("photos", 60)
    await sets.create("designs", relation="any")
    await sets.add("photos", "a.png", b"7", SEEDS)
    listed = await ImageSets(store, SEALER).list()
    assert [(row.name, row.threshold, row.relation, row.size) for row in listed] == [
        ("designs", 85.0, "any", 0),
        ("photos", 60.0, "copy", 1),
    ]
    assert (await sets.delete("photos")).size == 1
    assert [row.name for row in await sets.list()] == ["designs"]
    await sets.create("photos")
    assert (await sets.show("photos")).summary.size == 0


@pytest.mark.parametrize("name", ["", "Designs", "a b", "-a", "a" * 64, "ä", "a\n", "a/b"])
async def test_impossible_names_are_refused(name: str) -> None:
    with pytest.raises(UsageError, match="no name"):
        await ImageSets(MemoryStore(), SEALER).create(name)


@pytest.mark.parametrize("threshold", [-0.1, 100.1, float("nan"), float("inf")])
async def test_impossible_thresholds_are_refused(threshold: float) -> None:
    with pytest.raises(UsageError, match="between 0 and 100"):
        await ImageSets(MemoryStore(), SEALER).create("designs", threshold)


async def test_a_taken_name_is_refused_also_in_a_race() -> None:
    store = MemoryStore()
    results = await asyncio.gather(
        *(ImageSets(store, SEALER).create("designs", number) for number in range(5)), return_exceptions=True
    )
    assert sum(isinstance(result, UsageError) for result in results) == 4
    with pytest.raises(UsageError, match="already"):
        await ImageSets(store, SEALER).create("designs")


async def test_unknown_sets_are_refused() -> None:
    sets = ImageSets(MemoryStore(), SEALER)
    for call in (
        sets.delete("nobody"),
        sets.show("nobody"),
        sets.remove("nobody", ["x"]),
        sets.add("nobody", "a.png", b"7", SEEDS),
    ):
        with pytest.raises(UsageError, match="no image set nobody"):
            await call


async def test_a_set_deleted_meanwhile_is_said() -> None:
    store = MemoryStore()
    sets = ImageSets(store, SEALER)
    await sets.create("designs")
    with pytest.raises(UsageError, match="no image set designs"):
        await sets.add("designs", "a.png", b"7", DeletesMeanwhile(store))


async def test_an_addition_that_was_not_stored_is_no_addition() -> None:
    store = MemoryStore()
    sets = ImageSets(store, SEALER)
    await sets.create("designs")
    store.down = True
    with pytest.raises(StoreError):
        await sets.add("designs", "a.png", b"7", SEEDS)
    store.down = False
    assert (await sets.show("designs")).summary.size == 0


async def test_commands_go_on_across_a_compaction() -> None:
    store = MemoryStore()
    sets = ImageSets(store, SEALER)
    await sets.create("designs")
    other = ImageSets(store, SEALER)
    for seed in range(5):
        await other.add("designs", f"{seed}.png", b"%d" % seed, SEEDS)
    await compacted(store)
    assert (await sets.show("designs")).summary.size == 5
    assert (await sets.add("designs", "3.png", b"3", SEEDS)).status == "duplicate"
    assert (await sets.add("designs", "9.png", b"9", SEEDS)).status == "added"


async def test_file_names_of_any_bytes_are_kept_as_far_as_they_go() -> None:
    sets = ImageSets(MemoryStore(), SEALER)
    await sets.create("designs")
    await sets.add("designs", "x" * 400 + "\udcff.png", b"7", SEEDS)
    (reference,) = (await sets.show("designs")).references
    assert len(reference.name) == NAME_LIMIT
    assert reference.name.endswith("x?.png")


async def test_entries_that_do_not_open_are_passed_over(caplog: pytest.LogCaptureFixture) -> None:
    store = MemoryStore()
    sets = ImageSets(store, SEALER)
    await sets.create("designs")
    await store.append(INDEX_LOG, [b"junk"])
    with caplog.at_level(logging.WARNING):
        assert [row.name for row in await sets.list()] == ["designs"]
    assert "passed over" in caplog.text


@pytest.mark.parametrize("prior", [0.0, 1.0, -0.1, float("nan")])
async def test_impossible_priors_are_refused(prior: float) -> None:
    with pytest.raises(UsageError, match="prior"):
        await ImageSets(MemoryStore(), SEALER).create("designs", prior=prior)


async def test_a_set_keeps_its_options() -> None:
    store = MemoryStore()
    created = await ImageSets(store, SEALER).create("designs", thorough=True, prior=0.001, keep_thumbnail=True)
    (listed,) = await ImageSets(store, SEALER).list()
    assert listed == created
    assert (listed.thorough, listed.prior, listed.keep_thumbnail) == (True, 0.001, True)


async def test_a_threshold_is_moved_for_every_worker() -> None:
    store = MemoryStore()
    sets = ImageSets(store, SEALER)
    await sets.create("designs")
    replica = make_replica(store)
    await replica.load()
    assert (await sets.move_threshold("designs", 92.5)).threshold == 92.5
    assert (await replica.catch_up()).sets["designs"].threshold == 92.5
    with pytest.raises(UsageError, match="between 0 and 100"):
        await sets.move_threshold("designs", 101)
    with pytest.raises(UsageError, match="no image set nobody"):
        await sets.move_threshold("nobody", 90)


async def test_frames_that_are_not_protected_are_told() -> None:
    sets = ImageSets(MemoryStore(), SEALER)
    await sets.create("designs")
    added = await sets.add("designs", "a.gif", b"1", Described(info=make_image_info(frames=12)))
    assert (added.status, [warning.partition(":")[0] for warning in added.warnings]) == ("added", ["frames"])


async def test_near_duplicates_and_collisions_are_told_also_within_one_command() -> None:
    store = MemoryStore()
    sets, replica = ImageSets(store, SEALER), make_replica(store)
    await sets.create("designs")
    await sets.create("photos")
    same = Described(vectors=(to_bytes(make_vector(7)),))
    assert (await sets.add("designs", "a.png", b"1", same, replica)).warnings == ()
    second = await sets.add("designs", "b.png", b"2", same, replica)
    assert second.status == "added"
    assert [warning.partition(":")[0] for warning in second.warnings] == ["near_duplicate"]
    third = await sets.add("photos", "c.png", b"3", same, replica)
    assert [warning.partition(":")[0] for warning in third.warnings] == ["collision", "collision"]
    assert "designs/" in third.warnings[0]


@pytest.mark.parametrize(
    ("fingerprinter", "usual", "code"),
    [
        (Described(info=make_image_info(low_information=True)), None, "low_information"),
        (Described(info=make_image_info(width=31)), None, "tiny"),
        (SEEDS, 0.6, "generic"),
    ],
)
async def test_what_would_match_images_in_general_needs_force(
    fingerprinter: SeedFingerprinter, usual: float | None, code: str
) -> None:
    store = MemoryStore()
    sets, replica = ImageSets(store, SEALER), make_replica(store, usual=usual)
    await sets.create("designs")
    rejected = await sets.add("designs", "a.png", b"7", fingerprinter, replica)
    assert (rejected.status, rejected.error, rejected.warnings) == ("rejected", code, ())
    assert rejected.message.endswith("--force adds it")
    forced = await sets.add("designs", "a.png", b"7", fingerprinter, replica, force=True)
    assert (forced.status, forced.error) == ("added", "")
    assert [warning.partition(":")[0] for warning in forced.warnings] == [code]
    assert "--force" not in forced.warnings[0]


async def test_a_forced_blank_image_matches_by_its_bytes_only() -> None:
    store = MemoryStore()
    sets = ImageSets(store, SEALER)
    await sets.create("designs")
    blank = Described(info=make_image_info(low_information=True), views=b"v", local=b"l", sketch=b"s")
    await sets.add("designs", "blank.png", b"7", blank, force=True)
    (kept,) = (await sets.show("designs")).references
    assert sum(bytes_kept(kept).values()) == 0
    view = await make_replica(store).catch_up()
    near, identical = view.search([
        view.probe("f" * 64, make_vector(7)),
        view.probe(sha256(b"7").hexdigest(), None, low_information=True),
    ])  # fmt: skip
    assert near == ()
    assert [match.matched for match in identical] == [True]


async def test_no_picture_is_kept_unless_the_set_says_so() -> None:
    store = MemoryStore()
    sets = ImageSets(store, SEALER)
    await sets.create("designs")
    pictured = Described(plane=PLANE, plane_size=PLANE_SIZE)
    await sets.add("designs", "a.png", b"7", pictured)
    log = IndexLog(store, SEALER)
    entries = [log.open(entry.value)[1] for entry in await store.read(INDEX_LOG, 0, 10)]
    assert any(isinstance(entry, ReferenceAdded) for entry in entries)
    for stored in map(encode_event, entries):
        assert b"JFIF" not in stored
        assert PLANE[:256] not in stored
        assert b"\xff\xd8\xff" not in stored
    assert await sets.thumbnail("designs", sha256(b"7").hexdigest()[:20]) == b""


async def test_a_kept_thumbnail_is_sealed() -> None:
    store = MemoryStore()
    sets = ImageSets(store, SEALER)
    await sets.create("designs", keep_thumbnail=True)
    kept_as = await sets.add("designs", "a.png", b"7", Described(plane=PLANE, plane_size=PLANE_SIZE))
    assert (await sets.thumbnail("designs", kept_as.reference)).startswith(b"\xff\xd8\xff")
    (kept,) = (await sets.show("designs")).references
    assert b"JFIF" not in kept.thumbnail
    assert bytes_kept(kept)["thumbnail"] == len(kept.thumbnail) > 0
    with pytest.raises(IntegrityError):
        Sealer(b"1" * 32).open(kept.thumbnail, place=f"thumbnail/designs/{kept_as.reference}")
    with pytest.raises(UsageError, match="has no nobody"):
        await sets.thumbnail("designs", "nobody")


async def test_a_thorough_set_takes_no_more_than_can_be_searched() -> None:
    sets = ImageSets(MemoryStore(), SEALER, thorough_limit=2)
    await sets.create("designs", thorough=True)
    await sets.create("plain")
    for name in ("designs", "plain"):
        results = [await sets.add(name, f"{seed}.png", b"%d" % seed, SEEDS) for seed in range(3)]
        assert [result.error for result in results] == ["", "", "thorough_limit" if name == "designs" else ""]
        assert (await sets.add(name, "0.png", b"0", SEEDS)).status == "duplicate"
        assert "another set" in results[2].message or name == "plain"
