"""Classifiers in the store: who was first counts, older revisions come back, other keys' are refused."""

import pytest

from shared.errors import IntegrityError, StoreError, UsageError
from shared.sealing import Sealer
from tests.classifier_factories import make_classifier
from tests.clocks import ManualClock
from tests.memory_store import MemoryStore
from workers.classifying.revisions import KEPT_DAYS, ClassifierBook

SEALER = Sealer(bytes(32))
ONE, TWO = make_classifier("receipt"), make_classifier("receipt", "invoice")


class LaterClock(ManualClock):
    """Whose wall clock moves, too."""

    days = 0.0

    def wall(self) -> float:
        return super().wall() + self.days * 86_400


def book(store: MemoryStore, clock: ManualClock | None = None) -> ClassifierBook:
    return ClassifierBook(store, SEALER, clock or ManualClock())


async def test_what_is_published_is_found_by_everybody() -> None:
    store = MemoryStore()
    first = await book(store).publish(ONE, 0, "receipt: 20 added")
    second = await book(store).publish(TWO, first.number, "invoice: 20 added")
    revision, found = await book(store).show("documents")
    assert (revision.number, found.labels) == (second.number, ("invoice", "receipt"))
    assert await book(store).names() == ("documents",)
    assert [one.note for one in await book(store).history("documents")] == ["receipt: 20 added", "invoice: 20 added"]


async def test_of_two_at_the_same_time_the_second_is_told() -> None:
    store = MemoryStore()
    await book(store).publish(ONE, 0, "first")
    with pytest.raises(StoreError, match="changed by somebody else"):
        await book(store).publish(TWO, 0, "second")
    assert (await book(store).show("documents"))[1].labels == ("receipt",)


async def test_an_older_revision_comes_back() -> None:
    store = MemoryStore()
    first = await book(store).publish(ONE, 0, "first")
    await book(store).publish(TWO, first.number, "second")
    again = await book(store).roll_back("documents", first.number)
    revision, found = await book(store).show("documents")
    assert (revision.number, found.labels) == (again.number, ("receipt",))
    with pytest.raises(UsageError, match="has no revision 9; kept: 1, 2, 3"):
        await book(store).roll_back("documents", 9)


async def test_what_is_deleted_is_unknown_and_may_be_made_again() -> None:
    store = MemoryStore()
    await book(store).publish(ONE, 0, "first")
    await book(store).delete("documents")
    assert await book(store).names() == ()
    for missing in (book(store).show("documents"), book(store).delete("documents")):
        with pytest.raises(UsageError, match="no classifier is named documents; known: none"):
            await missing
    await book(store).publish(TWO, 0, "again")
    assert await book(store).names() == ("documents",)
    with pytest.raises(UsageError, match="no classifier is named rooms"):
        await book(store).history("rooms")


async def test_replaced_revisions_are_forgotten_after_a_month() -> None:
    store, clock = MemoryStore(), LaterClock()
    first = await book(store, clock).publish(ONE, 0, "first")
    clock.days = KEPT_DAYS + 1
    await book(store, clock).publish(TWO, first.number, "second")
    assert len(store.blobs) == 1
    with pytest.raises(UsageError, match="has no revision 1"):
        await book(store, clock).roll_back("documents", first.number)


async def test_another_key_s_classifiers_are_refused() -> None:
    store = MemoryStore()
    await book(store).publish(ONE, 0, "first")
    with pytest.raises(IntegrityError, match=r"same secrets\.key_file"):
        await ClassifierBook(store, Sealer(bytes([1]) * 32), ManualClock()).names()
