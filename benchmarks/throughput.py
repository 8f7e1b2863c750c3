"""How many images a second one worker judges, beside a tight loop of the same stages on the same cores, in turns.

    python -m benchmarks.throughput [--images 600] [--repeats 3] [--references 300] [-o FOLDER]

Processor time is that of the worker and its decode children; who asks, and the bus, share the machine and are counted
beside it.  A quick set has local features
looked at where the first step hints at a reference, a thorough one always.
"""

from __future__ import annotations

import argparse
import asyncio
import math
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any, Final

from benchmarks.arrivals import closed_loop
from benchmarks.asking import asking
from benchmarks.deployments import EMBEDDED, SCALED_OUT, Deployment, deployment, ready_process, write_references
from benchmarks.pictures import Mix, distinct, make_mix
from benchmarks.processes import family_cpu_seconds
from benchmarks.proxies import cpu_seconds, say
from benchmarks.reporting import options_parser, report_on, target
from workers.decoding.process import ENVIRONMENT
from workers.evaluation.tables import Cell

BUDGET: Final = 30.0
AT_ONCE: Final = 24
"""Questions under way: enough to keep decoders and encoder busy, few enough that none is refused."""
THOROUGH_SHARE: Final = 4
"""A thorough look costs four times as much: as many times fewer pictures."""
LOOPS: Final = os.cpu_count() or 1
LIKE_DECODERS: Final = {key: value for key, value in ENVIRONMENT.items() if key != "PYTHONPATH"}
"""Allocator and threads as decode children have them: two threads for linear algebra would cost more, not less."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """Images a second of the wall clock, and processor seconds for one image."""

    per_second: float
    cpu: float
    others: float = 0.0
    """Processor seconds of asker and servers."""


async def worker_turn(running: Deployment, mix: Mix, images: int, numbers: Iterator[int]) -> Turn:
    """Have the worker judge so many pictures that it has not seen."""
    files = mix.files
    async with asking(running.settings) as asker:
        failed = 0

        async def ask(number: int) -> None:
            nonlocal failed
            asked = await asker.ask(distinct(files[number % len(files)], next(numbers)), budget=BUDGET)
            failed += asked.outcome != "ok"

        await closed_loop(4 * AT_ONCE, AT_ONCE, ask)
        servers = [*running.servers.values(), os.getpid()]
        others, before = sum(map(cpu_seconds, servers)), family_cpu_seconds(running.worker)
        seconds = await closed_loop(images, AT_ONCE, ask)
        cpu, others = family_cpu_seconds(running.worker) - before, sum(map(cpu_seconds, servers)) - others
    if failed:
        raise RuntimeError(f"{failed} of {images} pictures were not judged wholly")
    return Turn(per_second=images / seconds, cpu=cpu / images, others=others / images)


def loop_turn(loops: Sequence[subprocess.Popen[str]], images: int) -> Turn:
    """Have a loop on every core judge its part of so many pictures."""
    begun = time.perf_counter()
    for loop in loops:
        assert loop.stdin is not None
        loop.stdin.write(f"{images // len(loops)}\n")
        loop.stdin.flush()
    cpu = sum(float(loop.stdout.readline()) for loop in loops if loop.stdout is not None)
    done = images // len(loops) * len(loops)
    return Turn(per_second=done / (time.perf_counter() - begun), cpu=cpu / done)


def compare(running: Deployment, mix: Mix, pictures: Path, way: str, options: argparse.Namespace) -> dict[str, Cell]:
    """The worker and the loops in turns; medians of both and of their ratio."""
    images = options.images if way == "quick" else max(LOOPS * 8, options.images // THOROUGH_SHARE)
    turns: list[tuple[Turn, Turn]] = []
    numbers = count()
    with ExitStack() as stack:
        places, log = (str(running.config), str(pictures)), running.config.parent / "loop.log"
        loops = [
            stack.enter_context(ready_process("benchmarks.tight_loop", *places, log=log, **LIKE_DECODERS))
            for _ in range(LOOPS)
        ]
        loop_turn(loops, LOOPS * 16)
        for repeat in range(options.repeats):
            say(f"{running.shape}, {way}: turn {repeat + 1} of {options.repeats}")
            turns.append((asyncio.run(worker_turn(running, mix, images, numbers)), loop_turn(loops, images)))
    return row(running.shape, way, images, turns)


def row(shape: str, way: str, images: int, turns: Sequence[tuple[Turn, Turn]]) -> dict[str, Cell]:
    """One line of the table: worker beside loop."""

    def middle(values: Iterator[float]) -> float:
        return statistics.median(values)

    ratios = [loop.cpu / worker.cpu for worker, loop in turns]
    return {
        "bus and store": shape,
        "search": way,
        "images": images,
        "worker, CPU ms": 1000 * middle(worker.cpu for worker, _ in turns),
        "loop, CPU ms": 1000 * middle(loop.cpu for _, loop in turns),
        "asker and servers, CPU ms": 1000 * middle(worker.others for worker, _ in turns),
        "loop / worker": statistics.median(ratios),
        "lowest": min(ratios),
        "highest": max(ratios),
        "images/s per core": middle(1 / worker.cpu for worker, _ in turns),
        "images/s, all cores": middle(worker.per_second for worker, _ in turns),
        "loop, images/s, all cores": middle(loop.per_second for _, loop in turns),
    }


def measure(options: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """All shapes and ways."""
    say("drawing pictures")
    mix = make_mix(options.pictures)
    pictures, references = folder / "pictures", write_references(folder / "references", options.references)
    pictures.mkdir()
    for number, data in enumerate(mix.files):
        (pictures / f"{number:05}.jpg").write_bytes(data)
    rows = []
    for shape in options.shapes:
        with deployment(shape, folder / shape.replace(" ", "-")) as running:
            for way in ("quick", "thorough"):
                say(f"{shape}: enrolling for {way}")
                running.protect(references, way)
                rows.append(compare(running, mix, pictures, way, options))
    note = f"{mix.describe()}; {options.references} references, none of them asked about; medians of {options.repeats}"
    return {
        "title": "Images a second",
        "tables": [
            {"name": "targets", "title": "Targets", "rows": targets(rows)},
            {"name": "throughput", "title": "Worker beside loop", "note": note, "rows": rows},
        ],
    }


def targets(rows: Sequence[dict[str, Cell]]) -> list[dict[str, Cell]]:
    """What was aimed at."""
    aims = []
    for each in rows:
        where = f"{each['bus and store']}, {each['search']} set"
        aims.append(
            target(
                f"{where}: processor time of the tight loop / worker", _number(each["loop / worker"]), 0.9, least=True
            )
        )
        if each["search"] == "quick":
            aims.append(target(f"{where}: images/s per core", _number(each["images/s per core"]), 230, least=True))
    return aims


def _number(value: Cell) -> float:
    return float(value) if isinstance(value, int | float) else math.nan


def main() -> int:
    """Measure, print and write."""
    parser = options_parser(__doc__)
    parser.add_argument("--images", type=int, default=600, help="pictures of one turn; thorough: a quarter of them")
    parser.add_argument("--repeats", type=int, default=3, help="turns of worker and loop")
    parser.add_argument("--references", type=int, default=300, help="pictures that are protected")
    parser.add_argument("--pictures", type=int, default=200, help="different pictures that are asked about")
    parser.add_argument("--shapes", nargs="+", default=[EMBEDDED, SCALED_OUT], choices=[EMBEDDED, SCALED_OUT])
    return report_on(parser.parse_args(), "throughput", measure)


if __name__ == "__main__":
    sys.exit(main())
