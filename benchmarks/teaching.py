"""How long it takes from `classifier train` to the moment at which the last of n workers answers with the new label.

    python -m benchmarks.teaching [--workers 4] [--images 50] [--repeats 5] [-o FOLDER]

Over a real Redis, with the program as a user runs it, its start included: images are read, decoded in the sandbox and
described, the classifier is fitted, calibrated and measured on what it had not seen, and stored; each worker is a
process with a replica of the classifiers, as a worker has it, that gives an answer with it.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Final

from benchmarks.deployments import ready_process, run_command, write_references
from benchmarks.enrolment import Watcher, delays
from benchmarks.made_up_index import configure
from benchmarks.proxies import say
from benchmarks.reporting import options_parser, report_on, target
from tests.servers import RedisServer
from workers.evaluation.tables import Cell

AIM_SECONDS: Final = 3.0
PATIENCE_SECONDS: Final = 10.0


def teach(config: Path, images: Path, number: int, watchers: list[Watcher]) -> dict[str, Cell]:
    """Train one classifier; return the seconds until it is stored and until all watchers answer with it."""
    begun, before = time.monotonic(), os.times()
    arguments = ("--json", "classifier", "train", f"drawn-{number}", "--label", "drawing", "--images", str(images))
    row = json.loads(run_command(config, *arguments).splitlines()[-1])
    ended, after = time.monotonic(), os.times()
    until = ended + PATIENCE_SECONDS
    position = int(row["revision"])
    while time.monotonic() < until and any(watcher.searchable(position) is None for watcher in watchers):
        time.sleep(0.01)
    used = after.children_user + after.children_system - before.children_user - before.children_system
    (answered,) = delays([(position, begun)], watchers)
    return {
        "images": int(row["examples"]),
        "command, s": ended - begun,
        "its processor time, s": used,
        "all answer, s": answered,
    }


def measure(options: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """All repeats, with the same images and another classifier each."""
    with ExitStack() as stack:
        redis = RedisServer(folder / "redis")
        stack.callback(redis.remove)
        redis.start()
        config, _ = configure(folder / "teaching", redis.url)
        images = write_references(folder / "images", options.images)
        log = folder / "watchers.log"
        say(f"{options.workers} workers: loading")
        children = [
            stack.enter_context(ready_process("benchmarks.classifier_child", str(config), log=log))
            for _ in range(options.workers)
        ]
        watchers = [Watcher(child) for child in children]
        rows = []
        for number in range(options.repeats):
            say(f"training {number + 1} of {options.repeats}")
            rows.append(teach(config, images, number, watchers))
    median = statistics.median(float(row["all answer, s"] or 0) for row in rows)
    what = f"{options.images} images taught to answered by {options.workers} workers, median"
    return {
        "title": "Teaching a classifier",
        "tables": [
            {
                "name": "targets",
                "title": "Targets",
                "rows": [target(what, median, AIM_SECONDS, least=False, unit="s")],
            },
            {"name": "teaching", "title": "From the command to a label in every worker", "rows": rows},
        ],
    }


def main() -> int:
    """Measure, print and write."""
    parser = options_parser(__doc__)
    parser.add_argument("--workers", type=int, default=4, help="processes that follow the classifiers")
    parser.add_argument("--images", type=int, default=50, help="of the label")
    parser.add_argument("--repeats", type=int, default=5, help="trainings")
    return report_on(parser.parse_args(), "teaching", measure)


if __name__ == "__main__":
    sys.exit(main())
