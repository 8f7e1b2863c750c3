"""Rates, their intervals, confusions and the threshold that is suggested."""

import numpy as np
import pytest

from workers.classifying.rates import Scored, decide, measure, rate, suggest

SCORED = Scored(
    labels=("invoice", "receipt"),
    examples=np.array([[99, 0], [90, 95], [80, 10], [5, 97], [0, 98]], np.float64),
    numbers=np.array([0, 0, 0, 1, 1]),
    names=["a", "b", "c", "d", "e"],
    clusters=[0, 1, 2, 3, 3],
    others=np.array([[86, 1], *([[10, 20]] * 199)], np.float64),
    strangers=np.array([[0, 99], [0, 0]], np.float64),
)


def test_what_was_held_out_is_counted_with_an_interval_by_clusters() -> None:
    rates = measure(SCORED, (85.0, 85.0), 0.005)
    invoice, receipt = rates.labels
    assert (invoice.true_positives.count, invoice.true_positives.tried) == (1, 3)
    assert (receipt.true_positives.share, receipt.clusters) == (1.0, 1)
    assert receipt.true_positives.interval.low == pytest.approx(0.025)  # a burst is one observation
    assert (rates.false_positives.count, invoice.false_positives.count, rates.strangers.count) == (1, 1, 1)
    assert [(one.label, one.said, one.count, one.example) for one in rates.confusions] == [
        ("invoice", "receipt", 1, "b")
    ]
    assert (rates.true_curve[0], rates.false_curve[0], rates.false_curve[100]) == (0.8, 1.0, 0.0)


def test_the_best_of_the_labels_that_are_reached_is_said() -> None:
    scores = np.array([[90, 95], [90, 80], [10, 20]], np.float64)
    assert decide(scores, np.array([85, 96], np.float64)).tolist() == [0, 0, -1]


def test_the_suggested_threshold_lets_the_target_pass_and_no_more() -> None:
    others = np.arange(1000, dtype=np.float64) / 10
    for target in (0.0, 0.005, 0.1):
        threshold = suggest(others, target)
        assert (others >= threshold).mean() <= target
        assert threshold == 100 or (others >= threshold - 0.2).mean() > target


def test_nothing_tried_is_known_of_nothing() -> None:
    nothing = rate(0, 0)
    assert (nothing.share, nothing.interval.low, nothing.interval.high) == (0.0, 0.0, 1.0)
