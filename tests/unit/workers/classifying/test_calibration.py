"""85 is where one other picture in 200 gets a label; a higher margin is never a lower score."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from workers.classifying.calibration import NAMED_RATE, NAMED_SCORE, calibrate, score_of


def test_one_in_two_hundred_unseen_pictures_reaches_85() -> None:
    margins = np.random.default_rng(1).logistic(-3, 1, (22_000, 2)).astype(np.float32)
    calibration = calibrate(margins[:2000])
    reached = calibration.score(margins[2000:]).max(axis=1) >= NAMED_SCORE
    assert abs(reached.mean() - NAMED_RATE) < 0.003


@pytest.mark.parametrize("count", [13, 50, 199, 1000])
def test_higher_margins_never_score_lower(count: int) -> None:
    calibration = calibrate(np.random.default_rng(count).normal(0, 1, (count, 1)).astype(np.float32))
    scores = calibration.score(np.linspace(-20, 30, 500, dtype=np.float32)[:, None])[:, 0]
    assert (np.diff(scores) >= 0).all()
    assert (np.diff(scores[scores > NAMED_SCORE][:100]) > 0).all()
    assert (scores[0], scores[-1]) == (pytest.approx(0, abs=3), pytest.approx(100, abs=0.5))


@given(st.floats(1e-9, 1))
def test_a_rarer_share_scores_higher(share: float) -> None:
    assert 0 <= score_of(share) <= score_of(share / 2) <= 100


def test_the_named_rate_scores_the_named_score() -> None:
    assert score_of(NAMED_RATE) == NAMED_SCORE
    assert score_of(NAMED_RATE / 10) == pytest.approx(NAMED_SCORE + 5)


def test_too_few_pictures_calibrate_nothing() -> None:
    with pytest.raises(ValueError, match="calibrate nothing"):
        calibrate(np.zeros((12, 1), np.float32))


def test_pictures_that_are_all_alike_calibrate_without_dividing_by_nothing() -> None:
    scores = calibrate(np.zeros((100, 1), np.float32)).score(np.array([[-1.0], [5.0]], np.float32))
    assert np.isfinite(scores).all()
    assert scores[1, 0] == pytest.approx(100)
