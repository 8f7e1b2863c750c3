"""What classifiers say of a picture."""

import numpy as np

from shared.types import LabelScore
from tests.classifier_factories import make_classifier, make_rows
from tests.factories import make_frame
from workers.classifying.labelling import Labelled, Labeller, answers, rows_of_frames
from workers.classifying.model import OTHER
from workers.classifying.replica import Labellers
from workers.classifying.vectors import shipped_features

BEST = make_classifier("receipt", "invoice")
SIDE = 128
FRAME = make_frame(pixels=bytes(range(256)) * (SIDE * SIDE * 3 // 256))
VECTOR = np.eye(512, dtype=np.float32)[0]


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
    assert answers(BEST, np.empty((0, 0), np.float32)) == (
        LabelScore(classifier="documents", label=OTHER, score=100.0),
    )


def test_a_file_of_several_pictures_has_the_best_score_of_any() -> None:
    rows = np.concatenate([make_rows(1, 6, noise=0), make_rows(1, 1, noise=0) * 2])
    (said,) = answers(BEST, rows)
    assert said.label == "invoice"


def test_a_frame_without_a_vector_is_passed_over() -> None:
    rows = rows_of_frames([FRAME, FRAME], [None, VECTOR], SIDE, shipped_features())
    assert rows.shape == (1, 512 + shipped_features().length)
    assert rows_of_frames([FRAME], [None], SIDE, shipped_features()).shape == (0, 0)


class Known:
    def current(self) -> Labellers:
        return Labellers(position=7, by_name={"documents": BEST}, revisions={"documents": 6})


def test_a_classifier_that_is_not_here_says_nothing() -> None:
    labeller = Labeller(Known(), shipped_features(), SIDE)
    assert labeller.answer(["rooms"], [FRAME], [VECTOR]) == Labelled(position=7, revisions=(("rooms", 0),))
    said = labeller.answer(["documents", "rooms"], [FRAME], [None])
    assert [(one.classifier, one.label) for one in said.labels] == [("documents", OTHER)]
    assert said.revisions == (("documents", 6), ("rooms", 0))
