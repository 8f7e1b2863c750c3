"""Reports: tables of any rows, targets, plots, one page for a run."""

import argparse
import json
from pathlib import Path

import pytest

from benchmarks.reporting import (
    as_markdown,
    finish,
    markdown_table,
    options_parser,
    plots_of,
    table_of,
    tables_of,
    target,
    write_run,
)

LATENCY = {
    "title": "Latency",
    "measured": "2026-11-21",
    "load_average": 0.4,
    "options": {"seconds": "10"},
    "tables": [
        {"name": "targets", "title": "Targets", "rows": [target("p50", 2.5, 3, least=False, unit="ms")]},
        {"name": "loads", "title": "By load", "note": "quiet", "rows": [{"load": "10 %", "p50": 1.25, "n": 12345}]},
    ],
    "plots": [
        {"name": "by-load", "title": "T", "x_title": "load", "y_title": "ms", "series": {"p50": [[10, 1.0], [50, 2.0]]}}
    ],
}
OLD = {"what": "memory", "requests": 200, "rows": [{"case": "a | b", "flat": True, "range": [1, 2]}], "empty": []}


def test_a_target_is_met_or_missed() -> None:
    assert target("a", 3.0, 3, least=False, unit="ms") == {
        "what": "a",
        "measured": 3.0,
        "target": "at most 3 ms",
        "met": True,
    }
    assert target("b", 0.89, 0.9, least=True)["met"] is False
    assert target("b", 0.89, 0.9, least=True)["target"] == "at least 0.9"


def test_columns_come_in_the_order_in_which_rows_have_them() -> None:
    table = table_of("t", "T", [{"a": "x", "n": 3}, {"a": "y", "b": 0.5, "n": None}])
    assert [(column.key, column.kind) for column in table.columns] == [("a", "text"), ("n", "count"), ("b", "ms")]
    assert markdown_table(table) == "| a | n | b |\n| --- | ---: | ---: |\n| x | 3 | – |\n| y | – | 0.50 |"


def test_what_a_row_holds_by_name_stands_side_by_side() -> None:
    table = table_of("t", "T", [{"index": "ours", "near": {"0.9": 1.0, "0.75": 0.99}}])
    assert [column.key for column in table.columns] == ["index", "near 0.9", "near 0.75"]
    assert markdown_table(table).splitlines()[-1] == "| ours | 1.00 | 0.99 |"


def test_every_list_of_rows_of_other_figures_is_a_table() -> None:
    (table,) = tables_of("memory", OLD)
    assert table.name == "memory-rows"
    assert markdown_table(table).splitlines()[-1] == r"| a \| b | True | 1 to 2 |"


def test_plots_come_back_from_json() -> None:
    (plot,) = plots_of(json.loads(json.dumps(LATENCY)))
    assert plot.series == {"p50": ((10, 1.0), (50, 2.0))}
    assert plots_of(OLD) == []


def test_a_run_begins_with_its_targets_and_says_what_failed() -> None:
    text = as_markdown({"machine": "x86_64, 2 cores"}, {"latency": LATENCY, "memory": OLD}, {"browser": "no Chromium"})
    assert "- machine: x86_64, 2 cores" in text
    assert "- browser: no Chromium" in text
    assert text.index("## Targets") < text.index("| p50 | 2.50 | at most 3 ms | met |") < text.index("## Latency")
    assert "| 10 % | 1.25 | 12,345 |" in text
    assert "quiet" in text
    assert "Measured on 2026-11-21, load average 0.4. `seconds=10`" in text
    assert "![T](by-load.svg)" in text
    assert text.count("at most 3 ms") == 1


def test_a_run_without_targets_has_no_such_chapter() -> None:
    assert "Targets" not in as_markdown({}, {"memory": OLD}, {})


def test_a_run_is_written_with_its_plots(tmp_path: Path) -> None:
    report = write_run(tmp_path / "run", {"latency": LATENCY}, {})
    assert report.read_text().startswith("# Benchmarks")
    assert (tmp_path / "run" / "by-load.svg").read_text().startswith("<svg")
    written = json.loads((tmp_path / "run" / "report.json").read_text())
    assert written["sections"]["latency"]["title"] == "Latency"
    assert "cores" in written["machine"]


def test_figures_are_printed_and_written_with_the_options(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    options = options_parser("doc").parse_args(["-o", str(tmp_path)])
    options.seconds = 5
    assert finish(options, "latency", {key: value for key, value in LATENCY.items() if key != "options"}) == 0
    assert "12,345" in capsys.readouterr().out
    written = json.loads((tmp_path / "latency.json").read_text())
    assert written["options"] == {"seconds": "5"}
    assert written["tables"][1]["rows"] == [{"load": "10 %", "p50": 1.25, "n": 12345}]


def test_without_a_folder_nothing_is_written(tmp_path: Path) -> None:
    assert finish(argparse.Namespace(output=None), "memory", OLD) == 0
    assert list(tmp_path.iterdir()) == []
