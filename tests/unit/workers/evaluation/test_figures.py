"""Figures against values that are known or can be counted by hand."""

import math

import numpy as np
import pytest

from workers.evaluation.figures import (
    NONE,
    Rankings,
    alarmed,
    at_precision,
    average_precision,
    cost,
    found_first,
    interval,
    leave_one_source_out,
    mean_of,
    mixed_cost_ratio,
    precision_recall,
    recall_at_1,
    recalled,
    upper_bound,
)


def rankings(numbers: list[list[int]], scores: list[list[float]]) -> Rankings:
    return Rankings(
        numbers=np.array(numbers, np.int64), scores=np.array(scores, np.float64), seconds=np.ones(len(numbers))
    )


@pytest.mark.parametrize(
    ("successes", "trials", "low", "high"),
    # R: binom.test(k, n)$conf.int
    [(0, 10, 0.0, 0.3084971), (1, 10, 0.002528579, 0.4450161), (10, 10, 0.6915029, 1.0), (5, 10, 0.187086, 0.812914)],
)
def test_clopper_and_pearson(successes: int, trials: int, low: float, high: float) -> None:
    found = interval(successes, trials)
    assert (found.low, found.high) == pytest.approx((low, high), abs=1e-6)
    assert found.share == successes / trials


def test_nothing_tried_says_nothing() -> None:
    assert (interval(0, 0).low, interval(0, 0).high, upper_bound(0, 0)) == (0.0, 1.0, 1.0)


@pytest.mark.parametrize(("count", "trials"), [(-1, 3), (4, 3)])
def test_impossible_counts_are_refused(count: int, trials: int) -> None:
    with pytest.raises(ValueError, match="is no share"):
        interval(count, trials)
    with pytest.raises(ValueError, match="is no share"):
        upper_bound(count, trials)


def test_the_rule_of_three() -> None:
    assert upper_bound(0, 30_000) == pytest.approx(3 / 30_000, rel=0.01)
    assert upper_bound(30_000, 30_000) == 1.0


def test_many_trials_stay_numbers() -> None:
    found = interval(4000, 8000)
    assert found.low == pytest.approx(0.4890, abs=2e-4)
    assert found.high == pytest.approx(0.5110, abs=2e-4)


TRUTH = np.array([0, 1, 2, NONE])
ANSWERS = rankings([[0, 1], [2, 1], [2, NONE], [0, 1]], [[0.9, 0.1], [0.8, 0.7], [0.6, -math.inf], [0.5, 0.2]])


def test_the_first_answer_counts_for_recall_at_1() -> None:
    assert found_first(ANSWERS, TRUTH).tolist() == [True, False, True, False]
    names = np.array(["crop", "crop", "turn", "negative"])
    by_name = recall_at_1(ANSWERS, TRUTH, names, ["crop", "turn", "blur"])
    assert (by_name["crop"], by_name["turn"]) == (0.5, 1.0)
    assert math.isnan(by_name["blur"])
    assert mean_of(by_name) == 0.75


def test_average_precision_by_hand() -> None:
    # Sorted: right .9, wrong .8, right .7, right .6, wrong .5 …
    assert average_precision(ANSWERS, TRUTH) == pytest.approx((1 + 2 / 3 + 3 / 4) / 3)


def test_equal_scores_are_one_threshold() -> None:
    truth = np.array([0, NONE])
    for order in (slice(None), slice(None, None, -1)):
        tied = rankings([[0], [0]][order], [[0.5], [0.5]])
        assert average_precision(tied, truth[order]) == 0.5
        assert at_precision(tied, truth[order], 0.6).recall == 0.0


def test_the_threshold_of_a_precision() -> None:
    point = at_precision(ANSWERS, TRUTH, 0.74)
    assert (point.recall, point.threshold) == (1.0, 0.6)
    strict = at_precision(ANSWERS, TRUTH, 0.99)
    assert (strict.recall, strict.threshold) == pytest.approx((1 / 3, 0.9))


def test_without_a_possible_threshold_nothing_alarms() -> None:
    wrong = rankings([[1], [0]], [[0.9], [0.1]])
    point = at_precision(wrong, np.array([0, NONE]))
    assert (point.recall, point.threshold) == (0.0, math.inf)
    assert not alarmed(wrong, point.threshold).any()


def test_recall_and_alarms_at_a_threshold() -> None:
    assert recalled(ANSWERS, TRUTH, 0.7).tolist() == [True, True, False, False]
    assert alarmed(ANSWERS, 0.55).tolist() == [True, True, True, False]


def test_the_curve_ends_at_all_answers() -> None:
    curve = precision_recall(ANSWERS, TRUTH)
    assert curve[0] == pytest.approx((1 / 3, 1.0))
    assert curve[-1] == pytest.approx((1.0, 3 / 7))
    assert precision_recall(ANSWERS, np.full(4, NONE)) == []


def test_a_source_is_judged_by_the_others_threshold() -> None:
    truth = np.array([0, 1, NONE, NONE])
    found = rankings([[0], [1], [0], [0]], [[0.9], [0.4], [0.3], [0.6]])
    rows = leave_one_source_out(found, truth, np.array(["a", "b", "a", "b"]))
    assert [row.source for row in rows] == ["a", "b"]
    # Without a: its own .4 is beaten by the stranger's .6, so no threshold is safe; without b: .9 and .3.
    assert rows[0].threshold == math.inf
    assert rows[0].recall is not None
    assert rows[0].recall.share == 0.0
    assert rows[1].threshold == 0.9
    assert rows[1].recall is not None
    assert rows[1].false_positives is not None
    assert (rows[1].recall.share, rows[1].false_positives.share) == (0.0, 0.0)


def test_a_source_without_copies_has_no_recall() -> None:
    rows = leave_one_source_out(ANSWERS, TRUTH, np.array(["a", "a", "a", "b"]))
    assert rows[0].false_positives is None
    assert rows[1].recall is None


def test_cost_of_a_core() -> None:
    spent = cost(np.array([0.001] * 95 + [0.011] * 5))
    assert spent.mean_ms == pytest.approx(1.5)
    assert spent.images_per_second == pytest.approx(1 / 0.0015)
    assert spent.p50_ms == pytest.approx(1.0)
    with pytest.raises(ValueError, match="no query"):
        cost(np.array([]))


def test_a_stream_costs_what_its_parts_cost() -> None:
    assert mixed_cost_ratio(np.array([30.0]), np.array([2.0]), np.array([2.0]), 0.02) == pytest.approx(1.28)
