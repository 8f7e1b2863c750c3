"""The table and the plot of what classifiers were measured to do."""

import pytest

from workers.evaluation.classifiers_draws import Outcome
from workers.evaluation.classifiers_figures import COLUMNS, KEPT, Measured, row_of, section


def outcome(named: int, alarms: int, fresh: int = 40) -> Outcome:
    return Outcome(
        asked=100,
        fresh=fresh,
        others=1000,
        named=named,
        named_fresh=fresh // 2,
        accepted=named + 2,
        alarms=alarms,
        nearest=95,
        reached=(alarms, 2 * alarms, 4 * alarms),
    )


def measured(*outcomes: Outcome, method: str = "head", shots: int = 20) -> Measured:
    return Measured(
        method=method,
        shots=shots,
        classes=16,
        outcomes=outcomes,
        fit_seconds=1.5,
        vector_seconds=0.01,
        image_seconds=0.02,
    )


def test_a_row_holds_means_of_the_draws() -> None:
    row = row_of(measured(outcome(80, 4), outcome(90, 8)))
    assert row["named"] == pytest.approx(0.85)
    assert row["accepted"] == pytest.approx(0.87)
    assert row["nearest"] == pytest.approx(0.95)
    assert (row["asked"], row["fresh"], row["named_fresh"]) == (100, 40, 0.5)
    assert (row["fit_ms"], row["image_ms"]) == (1500, 20)


def test_the_interval_counts_each_other_picture_once() -> None:
    row = row_of(measured(outcome(80, 6), outcome(90, 6)))
    assert row["false"] == pytest.approx(0.006)
    # Clopper-Pearson of 6 in 1,000, not of 12 in 2,000: the draws share the other pictures.
    assert row["false_low"] == pytest.approx(0.002205, abs=1e-5)
    assert row["false_high"] == pytest.approx(0.013016, abs=1e-5)


def test_nothing_is_said_of_unseen_pictures_where_there_are_none() -> None:
    assert row_of(measured(outcome(80, 4, fresh=0)))["named_fresh"] is None


def test_a_section_has_a_row_and_a_point_a_method_and_number_of_images() -> None:
    rows = [measured(outcome(70, 1)), measured(outcome(90, 1), shots=50), measured(outcome(60, 1), method="k-NN")]
    found = section("documents", "Documents", "Many.", rows, 1000)
    (table, kept), (plot,) = found.tables, found.plots
    assert all(set(row) == {column.key for column in COLUMNS} for row in table.rows)
    assert all(set(row) == {column.key for column in KEPT} for row in kept.rows)
    assert [(row["target"], row["measured"]) for row in kept.rows] == [(0.005, 0.001), (0.01, 0.002), (0.02, 0.004)]
    assert plot.series == {"head": ((20.0, 0.7), (50.0, 0.9)), "k-NN": ((20.0, 0.6),)}
    assert "Other pictures: 1,000." in found.text
