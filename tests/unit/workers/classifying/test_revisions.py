"""Classifiers in the store."""

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
