"""The command line of the evaluation: mistakes are told before anything is measured."""

import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from console.cli.app import app
from console.cli.evaluation import ProgressLine
from shared.errors import UsageError


def test_an_unknown_section_is_told(tmp_path: Path) -> None:
    result = CliRunner().invoke(app, ["encoder", "evaluate", "--section", "speed", "-o", str(tmp_path / "report")])
    assert isinstance(result.exception, UsageError)
    assert "recall" in str(result.exception)
    assert not (tmp_path / "report").exists()


def test_data_that_are_not_there_are_told() -> None:
    assert CliRunner().invoke(app, ["encoder", "evaluate", "--data", "/nowhere"]).exit_code == 2


def test_a_log_file_gets_no_progress(capsys: pytest.CaptureFixture[str]) -> None:
    assert not sys.stderr.isatty()
    ProgressLine()("enrolling", 1, 2)
    assert capsys.readouterr().err == ""
