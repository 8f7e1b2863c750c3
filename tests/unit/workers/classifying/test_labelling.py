"""What classifiers say of a picture."""

import numpy as np
import pytest

from shared.errors import IntegrityError
from shared.telemetry import Metrics
from shared.types import LabelScore
from tests.classifier_factories import make_classifier, make_rows
from tests.factories import make_frame
from workers.classifying.labelling import Answers, ClassifierAnswers, Labelled, Labeller, Labellers, Shown
from workers.classifying.model import OTHER, Classifier
from workers.classifying.vectors import shipped_features

BEST = make_classifier("receipt", "invoice")
SIDE = 128
SHA256 = "ab" * 32
FRAME = make_frame(pixels=bytes(range(256)) * (SIDE * SIDE * 3 // 256))
VECTOR = np.eye(512, dtype=np.float32)[0]


class Rows(Shown):
    """Pictures whose rows are known."""

    def __init__(self, rows: np.ndarray) -> None:
        self.rows = rows


def answers(classifier: Classifier, rows: np.ndarray) -> tuple[LabelScore, ...]:
    return ClassifierAnswers(classifier).answer(Rows(rows))


def test_the_best_label_is_said_or_all_that_are_reached() -> None:
    both = make_rows(1, 0, noise=0) * 3 + make_rows(1, 1, noise=0) * 2.5
    (only,) = answers(BEST, both)
    assert (only.classifier, only.label) == ("documents", "receipt")
    told = answers(make_classifier("receipt", "invoice", mode="all"), both)
    assert [one.label for one in told] == ["receipt", "invoice"]
    assert told[0].score >= told[1].score >= 85


def test_what_no_label_reaches_is_other() -> None:
    (said,) = answers(BEST, make_rows(1, 6, noise=0))
    assert said.label == OTHER
    assert said.score > 15


def test_a_file_of_several_pictures_has_the_best_score_of_any() -> None:
    rows = np.concatenate([make_rows(1, 6, noise=0), make_rows(1, 1, noise=0) * 2])
    (said,) = answers(BEST, rows)
    assert said.label == "invoice"


def test_pictures_are_made_into_what_is_asked_for() -> None:
    shown = Shown([FRAME, FRAME], [None, VECTOR], SIDE, shipped_features())
    assert len(shown) == 1
    assert (shown.vectors == VECTOR).all()
    assert shown.rows.shape == (1, 512 + shipped_features().length)
    assert shown.pixels.shape == (1, 3, SIDE, SIDE)
    assert shown.pixels[0, :, 0, 1].tolist() == [3.0, 4.0, 5.0]
    assert len(Shown([FRAME], [None], SIDE, shipped_features())) == 0


class Sure:
    def answer(self, shown: Shown) -> tuple[LabelScore, ...]:
        return (LabelScore(classifier="sure", label="receipt", score=float(len(shown))),)


class Broken:
    def answer(self, _: Shown) -> tuple[LabelScore, ...]:
        raise IntegrityError("no cosines")


class Known:
    def current(self) -> Labellers:
        by_name: dict[str, Answers] = {"sure": Sure(), "broken": Broken()}
        return Labellers(position=7, by_name=by_name, revisions={"sure": 6})


def test_what_is_not_here_says_nothing() -> None:
    labeller = Labeller(Known(), shipped_features(), SIDE, Metrics())
    assert labeller.answer(SHA256, ["rooms"], [FRAME], [VECTOR]) == Labelled(position=7, revisions=(("rooms", 0),))
    said = labeller.answer(SHA256, ["sure", "rooms"], [FRAME], [VECTOR])
    assert [one.classifier for one in said.labels] == ["sure"]
    assert said.revisions == (("sure", 6), ("rooms", 0))


def test_a_page_that_shows_nothing_is_other_for_everybody() -> None:
    said = Labeller(Known(), shipped_features(), SIDE, Metrics()).answer(SHA256, ["sure", "broken"], [FRAME], [None])
    assert said.labels == tuple(LabelScore(classifier=name, label=OTHER, score=100.0) for name in ("sure", "broken"))


@pytest.mark.error_logs("gives no answer")
def test_what_fails_says_nothing_and_is_counted() -> None:
    metrics = Metrics()
    said = Labeller(Known(), shipped_features(), SIDE, metrics).answer(SHA256, ["broken", "sure"], [FRAME], [VECTOR])
    assert {one.classifier for one in said.labels} == {"sure"}
    assert said.revisions == (("sure", 6),)
    assert metrics.value("safelight_worker_label_failures_total") == 1
