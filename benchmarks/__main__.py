"""``make bench``: every benchmark of the project, results as tables and as JSON beside them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Final

RESULTS: Final = Path(__file__).parent / "results"
BENCHMARKS: Final = ("recall",)


def main() -> int:
    """Run one after the other, each alone on the machine; the worst exit status counts."""
    RESULTS.mkdir(exist_ok=True)
    worst = 0
    for name in BENCHMARKS:
        command = [sys.executable, "-m", f"benchmarks.{name}", "--out", str(RESULTS / f"{name}.json"), *sys.argv[1:]]
        print(f"== {name}", flush=True)
        worst = max(worst, subprocess.run(command, check=False).returncode)
    return worst


if __name__ == "__main__":
    sys.exit(main())
