"""How long a verdict takes at a tenth, half, 80 and 150 percent of what one worker can do.

    python -m benchmarks.latency [--seconds 15] [--loads 10 50 80 150] [--budget 1.5] [-o FOLDER]

Questions come as a Poisson process, open loop; latency counts from the intended time of asking.  Capacity is what the
worker does while it is asked as fast as it answers.  Asker and servers share the machine with the worker.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import sys
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any, Final

from benchmarks.arrivals import Answered, closed_loop, open_loop, poisson, spread
from benchmarks.asking import Asked, Asker, asking
from benchmarks.deployments import EMBEDDED, SCALED_OUT, Deployment, deployment, write_references
from benchmarks.pictures import Mix, distinct, make_mix
from benchmarks.processes import family_resident_mb
from benchmarks.proxies import say
from benchmarks.reporting import options_parser, report_on, target
from workers.evaluation.tables import Cell

AT_ONCE: Final = 24
SATURATED_SECONDS: Final = 5.0
WARM: Final = 64
SAMPLE_SECONDS: Final = 0.5
GRACE: Final = 1.0
"""How long after its deadline an answer is still waited for, to tell late from never."""
OVER: Final = 100
"""Percent of capacity; a load beyond is not asked for its percentiles but for what becomes of the rest."""
AIMS: Final = {EMBEDDED: 3.0, SCALED_OUT: 6.0}
TAIL_AT: Final = 50

type Sample = tuple[float, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """What one load gave: ``percent`` of capacity, the answers, memory as (second, MB)."""

    shape: str
    percent: int
    capacity: float
    seconds: float
    answers: Sequence[Answered[Asked]]
    memory: Sequence[Sample]

    @property
    def whole(self) -> list[Answered[Asked]]:
        """Those that were judged wholly."""
        return [each for each in self.answers if each.answer.outcome == "ok"]

    @property
    def judged(self) -> int:
        """Those with a verdict, degraded ones among them."""
        return sum(each.answer.outcome in {"ok", "degraded"} for each in self.answers)


def load_row(load: Load, budget: float) -> dict[str, Cell]:
    """One line of the table of loads."""
    outcomes = Counter(each.answer.outcome for each in load.answers)
    shed = [each for each in load.answers if each.answer.outcome not in {"ok", "degraded", "unanswered"}]
    whole = load.whole
    times = spread([each.seconds for each in whole]).row() if whole else {"n": 0}
    return {
        "bus and store": load.shape,
        "load, %": load.percent,
        "asked/s": len(load.answers) / load.seconds,
        "judged/s": load.judged / load.seconds,
        **{key if key == "n" else f"{key}, ms": value for key, value in times.items()},
        "beside the stages p50, ms": beside(whole),
        "degraded": outcomes["degraded"],
        "shed": len(shed),
        "shed in time": sum(each.answer.seconds <= budget for each in shed),
        "unanswered": outcomes["unanswered"],
        "memory MB, first": round(load.memory[0][1]) if load.memory else None,
        "memory MB, most": round(max(value for _, value in load.memory)) if load.memory else None,
    }


def beside(whole: Sequence[Answered[Asked]]) -> float | None:
    """Median milliseconds of a verdict that were spent on neither decoding nor model nor search."""
    if not whole:
        return None
    return statistics.median(each.seconds - each.answer.seconds + each.answer.overhead for each in whole) * 1000


def targets(loads: Sequence[Load], budget: float) -> list[dict[str, Cell]]:
    """What was aimed at, as far as these loads can tell."""
    rows = []
    for load in loads:
        row = load_row(load, budget)
        where = f"{load.shape}, {load.percent} % of capacity"
        if load.percent <= TAIL_AT and load.whole:
            aim = AIMS[load.shape]
            rows.append(
                target(
                    f"{where}: verdict p50 beside decode, model and search", beside(load.whole) or 0.0, aim,
                    least=False, unit="ms",
                )
            )  # fmt: skip
        if load.percent == TAIL_AT and load.whole:
            times = spread([each.seconds for each in load.whole])
            rows.append(target(f"{where}: verdict p99 / p50", times.p99 / times.p50, 3.0, least=False))
        if load.percent > OVER:
            rows.append(
                target(f"{where}: judged / capacity", load.judged / load.seconds / load.capacity, 0.9, least=True)
            )
            late = len(load.answers) - load.judged - int(row["shed in time"] or 0)
            rows.append(target(f"{where}: refused late or never", late, 0, least=False, unit="images"))
    return rows


async def watched[T](pid: int, work: Awaitable[T]) -> tuple[T, list[Sample]]:
    """Await the work; return what it gave, and the worker's memory meanwhile."""
    samples: list[Sample] = []
    begun = time.monotonic()

    async def sample() -> None:
        while True:
            samples.append((time.monotonic() - begun, await asyncio.to_thread(family_resident_mb, pid)))
            await asyncio.sleep(SAMPLE_SECONDS)

    sampling = asyncio.get_running_loop().create_task(sample())
    try:
        return await work, samples
    finally:
        sampling.cancel()
        await asyncio.gather(sampling, return_exceptions=True)


async def measure_shape(running: Deployment, mix: Mix, options: argparse.Namespace) -> list[Load]:
    """Capacity first, then every load."""
    numbers = count()

    def asks(asker: Asker, budget: float) -> Callable[[int], Awaitable[Asked]]:
        async def ask(number: int) -> Asked:
            data = distinct(mix.files[number % len(mix.files)], next(numbers))
            return await asker.ask(data, budget=budget, grace=GRACE)

        return ask

    loads = []
    async with asking(running.settings) as asker:
        patient, ask = asks(asker, 30.0), asks(asker, options.budget)
        warm = await closed_loop(WARM, AT_ONCE, patient)
        images = max(WARM, int(SATURATED_SECONDS * WARM / warm))
        capacity = images / await closed_loop(images, AT_ONCE, patient)
        for percent in options.loads:
            say(f"{running.shape}: {percent} % of {capacity:.0f} images/s for {options.seconds:g} s")
            due = poisson(capacity * percent / 100, options.seconds, seed=percent)
            answers, memory = await watched(running.worker, open_loop(due, ask))
            lasted = max(options.seconds, *(each.due for each in answers))
            loads.append(
                Load(
                    shape=running.shape,
                    percent=percent,
                    capacity=capacity,
                    seconds=lasted,
                    answers=answers,
                    memory=memory,
                )
            )
    return loads


def plots(loads: Sequence[Load]) -> list[dict[str, Any]]:
    """Percentiles over load, and memory over time beyond capacity."""
    latency: dict[str, list[Sample]] = {}
    memory: dict[str, list[Sample]] = {}
    for load in loads:
        if load.percent > OVER:
            memory[load.shape] = [(round(at, 2), round(value, 1)) for at, value in load.memory]
        elif load.whole:
            times = spread([each.seconds for each in load.whole])
            for name, value in (("p50", times.p50), ("p99", times.p99)):
                latency.setdefault(f"{load.shape}, {name}", []).append((load.percent, value))
    drawn = [
        ("verdict-latency", "Verdict latency over load", "load, % of capacity", "ms", latency),
        ("overload-memory", "Memory of the worker and its decoders beyond capacity", "seconds", "MB", memory),
    ]
    return [
        {"name": name, "title": title, "x_title": across, "y_title": up, "series": series}
        for name, title, across, up, series in drawn
        if series
    ]


def measure(options: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """All shapes."""
    mix, references = make_mix(options.pictures), write_references(folder / "references", options.references)
    loads: list[Load] = []
    for shape in options.shapes:
        say(f"{shape}: starting")
        with deployment(shape, folder / shape.replace(" ", "-")) as running:
            running.protect(references, "quick")
            loads += asyncio.run(measure_shape(running, mix, options))
    note = f"{mix.describe()}; {options.references} references; {options.budget:g} s until an asker gives up"
    capacity: list[dict[str, Cell]] = [{"bus and store": load.shape, "images/s": load.capacity} for load in loads]
    return {
        "title": "Verdict latency",
        "tables": [
            {"name": "targets", "title": "Targets", "rows": targets(loads, options.budget)},
            {"name": "capacity", "title": "Capacity", "rows": list(_distinct(capacity))},
            {
                "name": "latency",
                "title": "Latency from the intended time of asking",
                "note": note,
                "rows": [load_row(load, options.budget) for load in loads],
            },
        ],
        "plots": plots(loads),
    }


def _distinct(rows: Sequence[dict[str, Cell]]) -> list[dict[str, Cell]]:
    return list({str(row): row for row in rows}.values())


def main() -> int:
    """Measure, print and write."""
    parser = options_parser(__doc__)
    parser.add_argument("--seconds", type=float, default=15.0, help="of each load")
    parser.add_argument("--loads", type=int, nargs="+", default=[10, 50, 80, 150], help="percent of capacity")
    parser.add_argument("--budget", type=float, default=1.5, help="seconds until an asker gives up")
    parser.add_argument("--references", type=int, default=300, help="pictures that are protected")
    parser.add_argument("--pictures", type=int, default=200, help="different pictures that are asked about")
    parser.add_argument("--shapes", nargs="+", default=[EMBEDDED, SCALED_OUT], choices=[EMBEDDED, SCALED_OUT])
    return report_on(parser.parse_args(), "latency", measure)


if __name__ == "__main__":
    sys.exit(main())
