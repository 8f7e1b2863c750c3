"""The processes that start here use one thread for linear algebra."""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
ASK = "import console, os; print(os.environ['OPENBLAS_NUM_THREADS'])"


def ask(**more: str) -> str:
    environment = {key: value for key, value in os.environ.items() if key != "OPENBLAS_NUM_THREADS"} | more
    command = [sys.executable, "-c", ASK]
    return subprocess.run(command, cwd=ROOT, env=environment, check=True, capture_output=True, text=True).stdout.strip()


def test_linear_algebra_has_one_thread() -> None:
    assert ask() == "1"


def test_an_operator_can_say_otherwise() -> None:
    assert ask(OPENBLAS_NUM_THREADS="4") == "4"
