"""When a trained network was as good as a classifier, and how the two compare."""

from dataclasses import replace

import pytest

from workers.evaluation.classifiers_baseline import COLUMNS, Course, plots, row_of, table
from workers.training.lesson import Moment


def course(*named: float, classifier: float = 0.8) -> Course:
    moments = (
        Moment(views=100 * number, processor=10.0 * number, seconds=12.0 * number, named=share)
        for number, share in enumerate(named, 1)
    )
    return Course(
        network="net",
        shots=20,
        images=60,
        moments=tuple(moments),
        named=classifier,
        vector_seconds=1.5,
        fit_seconds=0.5,
    )


def test_a_network_that_becomes_as_good_ends_there() -> None:
    row = row_of(course(0.3, 0.7, 0.82, 0.9))
    assert (row["views"], row["seconds"], row["named"], row["reached"]) == (300, 30.0, 0.9, "yes")
    assert row["ratio"] == pytest.approx(30 / 2)
    assert row["fit_ratio"] == pytest.approx(30 / 0.5)


def test_of_a_network_that_never_does_the_whole_training_counts_as_a_lower_bound() -> None:
    row = row_of(course(0.3, 0.702, 0.698, 0.701))
    assert (row["views"], row["seconds"], row["named"], row["reached"]) == (400, 40.0, 0.702, "never")
    assert row["ratio"] == pytest.approx(40 / 2)


def test_the_table_has_a_row_a_training() -> None:
    found = table([course(0.9), course(0.5, classifier=0.6)])
    assert len(found.rows) == 2
    assert all(set(row) == {column.key for column in COLUMNS} for row in found.rows)


def test_a_plot_has_every_course_beside_the_classifier_from_its_own_time_on() -> None:
    (plot,) = plots([course(0.3, 0.7)])
    assert plot.series == {"net": ((10.0, 0.3), (20.0, 0.7)), "classifier": ((2.0, 0.8), (20.0, 0.8))}
    assert [each.name for each in plots([course(0.3), replace(course(0.4), shots=50)])] == [
        "networks_20",
        "networks_50",
    ]
