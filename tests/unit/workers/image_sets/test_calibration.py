"""Thresholds from scores whose distribution is known."""

import math

import numpy as np
import pytest

from shared.core.matching import HALF_SCORE
from workers.image_sets.calibration import Method, Scores, Tail, Trial, assess, calibrated_threshold, rarity_of

FLOOR = 50.0


def scores_of(rarities: Scores) -> Scores:
    return np.asarray(100 * rarities / (rarities + HALF_SCORE), dtype=np.float64)


def make_trial(
    tried: int, *, mean: float = 1 / math.log(10), seed: int = 0, name: str = "pool", floor: float = FLOOR
) -> Trial:
    """Return images whose -log10 P is exponential: by default as a right calibration has it."""
    scores = scores_of(np.random.default_rng(seed).exponential(mean, tried))
    return Trial(name=name, scores=np.where(scores < floor, 0.0, scores), floor=floor)


def test_a_right_calibration_is_confirmed() -> None:
    trial = make_trial(20_000)
    found = trial.threshold_for(1e-4)
    assert found.threshold == pytest.approx(85.0, abs=2.0)
    assert found.method is Method.TAIL
    measured = trial.threshold_for(1e-2)
    assert measured.threshold == pytest.approx(100 * 2 / (2 + HALF_SCORE), abs=1.0)
    assert (measured.method, measured.count) == (Method.MEASURED, 200)


def test_a_calibration_that_promises_too_much_is_found_out() -> None:
    wrong = make_trial(5_000, mean=2 / math.log(10))  # at 85, one in 100 instead of one in 10,000
    assert wrong.rate(85.0).interval.low < 1e-2 < wrong.rate(85.0).interval.high
    assert wrong.threshold_for(1e-4).threshold > 90.0


def test_nothing_seen_is_not_a_rate_of_nothing() -> None:
    rate = make_trial(1_000).rate(95.0)
    assert (rate.count, rate.extrapolated) == (0, True)
    assert 0.0 < rate.estimate < 3 / 1_000
    assert rate.interval.high == pytest.approx(3.69 / 1_000, rel=0.01)


def test_where_nothing_comes_near_the_calibration_speaks() -> None:
    trial = Trial(name="far", scores=np.zeros(2_000), floor=FLOOR)
    found = trial.threshold_for(1e-4)
    assert (found.threshold, found.method) == (85.0, Method.CALIBRATION)
    assert found.estimate == pytest.approx(1e-4)


def test_a_threshold_below_what_is_known_is_not_suggested() -> None:
    assert make_trial(2_000).threshold_for(0.9).threshold == FLOOR


def test_a_target_out_of_reach_gives_the_highest_threshold() -> None:
    copies = Trial(name="copies", scores=np.full(50, 100.0), floor=FLOOR)
    found = copies.threshold_for(1e-3)
    assert (found.threshold, found.count, found.estimate) == (99.99, 50, 1.0)


def test_equal_scores_make_a_tail_without_length() -> None:
    tail = Tail.fit(np.full(40, 2.0), 400)
    assert tail is not None
    assert tail.survival(2.0) == pytest.approx(20 / 400)
    assert tail.survival(2.1) == 0.0


def test_too_few_are_no_tail() -> None:
    assert Tail.fit(np.full(20, 2.0), 400) is None


def test_the_worst_stratum_is_named() -> None:
    quiet, loud = make_trial(500, name="photographs"), make_trial(500, mean=1.5, seed=1, name="documents")
    pool = Trial(name="pool", scores=np.concatenate([quiet.scores, loud.scores]), floor=FLOOR)
    finding = assess(pool, [quiet, loud], threshold=85.0, target=1e-3)
    assert finding.worst == "documents"
    assert finding.strata["documents"].estimate > finding.present.estimate > finding.strata["photographs"].estimate
    assert assess(pool, [], threshold=85.0, target=1e-3).worst == "pool"


@pytest.mark.parametrize("target", [0.0, 1.0, -1.0, math.nan])
def test_impossible_targets_are_refused(target: float) -> None:
    with pytest.raises(ValueError, match="between 0 and 1"):
        assess(make_trial(50), [], threshold=85.0, target=target)


@pytest.mark.parametrize("scores", [[], [101.0], [-1.0], [math.nan]])
def test_what_is_no_score_is_refused(scores: list[float]) -> None:
    with pytest.raises(ValueError, match="scores"):
        Trial(name="x", scores=np.array(scores), floor=FLOOR)


def test_rarity_is_the_scores_own_scale() -> None:
    assert rarity_of(np.array([0.0, 50.0, 85.0, 100.0])) == pytest.approx([0.0, HALF_SCORE, 4.0, 30.0])


def test_a_fit_speaks_for_one_decade_only() -> None:
    steep = make_trial(2_000, mean=0.3 / math.log(10), floor=10.0)  # the fit alone would say one in 10^13 at 85
    near, far = steep.rate(63.0), steep.rate(85.0)
    assert near.method is Method.TAIL
    assert 1 / 20_000 <= near.estimate <= 3 / 2_000
    assert (far.method, far.estimate) == (Method.CALIBRATION, 1 / 20_000)
    assert steep.rate(90.0).estimate == pytest.approx(10 ** -(9 * HALF_SCORE))
    assert steep.threshold_for(1e-4).threshold < 85.0
    assert steep.threshold_for(1e-6).threshold == calibrated_threshold(1e-6)


def test_a_right_calibration_s_threshold_is_rounded_up() -> None:
    assert [calibrated_threshold(target) for target in (1e-4, 1e-3, 1e-300)] == [85.0, 80.96, 99.77]
