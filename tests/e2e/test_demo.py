"""``make demo`` keeps its promise, for a seed that nobody chose."""

import random
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.e2e
@pytest.mark.timeout(320)
def test_the_demonstration_keeps_its_promise() -> None:
    seed = random.SystemRandom().randrange(1_000_000)
    finished = subprocess.run(
        [sys.executable, "-m", "console.demo", "--seed", str(seed)],
        cwd=ROOT,
        check=False,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert finished.returncode == 0, f"seed {seed}\n{finished.stdout[-6000:]}\n{finished.stderr[-3000:]}"
    assert "every block has its alert" in " ".join(finished.stdout.split())
