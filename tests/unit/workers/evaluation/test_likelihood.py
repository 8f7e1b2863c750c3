"""A likelihood that is one has no calibration error; one that is too sure has."""

import math

import numpy as np
import pytest

from tests.index_factories import CALIBRATION
from workers.evaluation.figures import NONE, Rankings
from workers.evaluation.likelihood import PREVALENCES, calibration_error, likelihood_table, log_loss
from workers.evaluation.measuring import Measured, Row


def measured(scores: list[float], numbers: list[int], truth: list[int], mode: str = "gated") -> Measured:
    rankings = Rankings(
        numbers=np.array(numbers)[:, None], scores=np.array(scores)[:, None], seconds=np.full(len(scores), 0.01)
    )
    row = Row(name="whole path", mode=mode, rankings=rankings)
    names = np.array(["jpeg30"] * len(scores))
    return Measured(rows=(row,), names=names, truth=np.array(truth), sources=names)


def test_what_is_right_as_often_as_said_has_no_error() -> None:
    said, right = np.array([0.25, 0.25, 0.25, 0.25]), np.array([True, False, False, False])
    assert calibration_error(said, right, np.full(4, 0.25)) == pytest.approx(0.0)
    assert calibration_error(np.full(4, 0.95), right, np.full(4, 0.25)) == pytest.approx(0.7)


def test_log_loss_is_that_of_the_truth() -> None:
    assert log_loss(np.array([0.5, 0.5]), np.array([True, False]), np.array([0.5, 0.5])) == pytest.approx(math.log(2))


def test_every_prevalence_has_a_row_and_the_truth_is_weighed() -> None:
    table = likelihood_table(measured([99.0, 10.0, 95.0], [0, NONE, 7], [0, 1, NONE]), CALIBRATION)
    assert table is not None
    assert [row["prevalence"] for row in table.rows] == list(PREVALENCES)
    # One of two copies was named first.
    assert [row["right"] for row in table.rows] == [pytest.approx(each / 2) for each in PREVALENCES]


def test_without_negatives_nothing_is_said() -> None:
    assert likelihood_table(measured([99.0], [0], [0]), CALIBRATION) is None
