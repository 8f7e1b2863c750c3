"""Keeps what failed in a file, a line each as it fails: thousands of lines follow in a long log, or a run is killed."""

import os
from pathlib import Path
from typing import Final

import pytest

VARIABLE: Final = "FAILED_TESTS"
REASON: Final = 300  # characters of it


def install(config: pytest.Config) -> None:
    """Where ``FAILED_TESTS`` names a file: the one process that hears of every test (pytest -n) appends to it.

    The variable ends here: a test that runs pytest on something that fails has no part in the list.
    """
    file = os.environ.pop(VARIABLE, None)
    if file and not hasattr(config, "workerinput"):
        config.pluginmanager.register(FailureList(Path(file), config))


class FailureList:
    """A plug-in of pytest."""

    def __init__(self, file: Path, config: pytest.Config) -> None:
        self._file = file
        self._config = config
        self._told: set[str] = set()

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        self._hear(report, report.when if report.when != "call" else "")

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        self._hear(report, "collection")

    def _hear(self, report: pytest.TestReport | pytest.CollectReport, when: str) -> None:
        if not report.failed:
            return
        named = f"{report.nodeid} ({when})" if when else report.nodeid
        if named in self._told:  # each process collects every file
            return
        if not self._told:  # the seed is drawn after this was installed
            self._append(f"(--randomly-seed={self._config.getoption('randomly_seed', default='')})")
        self._told.add(named)
        self._append(f"FAILED {named} - {_reason(report.longrepr)}")

    def _append(self, line: str) -> None:
        with self._file.open("a", encoding="utf-8") as file:
            file.write(line + "\n")


def _reason(longrepr: object) -> str:
    """What was raised, or else the end of what is said about it, in one line."""
    crash = getattr(longrepr, "reprcrash", None)
    said = str(longrepr) if crash is None else crash.message
    line = " | ".join(stripped for line in said.splitlines() if (stripped := line.strip()))
    return line[-REASON:] if crash is None else line[:REASON]
