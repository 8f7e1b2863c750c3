"""Open-loop load: questions are asked when their time has come, whether or not earlier ones were answered.

Latency counts from the intended time of asking, so a load generator that falls behind, or a system that makes it wait,
cannot hide it (coordinated omission: https://github.com/HdrHistogram/HdrHistogram#corrected-vs-raw-value-recording-calls).
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Final

from hdrh.histogram import HdrHistogram

HIGHEST_MICROSECONDS: Final = 600_000_000
DIGITS: Final = 3
PERCENTILES: Final = (50.0, 99.0, 99.9)


@dataclass(frozen=True, slots=True, kw_only=True)
class Answered[T]:
    """One question: seconds after the first when it was to be asked, and how long after that it was answered."""

    due: float
    seconds: float
    answer: T


def poisson(rate: float, seconds: float, seed: int) -> list[float]:
    """Return when to ask, in seconds from the start: ``rate`` a second on average, independent of each other."""
    if rate <= 0:
        raise ValueError("a rate is more than nothing")
    source = random.Random(seed)
    times: list[float] = []
    at = source.expovariate(rate)
    while at < seconds:
        times.append(at)
        at += source.expovariate(rate)
    return times


async def open_loop[T](due: Sequence[float], ask: Callable[[int], Awaitable[T]]) -> list[Answered[T]]:
    """Ask question ``number`` at ``due[number]`` and return all answers, in the order of asking."""
    begun = time.perf_counter()

    async def answered(number: int, at: float) -> Answered[T]:
        answer = await ask(number)
        return Answered(due=at, seconds=time.perf_counter() - begun - at, answer=answer)

    async with asyncio.TaskGroup() as group:
        tasks = []
        for number, at in enumerate(due):
            early = at - (time.perf_counter() - begun)
            if early > 0:
                # Not asyncio.sleep: epoll counts whole milliseconds, by which verdicts would seem to take longer.
                await asyncio.to_thread(time.sleep, early)
            tasks.append(group.create_task(answered(number, at)))
    return [task.result() for task in tasks]


async def closed_loop(count: int, at_once: int, ask: Callable[[int], Awaitable[object]]) -> float:
    """Ask ``count`` questions, ``at_once`` at any time; return the seconds it took."""
    numbers = iter(range(count))
    begun = time.perf_counter()

    async def one_after_the_other() -> None:
        for number in numbers:
            await ask(number)

    async with asyncio.TaskGroup() as group:
        for _ in range(at_once):
            group.create_task(one_after_the_other())
    return time.perf_counter() - begun


@dataclass(frozen=True, slots=True, kw_only=True)
class Spread:
    """Percentiles of a measure, in milliseconds."""

    count: int
    p50: float
    p99: float
    p999: float
    highest: float

    def row(self) -> dict[str, float | int]:
        """The cells of a table."""
        return {"n": self.count, "p50": self.p50, "p99": self.p99, "p999": self.p999, "max": self.highest}


def spread(seconds: Sequence[float]) -> Spread:
    """Return the percentiles of times to three digits; raises ValueError where there are none."""
    if not seconds:
        raise ValueError("nothing was measured")
    histogram = HdrHistogram(1, HIGHEST_MICROSECONDS, DIGITS)
    for value in seconds:
        histogram.record_value(min(HIGHEST_MICROSECONDS, max(1, round(value * 1e6))))
    p50, p99, p999 = (round(histogram.get_value_at_percentile(percent) / 1000, 3) for percent in PERCENTILES)
    return Spread(count=len(seconds), p50=p50, p99=p99, p999=p999, highest=round(max(seconds) * 1000, 3))
