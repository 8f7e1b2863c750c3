"""The list of benchmarks."""

import importlib.util
import sys
from pathlib import Path

from benchmarks.sections import SECTIONS, listing, named


def test_every_section_is_a_module_or_the_evaluation() -> None:
    assert len({section.name for section in SECTIONS}) == len(SECTIONS)
    for section in SECTIONS:
        if section.name != "evaluation":
            assert importlib.util.find_spec(f"benchmarks.{section.name}") is not None, section.name


def test_a_whole_run_takes_about_twenty_minutes() -> None:
    assert sum(section.seconds for section in SECTIONS if not section.alone) <= 1260


def test_a_section_is_run_by_its_module_with_a_folder() -> None:
    section = named("latency")
    assert section is not None
    command = section.command(Path("out"), ["--seconds", "60"])
    assert command == [sys.executable, "-m", "benchmarks.latency", "-o", "out", "--seconds", "60"]
    assert section.limit > section.seconds


def test_the_evaluation_is_the_programs_own_command() -> None:
    section = named("evaluation")
    assert section is not None
    command = section.command(Path("out"), ["--data", "mine", "--quick"])
    assert command[2:] == ["console.cli", "encoder", "evaluate", "-o", "out/evaluation", "--data", "mine", "--quick"]


def test_the_list_says_what_each_measures_and_needs() -> None:
    text = listing()
    assert all(section.name in text and section.measures in text for section in SECTIONS)
    assert "needs Kafka and Redis (make servers)" in text
    assert "by name only" in text
    assert "about 75 s in its short form, --seconds 5; needs Kafka" in text
    assert named("nothing") is None
