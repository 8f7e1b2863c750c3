"""An average that moves with what is measured."""

import pytest

from workers.encoders.running_average import RunningAverage


def test_it_begins_with_the_first_measurement() -> None:
    average = RunningAverage()
    assert average.seconds == 0.0
    average.add(2.0)
    assert average.seconds == 2.0


def test_it_moves_towards_what_is_measured_now() -> None:
    average = RunningAverage()
    average.add(1.0)
    for _ in range(60):
        average.add(3.0)
    assert average.seconds == pytest.approx(3.0, abs=0.01)


def test_the_most_it_takes_is_further_off_the_more_it_varies() -> None:
    steady, varying = RunningAverage(), RunningAverage()
    for number in range(100):
        steady.add(2.0)
        varying.add(1.0 if number % 2 else 3.0)
    assert steady.most == pytest.approx(2.0)
    assert 5.0 < varying.most < 7.0
