"""Ordinary images against a set: who counts, in which stratum, with which score."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from shared.core.matching import Background, Calibration
from shared.errors import ErrorCode
from shared.types import Reference, ReferenceMatch, Relation, Verdict, VerdictError
from tests.factories import make_match
from tests.index_factories import CALIBRATION, ENCODER, make_reference, make_vector
from workers.image_sets.enrolment import SetContents, SetSummary
from workers.image_sets.trials import FLOOR, LeaveOneOut, Tried, bank_trial, best_match, images_trial, tried, view_of

SUMMARY = SetSummary(name="designs", threshold=85.0, relation="copy", size=2)
BANK = np.stack([make_vector(seed) for seed in range(100, 140)])
BACKGROUND = Background(bank=BANK, nearest=3, usual=0.65)


def make_contents(*references: Reference, **overrides: Any) -> SetContents:
    return SetContents(summary=replace(SUMMARY, **overrides), references=references)


def banked(bank: np.ndarray[Any, np.dtype[np.float32]] = BANK) -> Calibration:
    return replace(CALIBRATION, background=replace(BACKGROUND, bank=bank))


def designs(**overrides: Any) -> ReferenceMatch:
    return make_match(**{"set": "designs", "score": 60.0, **overrides})


def test_a_picture_of_the_bank_does_not_count_itself() -> None:
    alone = LeaveOneOut(bank=BANK, nearest=3, usual=0.0)
    cosines = np.sort(BANK @ BANK[7])[:-1]
    assert alone.discount(BANK[7]) == pytest.approx(cosines[-3:].mean(), abs=1e-6)
    assert alone.discount(BANK[7]) < replace(BACKGROUND, usual=0.0).discount(BANK[7])
    assert LeaveOneOut(bank=BANK[:1], nearest=1, usual=0.0).discount(BANK[0]) == 0.0


def test_a_picture_of_the_bank_that_a_set_holds_is_a_false_match() -> None:
    contents = make_contents(make_reference(1), make_reference(107, pdq=""))
    pool, strata = bank_trial(contents, ENCODER, banked())
    assert (pool.tried, strata) == (len(BANK), ())
    assert np.flatnonzero(pool.scores >= 85.0).tolist() == [7]
    assert pool.floor == FLOOR


def test_the_bank_s_strata_are_runs_of_it() -> None:
    contents = make_contents(make_reference(107, pdq=""))
    sizes = [("photographs", 5), ("documents", 10), ("photographs", 25)]
    _, strata = bank_trial(contents, ENCODER, banked(), sizes)
    assert [(stratum.name, stratum.tried) for stratum in strata] == [("photographs", 30), ("documents", 10)]
    assert [int((stratum.scores >= 85.0).sum()) for stratum in strata] == [0, 1]
    assert bank_trial(contents, ENCODER, banked(), [("photographs", 5)])[1] == ()


def test_an_encoder_without_a_bank_cannot_be_tried() -> None:
    with pytest.raises(ValueError, match="no background bank"):
        bank_trial(make_contents(make_reference(1)), ENCODER, CALIBRATION)


def test_references_of_another_encoder_are_passed_over() -> None:
    view = view_of(make_contents(make_reference(1), make_reference(2, encoder="other")), ENCODER, CALIBRATION)
    assert [reference.reference for reference in view.references("designs")] == ["r1"]
    assert view.sets["designs"].threshold == FLOOR


def test_only_what_the_set_protects_counts() -> None:
    copy, layout = designs(score=60.0), designs(score=90.0, relation=Relation.SAME_LAYOUT)
    other = make_match(set="other", score=99.0)
    assert best_match([other, layout, copy], SUMMARY) == copy
    assert best_match([other, layout, copy], replace(SUMMARY, relation="any")) == layout
    assert best_match([other], SUMMARY) is None


def verdict(*matches: ReferenceMatch, error: ErrorCode | None = None) -> Verdict:
    why = VerdictError(code=error, message="no") if error is not None else None
    return Verdict(sha256="0" * 64, matches=matches, error=why)


def test_images_that_are_no_ordinary_ones_do_not_count() -> None:
    assert tried("a", "x", verdict(error=ErrorCode.CORRUPT), SUMMARY) == "corrupt"
    assert tried("a", "x", verdict(designs(score=100.0)), SUMMARY) == "reference"
    near = tried("a", "x", verdict(designs(score=60.0)), SUMMARY)
    assert isinstance(near, Tried)
    assert near.score == 60.0
    far = tried("a", "x", verdict(), SUMMARY)
    assert isinstance(far, Tried)
    assert far.score == 0.0


def test_a_user_s_images_have_their_strata() -> None:
    images = [
        Tried(file=f"{number}.png", stratum=stratum, match=designs(score=score))
        for number, (stratum, score) in enumerate([("ui", 20.0), ("documents", 90.0), ("ui", 30.0)])
    ]
    pool, strata = images_trial(images)
    assert pool.scores.tolist() == [20.0, 90.0, 30.0]
    assert {stratum.name: stratum.scores.tolist() for stratum in strata} == {"ui": [20.0, 30.0], "documents": [90.0]}
