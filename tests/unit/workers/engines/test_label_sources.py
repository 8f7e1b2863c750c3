"""What is taught behind one encoder answers there, and nowhere else."""

from dataclasses import dataclass, replace

import pytest

from shared.errors import IntegrityError, UsageError
from shared.sealing import Sealer
from shared.telemetry import Metrics
from tests.classifier_factories import make_classifier
from tests.clocks import ManualClock
from tests.label_factories import make_card, make_space, pixel_model
from tests.memory_store import MemoryStore
from workers.classifying.labelling import ClassifierAnswers
from workers.classifying.model import Classifier
from workers.classifying.model import pack as pack_classifier
from workers.classifying.replica import ClassifierReplica
from workers.classifying.vectors import space_of
from workers.engines.label_sources import loaders
from workers.labels.answering import SpaceAnswers
from workers.labels.published import LabelSpaceBook, PublishedSpace, pack

SEALER = Sealer(bytes(32))


@dataclass(frozen=True)
class KnownEncoder:
    id: str = "encoder-1"
    side: int = 8
    dimension: int = 2


def load(space: PublishedSpace, encoder: KnownEncoder | None = None) -> SpaceAnswers:
    found = loaders(encoder or KnownEncoder())["label space"]("scenes", pack(space))
    assert isinstance(found, SpaceAnswers)
    return found


def test_a_label_space_of_this_encoder_answers() -> None:
    space = make_space()
    loaded = load(space)
    assert (loaded.name, loaded.network.card) == ("scenes", space.card)


def test_one_of_another_encoder_does_not() -> None:
    with pytest.raises(IntegrityError, match="behind encoder-2, this worker has encoder-1: train it again"):
        load(make_space(encoder="encoder-2"))
    with pytest.raises(IntegrityError, match=r"takes inputs of \(2,\), this worker has \(3,\)"):
        load(make_space(), KnownEncoder(dimension=3))


def test_a_network_with_an_encoder_of_its_own_needs_pictures_of_its_side() -> None:
    model = pixel_model(side=8)
    space = PublishedSpace(card=make_card(model, encoder="", side=8), model=model)
    assert load(space, KnownEncoder(id="encoder-9")).network.inputs == (3, 8, 8)
    with pytest.raises(IntegrityError, match="this worker has"):
        load(space, KnownEncoder(side=16))


def test_a_broken_file_does_not_answer() -> None:
    space = make_space()
    with pytest.raises(IntegrityError, match="is not the file"):
        load(replace(space, model=space.model + b"\0"))
    with pytest.raises(IntegrityError, match="cannot be read"):
        loaders(KnownEncoder())["label space"]("scenes", b"nonsense")


async def follow(store: MemoryStore) -> tuple[list[str], float]:
    """Which names answer in a worker, and how many it refused."""
    metrics = Metrics()
    replica = ClassifierReplica(store, SEALER, loaders(KnownEncoder()), metrics)
    await replica.load()
    return sorted(replica.current().by_name), metrics.value("safelight_classifiers_refused_total")


async def publish(store: MemoryStore, name: str, space: PublishedSpace, key: int = 0) -> str:
    """Publish and return the name of the blob."""
    known = set(store.blobs)
    await LabelSpaceBook(store, Sealer(bytes([key]) * 32), ManualClock()).publish(name, space, 0, "")
    (blob,) = set(store.blobs) - known
    return blob


@pytest.mark.error_logs("gives no answers|do not open")
async def test_whatever_is_in_the_store_the_others_answer() -> None:
    store = MemoryStore()
    await publish(store, "good", make_space())
    await publish(store, "of-another-encoder", make_space(encoder="encoder-2"))
    await publish(store, "of-another-key", make_space(), key=1)
    changed = await publish(store, "changed", make_space())
    store.blobs[changed] = store.blobs[changed][:-1] + b"?"
    moved = await publish(store, "moved", make_space())
    store.blobs[moved] = next(iter(store.blobs.values()))
    forged = await publish(store, "forged", make_space())
    store.blobs[forged] = SEALER.seal(b"\xff\xff\xff\xff" + b"{" * 100, place=forged)
    gone = await publish(store, "gone", make_space())
    del store.blobs[gone]
    assert await follow(store) == (["good"], 6)


def test_classifiers_are_loaded_by_the_encoder_too() -> None:
    encoder = KnownEncoder()
    classifier = replace(make_classifier("receipt"), space=space_of(encoder.id))
    assert isinstance(loaders(encoder)["classifier"]("documents", pack_classifier(classifier)), ClassifierAnswers)
    with pytest.raises(IntegrityError, match="train it again"):
        loaders(encoder)["classifier"]("documents", pack_classifier(make_classifier("receipt")))


def test_another_encoders_classifier_is_converted_where_that_is_possible() -> None:
    encoder, stored = KnownEncoder(), pack_classifier(make_classifier("receipt"))

    def convert(classifier: Classifier) -> Classifier:
        return replace(classifier, space=space_of(encoder.id))

    def refuse(_: Classifier) -> Classifier:
        raise UsageError("too few examples")

    found = loaders(encoder, convert)["classifier"]("documents", stored)
    assert isinstance(found, ClassifierAnswers)
    with pytest.raises(IntegrityError, match="too few examples"):
        loaders(encoder, refuse)["classifier"]("documents", stored)
    with pytest.raises(IntegrityError, match="train it again"):
        loaders(encoder, lambda classifier: classifier)["classifier"]("documents", stored)
