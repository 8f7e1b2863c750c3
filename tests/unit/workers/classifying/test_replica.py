"""A worker's classifiers: new ones within a turn, those of another encoder never."""

import asyncio

import pytest

from shared.sealing import Sealer
from shared.telemetry import Metrics
from tests.classifier_factories import SPACE, make_classifier
from tests.clocks import ManualClock
from tests.memory_store import MemoryStore
from workers.classifying.replica import ClassifierReplica
from workers.classifying.revisions import ClassifierBook
from workers.classifying.vectors import Space

SEALER = Sealer(bytes(32))
CLASSIFIER = make_classifier("receipt")


async def test_what_is_published_answers_and_what_is_deleted_does_not() -> None:
    store, metrics = MemoryStore(), Metrics()
    book = ClassifierBook(store, SEALER, ManualClock())
    replica = ClassifierReplica(store, SEALER, SPACE, metrics)
    assert not replica.caught_up()
    await replica.load()
    assert (replica.caught_up(), replica.current().position, dict(replica.current().by_name)) == (True, 0, {})
    await book.publish(CLASSIFIER, 0, "first")
    await replica.load()
    assert (replica.current().position, list(replica.current().by_name)) == (1, ["documents"])
    assert replica.current().revisions == {"documents": 1}
    await book.delete("documents")
    await replica.load()
    assert (replica.current().position, list(replica.current().by_name)) == (2, [])
    assert replica.current().revisions == {"documents": 0}
    assert metrics.value("safelight_classifiers") == 0


@pytest.mark.error_logs("gives no answers")
async def test_one_of_another_encoder_gives_no_answer() -> None:
    store, metrics = MemoryStore(), Metrics()
    await ClassifierBook(store, SEALER, ManualClock()).publish(CLASSIFIER, 0, "first")
    replica = ClassifierReplica(store, SEALER, Space(encoder="f2", features="abc"), metrics)
    await replica.load()
    await replica.load()
    assert list(replica.current().by_name) == []
    assert metrics.value("safelight_classifiers_refused_total") == 1


async def test_it_follows_the_log_and_outlives_the_store() -> None:
    store, metrics = MemoryStore(), Metrics()
    replica = ClassifierReplica(store, SEALER, SPACE, metrics)
    tailing = asyncio.get_running_loop().create_task(replica.tail())
    await ClassifierBook(store, SEALER, ManualClock()).publish(CLASSIFIER, 0, "first")

    async def known() -> None:
        while not replica.current().by_name:
            await store.wait("classifiers", 10**6, 0.01)

    try:
        await asyncio.wait_for(known(), 10)
    finally:
        tailing.cancel()
        await asyncio.gather(tailing, return_exceptions=True)
