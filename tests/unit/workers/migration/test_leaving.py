"""What a change of the encoder leaves behind is known before."""

from dataclasses import replace

from shared.errors import EncoderUnavailableError
from tests.classifier_factories import SPACE, make_classifier
from tests.clocks import ManualClock
from tests.index_factories import SEALER
from tests.label_factories import make_space
from tests.memory_store import MemoryStore
from workers.classifying.hard_negatives import Candidate, append
from workers.classifying.model import Classifier
from workers.classifying.revisions import ClassifierBook
from workers.labels.published import LabelSpaceBook
from workers.migration.leaving import LeftBehind, NewEncoder, left_behind

CLOCK = ManualClock()
TARGET = NewEncoder(id="encoder-2", side=128, shipped=frozenset({"builtin-a"}))


class Adapter:
    """Converts all classifiers but some."""

    def __init__(self, *unable: str) -> None:
        self.unable = unable

    def classifier(self, classifier: Classifier) -> Classifier:
        if classifier.name in self.unable:
            raise EncoderUnavailableError("there is no bank of other pictures")
        return replace(classifier, space=replace(SPACE, encoder=TARGET.id))


def candidate(classifier: str) -> Candidate:
    return Candidate(
        classifier=classifier,
        space=SPACE,
        label="receipt",
        score=80.0,
        threshold=85.0,
        sha256="c" * 64,
        pdq="",
        at=CLOCK.wall(),
        row=b"\0\0",
    )


async def found(store: MemoryStore, adapter: Adapter, *shipped: str) -> LeftBehind:
    return await left_behind(store, SEALER, CLOCK, frozenset(shipped), TARGET, adapter)


async def test_nothing_is_left_where_all_comes_along() -> None:
    store = MemoryStore()
    await ClassifierBook(store, SEALER, CLOCK).publish("papers", make_classifier("receipt", name="papers"), 0, "")
    left = await found(store, Adapter(), "builtin-a")
    assert (left.silent(), list(left.sentences())) == ((), [])


async def test_what_gives_no_answer_any_more_is_named() -> None:
    store = MemoryStore()
    classifiers, spaces = ClassifierBook(store, SEALER, CLOCK), LabelSpaceBook(store, SEALER, CLOCK)
    await classifiers.publish("papers", make_classifier("receipt", name="papers"), 0, "")
    await classifiers.publish("builtin-b", make_classifier("plan", name="builtin-b"), 0, "")
    for name, space in {
        "behind-the-old": make_space(encoder="encoder-1"),
        "behind-the-new": make_space(encoder="encoder-2"),
        "of-pixels": make_space(encoder="", side=128),
        "of-other-pixels": make_space(encoder="", side=96),
    }.items():
        await spaces.publish(name, space, 0, "")
    await append(store, SEALER, [candidate("papers")])
    left = await found(store, Adapter("papers"), "builtin-a", "builtin-b", "builtin-c")
    assert left.silent() == ("behind-the-old", "builtin-c", "of-other-pixels", "papers")
    assert left.classifiers == {"papers": "there is no bank of other pictures"}
    assert left.candidates == 1
    said = "\n".join(left.sentences())
    assert all(name in said for name in left.silent())
    assert "1 images that are suggested as negatives are forgotten" in said
