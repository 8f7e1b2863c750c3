"""Names and their revisions: who was first counts, older ones come back, other keys' are refused."""

import pytest

from shared.errors import IntegrityError, StoreError, UsageError
from shared.sealing import Sealer
from tests.clocks import ManualClock
from tests.memory_store import MemoryStore
from workers.classifying.revision_log import KEPT_DAYS, Kind, RevisionBook, names_in_force

SEALER = Sealer(bytes(32))
TEXTS = Kind(name="text", pack=str.encode, unpack=bytes.decode)
SONGS = Kind(name="song", pack=str.encode, unpack=bytes.decode)


class LaterClock(ManualClock):
    """Whose wall clock moves, too."""

    days = 0.0

    def wall(self) -> float:
        return super().wall() + self.days * 86_400


def book(store: MemoryStore, clock: ManualClock | None = None, kind: Kind[str] = TEXTS) -> RevisionBook[str]:
    return RevisionBook(store, SEALER, clock or ManualClock(), kind)


async def test_what_is_published_is_found_by_everybody() -> None:
    store = MemoryStore()
    first = await book(store).publish("poem", "one", 0, "first")
    second = await book(store).publish("poem", "two", first.number, "second")
    assert await book(store).show("poem") == (second, "two")
    assert await book(store).names() == ("poem",)
    assert [one.note for one in await book(store).history("poem")] == ["first", "second"]


async def test_of_two_at_the_same_time_the_second_is_told() -> None:
    store = MemoryStore()
    await book(store).publish("poem", "one", 0, "first")
    with pytest.raises(StoreError, match="text poem was changed by somebody else"):
        await book(store).publish("poem", "two", 0, "second")
    assert (await book(store).show("poem"))[1] == "one"


async def test_an_older_revision_comes_back() -> None:
    store = MemoryStore()
    first = await book(store).publish("poem", "one", 0, "first")
    await book(store).publish("poem", "two", first.number, "second")
    again = await book(store).roll_back("poem", first.number)
    assert await book(store).show("poem") == (again, "one")
    with pytest.raises(UsageError, match="has no revision 9; kept: 1, 2, 3"):
        await book(store).roll_back("poem", 9)


async def test_what_is_deleted_is_unknown_and_may_be_made_again() -> None:
    store = MemoryStore()
    await book(store).publish("poem", "one", 0, "first")
    await book(store).delete("poem")
    assert await book(store).names() == ()
    for missing in (book(store).show("poem"), book(store).delete("poem")):
        with pytest.raises(UsageError, match="no text is named poem; known: none"):
            await missing
    await book(store).publish("poem", "two", 0, "again")
    assert await book(store).names() == ("poem",)
    with pytest.raises(UsageError, match="no text is named rooms"):
        await book(store).history("rooms")


async def test_what_cannot_be_read_can_be_deleted() -> None:
    store = MemoryStore()
    await book(store).publish("poem", "one", 0, "first")
    store.blobs = dict.fromkeys(store.blobs, b"nonsense")
    with pytest.raises(IntegrityError):
        await book(store).show("poem")
    await book(store).delete("poem")
    assert await book(store).find("poem") is None


async def test_a_name_stands_for_one_kind_at_a_time() -> None:
    store = MemoryStore()
    await book(store).publish("poem", "one", 0, "first")
    await book(store, kind=SONGS).publish("tune", "la", 0, "first")
    assert await names_in_force(store, SEALER) == ("poem", "tune")
    assert await book(store, kind=SONGS).names() == ("tune",)
    for wrong in (book(store, kind=SONGS).find("poem"), book(store, kind=SONGS).delete("poem")):
        with pytest.raises(UsageError, match="poem is a text, not a song"):
            await wrong
    await book(store).delete("poem")
    tune = await book(store, kind=SONGS).publish("poem", "la la", 0, "now a song")
    assert [one.number for one in await book(store, kind=SONGS).history("poem")] == [tune.number]
    with pytest.raises(UsageError, match="has no revision 1"):
        await book(store, kind=SONGS).roll_back("poem", 1)


async def test_replaced_revisions_are_kept_for_a_month() -> None:
    store, clock = MemoryStore(), LaterClock()
    first = await book(store, clock).publish("poem", "one", 0, "first")
    clock.days = 300
    second = await book(store, clock).publish("poem", "two", first.number, "second")
    clock.days += KEPT_DAYS - 1
    third = await book(store, clock).publish("poem", "three", second.number, "third")
    assert len(store.blobs) == 3  # the first was in force until a month ago
    clock.days += 2
    await book(store, clock).publish("poem", "four", third.number, "fourth")
    assert len(store.blobs) == 3
    with pytest.raises(UsageError, match="has no revision 1"):
        await book(store, clock).roll_back("poem", first.number)


async def test_what_was_deleted_is_forgotten_after_a_month_whatever_is_written_then() -> None:
    store, clock = MemoryStore(), LaterClock()
    poem = await book(store, clock).publish("poem", "one", 0, "first")
    await book(store, clock).delete("poem")
    clock.days = KEPT_DAYS - 1
    await book(store, clock).publish("ode", "one", 0, "another's")
    assert set(store.blobs) >= {poem.blob}, "until then it can come back"
    clock.days = KEPT_DAYS + 1
    song = await book(store, clock, SONGS).publish("song", "la", 0, "of another kind")
    assert poem.blob not in store.blobs
    assert song.blob in store.blobs
    assert len(store.blobs) == 2


async def test_another_key_s_entries_are_refused() -> None:
    store = MemoryStore()
    await book(store).publish("poem", "one", 0, "first")
    with pytest.raises(IntegrityError, match=r"same secrets\.key_file"):
        await RevisionBook(store, Sealer(bytes([1]) * 32), ManualClock(), TEXTS).names()
