"""Classifiers in the store."""

import pytest

from shared.errors import UsageError
from shared.sealing import Sealer
from tests.classifier_factories import make_classifier
from tests.clocks import ManualClock
from tests.memory_store import MemoryStore
from workers.classifying.revisions import ClassifierBook


async def test_a_classifier_comes_back_as_it_was_published() -> None:
    store, one = MemoryStore(), make_classifier("receipt")
    book = ClassifierBook(store, Sealer(bytes(32)), ManualClock())
    published = await book.publish("documents", one, 0, "receipt: 20 added")
    revision, found = await ClassifierBook(store, Sealer(bytes(32)), ManualClock()).show("documents")
    assert (revision, revision.kind) == (published, "classifier")
    assert (found.labels, found.thresholds, found.examples) == (one.labels, one.thresholds, one.examples)


async def test_what_ships_is_there_without_a_revision_and_is_not_deleted() -> None:
    one, two = make_classifier("receipt"), make_classifier("receipt", "invoice")
    shipped = ClassifierBook(MemoryStore(), Sealer(bytes(32)), ManualClock(), {"documents": one})
    assert await shipped.names() == ("documents",)
    revision, found = await shipped.show("documents")
    assert (revision.number, found.labels) == (0, ("receipt",))
    assert await shipped.history("documents") == ()
    with pytest.raises(UsageError, match="documents ships with the product"):
        await shipped.delete("documents")
    with pytest.raises(UsageError, match="no classifier is named rooms; known: documents"):
        await shipped.show("rooms")
    own = await shipped.publish("documents", two, revision.number, "one more label")
    assert (await shipped.show("documents"))[1].labels == ("invoice", "receipt")
    assert [each.number for each in await shipped.history("documents")] == [own.number]
    await shipped.delete("documents")
    assert (await shipped.show("documents"))[1].labels == ("receipt",)
