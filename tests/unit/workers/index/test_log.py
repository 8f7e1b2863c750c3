import json
from collections.abc import Sequence
from dataclasses import replace

import pytest

from shared.codec import encode_event
from shared.errors import IntegrityError, SafelightError, StoreError
from shared.sealing import Sealer
from shared.types import INDEX_LOG, Reference
from tests.index_factories import ENCODER, SEALER, added, make_reference, make_set
from tests.memory_store import MemoryStore
from workers.encoders.generations import GenerationBook
from workers.encoders.names import EncoderName
from workers.index.log import SNAPSHOT_KEY, IndexFollower, IndexLog, IndexStaleError
from workers.index.pending_parts import PENDING_KEY
from workers.index.snapshot import PART_BYTES, Snapshot
from workers.references.reference_table import ReferenceTable


def snapshot_at(position: int, *seeds: int) -> Snapshot:
    return Snapshot(
        encoder=ENCODER,
        position=position,
        sets=(make_set(),),
        references=ReferenceTable.of(make_reference(seed) for seed in seeds),
    )


async def load(store: MemoryStore, refusals: list[SafelightError] | None = None) -> IndexFollower:
    refused = (refusals if refusals is not None else []).append
    return await IndexFollower.load(IndexLog(store, SEALER), encoder=ENCODER, refused=refused)


async def test_an_empty_store_is_an_empty_index() -> None:
    follower = await load(MemoryStore())
    assert (follower.position, len(follower.state)) == (0, 0)
    assert await follower.advance() == []


async def test_entries_are_applied_in_order_and_tell_what_they_changed() -> None:
    store = MemoryStore()
    log = IndexLog(store, SEALER)
    follower = await load(store)
    assert await log.append(make_set()) == 1
    assert await log.append(added(1)) == 2
    changes = dict(await follower.advance())
    assert changes[1].keys == ()
    assert changes[2].keys == (("designs", "r1"),)
    assert follower.position == 2


def headers(store: MemoryStore) -> set[str]:
    return {name for name in store.blobs if name.count("/") == 2}


async def test_a_snapshot_stands_for_what_was_truncated() -> None:
    store = MemoryStore()
    log = IndexLog(store, SEALER)
    for event in (make_set(), added(1), added(2)):
        await log.append(event)
    assert await log.publish(snapshot_at(2, 1), None, 7.0)
    assert [entry.position for entry in await store.read(INDEX_LOG, 0, 10)] == [3]
    follower = await load(store)
    assert {reference.reference for reference in follower.state.references()} == {"r1", "r2"}
    assert follower.state.since() == (("designs", "r2"),)


async def test_of_two_snapshots_the_first_wins_and_the_second_changes_nothing() -> None:
    store = MemoryStore()
    log = IndexLog(store, SEALER)
    for event in (make_set(), added(1)):
        await log.append(event)
    assert await log.publish(snapshot_at(1), None, 7.0)
    assert not await log.publish(snapshot_at(2, 1), None, 7.0)
    assert len(headers(store)) == 1
    assert len(store.blobs) == 2
    assert len((await load(store)).state) == 1


async def test_a_replaced_snapshot_is_kept_for_one_generation() -> None:
    store = MemoryStore()
    log = IndexLog(store, SEALER)
    await log.append(make_set())
    for number in range(4):
        assert await log.publish(snapshot_at(1), await log.pointer(), 7.0)
        assert len(headers(store)) == min(2, number + 1)
    pointer = await log.pointer()
    assert pointer is not None
    assert headers(store) == {pointer.blob, pointer.previous}
    assert {name.rpartition("/")[0] for name in set(store.blobs) - headers(store)} == headers(store)


class Killed(MemoryStore):
    """Dies with its client after so many blobs: nothing of what follows reaches it."""

    def __init__(self, blobs: int) -> None:
        super().__init__()
        self.left = blobs

    async def put_blob(self, name: str, data: bytes, *, ttl: float | None = None) -> None:
        self.down = self.down or self.left == 0
        self.left -= 1
        await super().put_blob(name, data, ttl=ttl)


@pytest.mark.parametrize("written", [1, 2])
async def test_what_a_compactor_that_was_killed_has_written_is_deleted_by_the_next(written: int) -> None:
    store = Killed(written)
    large = ReferenceTable.of([make_reference(1, local=bytes(PART_BYTES))])  # two parts
    log = IndexLog(store, SEALER)
    await log.append(make_set(), added(1))
    with pytest.raises(StoreError):
        await log.publish(replace(snapshot_at(2), references=large), None, 7.0)
    store.down, store.left = False, 1000
    orphans = set(store.blobs)
    assert len(orphans) == written
    assert await log.publish(snapshot_at(2, 1), None, 8.0)
    assert not orphans & set(store.blobs)
    assert len((await load(store)).state) == 1
    assert json.loads(store.keys[PENDING_KEY].value) == []


async def test_an_older_snapshot_that_a_killed_compactor_left_is_deleted_too() -> None:
    store = MemoryStore()
    log = IndexLog(store, SEALER)
    await log.append(make_set())
    for _ in range(2):
        await log.publish(snapshot_at(1), await log.pointer(), 7.0)

    async def killed(_: int) -> None:
        store.down = True

    with pytest.raises(StoreError):
        await log.publish(snapshot_at(1), await log.pointer(), 7.0, killed)
    store.down = False
    assert len(headers(store)) == 3
    assert await log.publish(snapshot_at(1), await log.pointer(), 8.0)
    assert len(headers(store)) == 2


async def test_a_compactor_whose_parts_were_deleted_meanwhile_does_not_publish() -> None:
    class Overtaken(MemoryStore):
        async def put_blob(self, name: str, data: bytes, *, ttl: float | None = None) -> None:
            await super().put_blob(name, data, ttl=ttl)
            held = await self.get(PENDING_KEY)
            if held is not None:
                await self.compare_and_set(PENDING_KEY, held.version, b"[]")

    store = Overtaken()
    log = IndexLog(store, SEALER)
    await log.append(make_set())
    assert not await log.publish(snapshot_at(1), None, 7.0)
    assert (await log.pointer(), store.blobs) == (None, {})


async def test_a_truncation_past_the_follower_is_noticed() -> None:
    store = MemoryStore()
    log = IndexLog(store, SEALER)
    follower = await load(store)
    for event in (make_set(), added(1)):
        await log.append(event)
    await log.publish(snapshot_at(1), None, 7.0)
    with pytest.raises(IndexStaleError, match="goes on at 2 after 0"):
        await follower.advance()
    await log.publish(snapshot_at(2, 1), await log.pointer(), 7.0)
    with pytest.raises(IndexStaleError, match="does not end there"):
        await follower.advance()


async def test_a_store_that_was_set_back_is_noticed() -> None:
    store = MemoryStore()
    await IndexLog(store, SEALER).append(make_set())
    follower = await load(store)
    store.lose_logs()
    with pytest.raises(IndexStaleError):
        await follower.advance()


async def test_a_log_that_does_not_continue_the_snapshot_is_refused() -> None:
    store = MemoryStore()
    log = IndexLog(store, SEALER)
    for seed in range(3):
        await log.append(added(seed))
    await log.publish(snapshot_at(1), None, 7.0)
    await store.truncate(INDEX_LOG, 2)
    with pytest.raises(IntegrityError, match="does not continue"):
        await load(store)


async def test_a_missing_or_unreadable_snapshot_is_refused() -> None:
    store = MemoryStore()
    log = IndexLog(store, SEALER)
    await log.append(make_set())
    await log.publish(snapshot_at(1), None, 7.0)
    store.blobs.clear()
    with pytest.raises(IntegrityError, match="missing"):
        await load(store)
    for value in (
        b"",
        b"[1]",
        b'[{"blob": "x"}]',
        json.dumps([{"encoder": "e", "blob": "x", "position": "y"}]).encode(),
    ):
        held = await store.get(SNAPSHOT_KEY)
        assert held is not None
        await store.compare_and_set(SNAPSHOT_KEY, held.version, value)
        with pytest.raises(IntegrityError, match="pointer"):
            await load(store)


async def test_entries_that_do_not_open_are_passed_over_and_counted() -> None:
    store = MemoryStore()
    log = IndexLog(store, SEALER)
    await log.append(make_set())
    event = encode_event(added(1))
    await store.append(
        INDEX_LOG, [b"junk", SEALER.seal(event, place="elsewhere"), SEALER.seal(b"x", place="index-log")]
    )
    await log.append(added(2))
    refusals: list[SafelightError] = []
    follower = await load(store, refusals)
    assert [reference.reference for reference in follower.state.references()] == ["r2"]
    assert follower.refusals == len(refusals) == 3
    assert follower.position == 5


async def test_a_log_of_another_key_is_refused_whole() -> None:
    store = MemoryStore()
    await IndexLog(store, Sealer(bytes(31) + b"\1")).append(make_set())
    with pytest.raises(IntegrityError, match="key_file"):
        await load(store)


async def test_a_store_that_is_down_says_so() -> None:
    store = MemoryStore()
    store.down = True
    with pytest.raises(StoreError):
        await load(store)


OTHER = "encoder-2"


def convert(references: Sequence[Reference]) -> list[Reference]:
    """As if encoder-2 saw the same in what encoder-1 saw."""
    return [replace(each, encoder=OTHER) for each in references]


async def load_other(store: MemoryStore) -> IndexFollower:
    return await IndexFollower.load(IndexLog(store, SEALER), encoder=OTHER, refused=lambda _: None, convert=convert)


def encoders_of(follower: IndexFollower) -> dict[str, str]:
    return {reference.reference: reference.encoder for reference in follower.state.references()}


async def test_an_encoder_begins_with_anothers_snapshot_and_converts_what_comes() -> None:
    store = MemoryStore()
    log = IndexLog(store, SEALER)
    await log.append(make_set(), added(1))
    await log.publish(snapshot_at(2, 1), None, 7.0)
    await log.append(added(2), added(3, encoder=OTHER))
    follower = await load_other(store)
    assert follower.snapshot is not None
    assert (follower.snapshot.encoder, follower.snapshot.codes) == (OTHER, None)
    await log.append(added(4))
    await follower.advance()
    assert encoders_of(follower) == dict.fromkeys(("r1", "r2", "r3", "r4"), OTHER)


async def test_the_log_is_kept_for_the_encoder_that_is_further_behind() -> None:
    store = MemoryStore()
    log = IndexLog(store, SEALER)
    await log.append(make_set(), added(1))
    await log.publish(snapshot_at(2, 1), None, 7.0)
    await log.append(added(2), added(3))
    remembered: list[int] = []

    async def remember(upto: int) -> None:
        remembered.append(upto)

    theirs = replace(snapshot_at(4, 1, 2, 3), encoder=OTHER)
    assert await log.publish(theirs, None, 8.0, remember)
    assert remembered == [2]
    assert [entry.position for entry in await store.read(INDEX_LOG, 0, 10)] == [3, 4]
    newest, own = await log.pointer(), await log.pointer(ENCODER)
    assert newest is not None
    assert own is not None
    assert (newest.encoder, newest.position, own.position) == (OTHER, 4, 2)
    await GenerationBook(store).move(replace, EncoderName(id=ENCODER, version="one", precision="fp32"))
    assert await log.pointer() == own, "the one in force"
    assert set(encoders_of(await load(store))) == {"r1", "r2", "r3"}
    await log.drop(ENCODER)
    await log.drop(ENCODER)
    assert await log.pointer(ENCODER) is None
    assert await log.publish(theirs, await log.pointer(OTHER), 9.0)
    assert await store.read(INDEX_LOG, 0, 10) == ()
    assert not any(name.startswith(own.blob) for name in store.blobs)
