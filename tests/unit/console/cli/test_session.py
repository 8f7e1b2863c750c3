"""How a command prints its results: a table for a person, JSON for a program."""

import json
from pathlib import Path

import pytest

from console.cli.session import Session, one_line

ROW: dict[str, object] = {
    "set": "designs",
    "thorough": None,
    "keep": False,
    "all": True,
    "labels": ["a", "b"],
    "score": 85.0,
}


def test_a_person_reads_words(capsys: pytest.CaptureFixture[str]) -> None:
    Session(config_path=None, json=False).table(tuple(ROW), [ROW])
    (line,) = [line for line in capsys.readouterr().out.splitlines() if "designs" in line]
    assert [cell.strip() for cell in line.strip("│ ").split("│")] == ["designs", "", "no", "yes", "a, b", "85.0"]


def test_a_program_reads_values(capsys: pytest.CaptureFixture[str]) -> None:
    Session(config_path=Path("x"), json=True).table(tuple(ROW), [ROW])
    assert json.loads(capsys.readouterr().out) == ROW


def test_names_make_no_lines_and_give_a_terminal_no_orders() -> None:
    assert one_line("a\nb\r\x1b[31m\x9b\u2028\t.jpg") == r"a\nb\r\x1b[31m\x9b\u2028\t.jpg"


def test_what_can_be_read_stays() -> None:
    name = "Entwürfe/図面 №1 🏳\N{ZERO WIDTH JOINER}🌈 \N{NO-BREAK SPACE}[bold] \\n \udcff.jpg"
    assert one_line(name) == name
