"""A worker's classifiers: new ones within a turn, those of another encoder never."""

import asyncio

import pytest

from shared.errors import IntegrityError
from shared.sealing import Sealer
from shared.telemetry import Metrics
from tests.classifier_factories import make_classifier
from tests.clocks import ManualClock
from tests.memory_store import MemoryStore
from workers.classifying.labelling import Answers, ClassifierAnswers
from workers.classifying.model import unpack
from workers.classifying.replica import ClassifierReplica
from workers.classifying.revisions import ClassifierBook

SEALER = Sealer(bytes(32))


def load(name: str, data: bytes) -> Answers:
    """Another encoder's space is refused under the name `strange`."""
    if name == "strange":
        raise IntegrityError("of another encoder")
    return ClassifierAnswers(unpack(data))


LOADERS = {"classifier": load}
CLASSIFIER = make_classifier("receipt")


async def test_what_is_published_answers_and_what_is_deleted_does_not() -> None:
    store, metrics = MemoryStore(), Metrics()
    book = ClassifierBook(store, SEALER, ManualClock())
    replica = ClassifierReplica(store, SEALER, LOADERS, metrics)
    assert not replica.caught_up()
    await replica.load()
    assert (replica.caught_up(), replica.current().position, dict(replica.current().by_name)) == (True, 0, {})
    await book.publish("documents", CLASSIFIER, 0, "first")
    await replica.load()
    assert (replica.current().position, list(replica.current().by_name)) == (1, ["documents"])
    assert replica.current().revisions == {"documents": 1}
    await book.delete("documents")
    await replica.load()
    assert (replica.current().position, list(replica.current().by_name)) == (2, [])
    assert replica.current().revisions == {"documents": 0}
    assert metrics.value("safelight_classifiers") == 0


async def test_what_ships_answers_until_there_is_a_revision_of_its_name_and_again_without() -> None:
    store, screens = MemoryStore(), make_classifier("code", name="screens")
    shipped = {"documents": make_classifier("plan"), "screens": screens}
    answers = {name: ClassifierAnswers(classifier) for name, classifier in shipped.items()}
    book = ClassifierBook(store, SEALER, ManualClock(), shipped)
    replica = ClassifierReplica(store, SEALER, LOADERS, Metrics(), answers)
    await replica.load()
    assert dict(replica.current().by_name) == answers
    await book.publish("documents", CLASSIFIER, 0, "one of my own")
    await replica.load()
    assert dict(replica.current().by_name) != answers
    assert replica.current().by_name["screens"] == answers["screens"]
    await book.delete("documents")
    await replica.load()
    assert dict(replica.current().by_name) == answers


@pytest.mark.error_logs("gives no answers")
async def test_what_ships_does_not_answer_for_a_revision_that_cannot() -> None:
    store = MemoryStore()
    await ClassifierBook(store, SEALER, ManualClock()).publish("strange", CLASSIFIER, 0, "first")
    shipped = {"strange": ClassifierAnswers(CLASSIFIER)}
    replica = ClassifierReplica(store, SEALER, LOADERS, Metrics(), shipped)
    await replica.load()
    assert dict(replica.current().by_name) == {}


@pytest.mark.error_logs("gives no answers")
async def test_what_cannot_answer_here_gives_no_answer() -> None:
    store, metrics = MemoryStore(), Metrics()
    book = ClassifierBook(store, SEALER, ManualClock())
    await book.publish("strange", CLASSIFIER, 0, "first")
    await book.publish("documents", CLASSIFIER, 0, "first")
    replica = ClassifierReplica(store, SEALER, LOADERS, metrics)
    await replica.load()
    await replica.load()
    assert list(replica.current().by_name) == ["documents"]
    assert metrics.value("safelight_classifiers_refused_total") == 1


@pytest.mark.error_logs("gives no answers")
async def test_a_kind_of_a_later_version_and_lost_bytes_give_no_answer() -> None:
    store, metrics = MemoryStore(), Metrics()
    book = ClassifierBook(store, SEALER, ManualClock())
    await book.publish("documents", CLASSIFIER, 0, "first")
    await ClassifierReplica(store, SEALER, {}, metrics).load()
    assert metrics.value("safelight_classifiers_refused_total") == 1
    store.blobs.clear()
    replica = ClassifierReplica(store, SEALER, LOADERS, metrics)
    await replica.load()
    assert (dict(replica.current().by_name), replica.caught_up()) == ({}, True)
    assert metrics.value("safelight_classifiers_refused_total") == 2


async def test_it_follows_the_log_and_outlives_the_store() -> None:
    store, metrics = MemoryStore(), Metrics()
    replica = ClassifierReplica(store, SEALER, LOADERS, metrics)
    tailing = asyncio.get_running_loop().create_task(replica.tail())
    await ClassifierBook(store, SEALER, ManualClock()).publish("documents", CLASSIFIER, 0, "first")

    async def known() -> None:
        while not replica.current().by_name:
            await store.wait("classifiers", 10**6, 0.01)

    try:
        await asyncio.wait_for(known(), 10)
    finally:
        tailing.cancel()
        await asyncio.gather(tailing, return_exceptions=True)
