"""The command behind ``make bench``: its list, one small run, a section that fails beside one that does not."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.__main__ import ROOT, main, run_all, write_anew
from benchmarks.sections import Section

SMALL = ("--seconds", "1", "--loads", "20", "--references", "2", "--pictures", "4", "--shapes", "embedded")


def test_the_list_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["list"]) == 0
    assert "latency" in capsys.readouterr().out


def test_an_unknown_section_names_the_known_ones(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["nothing"]) == 2
    assert "throughput, latency" in capsys.readouterr().err


def test_a_section_that_fails_is_reported_and_the_rest_runs(tmp_path: Path) -> None:
    broken = Section(name="not_there", measures="nothing", needs="luck")
    small = Section(name="latency", measures="a little", quick=SMALL)
    assert run_all([broken, small], tmp_path / "report", tmp_path / "results") == 1
    report = (tmp_path / "report" / "report.md").read_text()
    assert "- not_there: ended with status 1" in report
    assert "it needs luck" in report
    assert "| embedded | 20 |" in report
    everything = json.loads((tmp_path / "report" / "report.json").read_text())
    (row,) = next(each for each in everything["sections"]["latency"]["tables"] if each["name"] == "latency")["rows"]
    assert row["n"] > 0
    assert row["unanswered"] == 0
    assert (tmp_path / "report" / "verdict-latency.svg").exists()
    assert write_anew(tmp_path / "again", tmp_path / "results") == 0
    again = (tmp_path / "again" / "report.md").read_text()
    assert "| embedded | 20 |" in again
    assert "- throughput: left out: images/s" in again


def test_the_module_runs() -> None:
    command = [sys.executable, "-m", "benchmarks", "list"]
    listed = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True, timeout=60)
    assert "throughput" in listed.stdout
