"""When a trained network was as good as a classifier, and how the two compare."""

import pytest

from workers.evaluation.classifiers_baseline import COLUMNS, Course, row_of, table
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
    assert (row["views"], row["seconds"], row["named"]) == (300, 30.0, 0.82)
    assert row["ratio"] == pytest.approx(30 / 2)
    assert row["fit_ratio"] == pytest.approx(30 / 0.5)


def test_a_network_that_never_does_ends_where_it_stops_to_get_better() -> None:
    row = row_of(course(0.3, 0.7, 0.698, 0.702))
    assert (row["views"], row["named"]) == (200, 0.7)


def test_the_table_has_a_row_a_training() -> None:
    found = table([course(0.9), course(0.5, classifier=0.6)])
    assert len(found.rows) == 2
    assert all(set(row) == {column.key for column in COLUMNS} for row in found.rows)
