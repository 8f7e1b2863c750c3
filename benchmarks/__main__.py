"""``make bench``: every benchmark of the project, results as tables and as files under benchmarks/results.

Further arguments go to the evaluation: ``make bench ARGS="--quick --section recall"``.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parent.parent
RESULTS: Final = Path(__file__).parent / "results"


def main() -> int:
    """Evaluate the shipped encoder on the pictures that are at hand, drawn ones where there are no others."""
    data = Path(os.environ.get("SAFELIGHT_CORPUS", ROOT.parent / "shared" / "data"))
    command = [sys.executable, "-m", "console.cli", "encoder", "evaluate", "-o", str(RESULTS / "evaluation")]
    if data.is_dir() and "--data" not in sys.argv:
        command += ["--data", str(data)]
    return subprocess.run([*command, *sys.argv[1:]], check=False, cwd=ROOT).returncode


if __name__ == "__main__":
    sys.exit(main())
