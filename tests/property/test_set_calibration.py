"""What a set's calibration never says, whatever the images scored."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from workers.image_sets.calibration import LEAST_COUNT, Trial
from workers.intervals import clopper_pearson

FLOOR = 50.0
scores = st.floats(FLOOR, 100.0) | st.sampled_from([0.0, 0.0, 85.0, 99.0])
trials = st.lists(scores, min_size=1, max_size=300).map(
    lambda values: Trial(name="any", scores=np.array(values), floor=FLOOR)
)
thresholds = st.floats(FLOOR, 100.0)
targets = st.floats(1e-9, 0.5)


@given(trials, thresholds, thresholds)
def test_the_rate_never_rises_with_the_threshold(trial: Trial, one: float, other: float) -> None:
    low, high = sorted((one, other))
    assert trial.rate(low).estimate >= trial.rate(high).estimate


@settings(deadline=None)  # 28 exact intervals
@given(trials, targets, targets)
def test_the_threshold_never_falls_as_the_target_does(trial: Trial, one: float, other: float) -> None:
    strict, lax = sorted((one, other))
    assert trial.threshold_for(strict).threshold >= trial.threshold_for(lax).threshold


@given(trials, thresholds)
def test_a_rate_below_three_in_n_is_never_given_as_measured(trial: Trial, threshold: float) -> None:
    rate = trial.rate(threshold)
    if not rate.extrapolated:
        assert rate.estimate >= LEAST_COUNT / trial.tried
        assert rate.estimate == rate.count / rate.tried
    assert rate.interval.low <= rate.estimate <= rate.interval.high


@settings(deadline=None)
@given(trials, targets)
def test_a_threshold_keeps_its_target_or_is_the_highest(trial: Trial, target: float) -> None:
    found = trial.threshold_for(target)
    assert found.estimate <= target or found.threshold == 99.99
    assert FLOOR <= found.threshold <= 99.99


@given(st.integers(1, 2000).flatmap(lambda tried: st.tuples(st.integers(0, tried), st.just(tried))))
def test_the_interval_holds_the_share_that_was_counted(counted: tuple[int, int]) -> None:
    count, tried = counted
    interval = clopper_pearson(count, tried)
    assert 0.0 <= interval.low <= count / tried <= interval.high <= 1.0
    wider = clopper_pearson(count, tried, 0.99)
    assert wider.low <= interval.low
    assert interval.high <= wider.high
