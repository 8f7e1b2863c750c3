"""What is started from here without the command line uses one thread for linear algebra as well."""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
ASK = "import workers, os; print(os.environ['OPENBLAS_NUM_THREADS'])"


def test_linear_algebra_has_one_thread_unless_an_operator_says_otherwise() -> None:
    plain = {key: value for key, value in os.environ.items() if key != "OPENBLAS_NUM_THREADS"}
    for environment, expected in ((plain, "1"), (plain | {"OPENBLAS_NUM_THREADS": "3"}, "3")):
        command = [sys.executable, "-c", ASK]
        asked = subprocess.run(command, cwd=ROOT, env=environment, check=True, capture_output=True, text=True)
        assert asked.stdout.strip() == expected
