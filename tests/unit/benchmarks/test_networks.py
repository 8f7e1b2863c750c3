"""What is said of networks that were trained, and that nothing is where they cannot be."""

from pathlib import Path
from typing import Any

import pytest

from benchmarks.networks import figures, missing
from benchmarks.reporting import plots_of, tables_of
from workers.evaluation.classifiers_baseline import Course, plots, table
from workers.evaluation.tables import Report, Section, as_json
from workers.training.lesson import Moment


def report(*courses: Course) -> Any:
    section = Section(
        name="documents", title="Documents", text="Kinds.", tables=(table(courses),), plots=plots(courses)
    )
    return as_json(Report(encoder="e", facts={}, sections=(section,)))


def course(name: str, *named: float) -> Course:
    moments = (
        Moment(views=32 * n, processor=100.0 * n, seconds=100.0 * n, named=share) for n, share in enumerate(named, 1)
    )
    return Course(
        network=name,
        shots=20,
        images=60,
        moments=tuple(moments),
        named=0.8,
        vector_seconds=1.5,
        fit_seconds=0.5,
    )


def test_the_target_is_judged_by_the_network_that_was_as_good_first() -> None:
    found = figures(report(course("slow", 0.5, 0.6, 0.8), course("quick", 0.85), course("never", 0.1, 0.2, 0.3, 0.4)))
    (row,) = found["tables"][0]["rows"]
    assert (row["measured"], row["met"]) == (50.0, False)
    assert "never" not in row["what"]
    (plot,) = plots_of(found)
    assert set(plot.series) == {"slow", "quick", "never", "classifier"}
    assert [len(each.rows) for each in tables_of("networks", found)] == [1, 3]


def test_where_none_was_the_longest_training_is_a_lower_bound_and_called_one() -> None:
    found = figures(report(course("short", 0.1), course("long", 0.1, 0.2, 0.3)))
    (row,) = found["tables"][0]["rows"]
    assert (row["measured"], row["met"]) == (150.0, True)
    assert "never was: at least" in row["what"]


def test_a_report_without_networks_is_an_error() -> None:
    with pytest.raises(LookupError):
        figures({"sections": []})


def test_what_is_missing_is_named_with_the_way_to_it(tmp_path: Path) -> None:
    assert "make setup-train" in missing(tmp_path, tmp_path / "bin" / "python")
    (tmp_path / "python").touch()
    assert "SAFELIGHT_CORPUS" in missing(tmp_path / "nothing", tmp_path / "python")
    assert missing(tmp_path, tmp_path / "python") == ""
