"""``make bench``: every benchmark of the project, results as tables and as files under benchmarks/results.

``make bench ARGS="proxy_cost"`` runs one of them; ``make bench ARGS="evaluation --quick --section recall"`` hands the
further arguments to it.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parent.parent
RESULTS: Final = Path(__file__).parent / "results"
BENCHMARKS: Final = ("proxy_cost", "memory", "index_quality", "browser", "evaluation")


def command_of(benchmark: str, arguments: list[str]) -> list[str]:
    """The process that runs one benchmark; pictures are those at hand, drawn ones where there are no others."""
    if benchmark != "evaluation":
        return [sys.executable, "-m", f"benchmarks.{benchmark}", "-o", str(RESULTS), *arguments]
    command = [sys.executable, "-m", "console.cli", "encoder", "evaluate", "-o", str(RESULTS / "evaluation")]
    data = Path(os.environ.get("SAFELIGHT_CORPUS", ROOT.parent / "shared" / "data"))
    return [*command, *(["--data", str(data)] if data.is_dir() and "--data" not in arguments else []), *arguments]


def main() -> int:
    """Run those that are named, or all, one after the other; the worst exit status is the last word."""
    named, arguments = (sys.argv[1:2], sys.argv[2:]) if sys.argv[1:2] and sys.argv[1] in BENCHMARKS else ([], [])
    if sys.argv[1:] and not named:
        sys.stderr.write(f"there is no benchmark {sys.argv[1]!r}; known: {', '.join(BENCHMARKS)}\n")
        return 2
    return max(
        subprocess.run(command_of(benchmark, arguments), check=False, cwd=ROOT).returncode
        for benchmark in named or BENCHMARKS
    )


if __name__ == "__main__":
    sys.exit(main())
