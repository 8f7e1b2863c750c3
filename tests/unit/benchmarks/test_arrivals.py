"""Open-loop load: the schedule, latency from the intended time, percentiles."""

import asyncio
import itertools
import time

import pytest

from benchmarks.arrivals import closed_loop, open_loop, poisson, spread


def test_arrivals_come_at_the_rate_in_order_and_the_same_again() -> None:
    times = poisson(100.0, 50.0, seed=1)
    assert times == poisson(100.0, 50.0, seed=1) != poisson(100.0, 50.0, seed=2)
    assert times == sorted(times)
    assert 0 < times[0] <= times[-1] < 50.0
    assert len(times) == pytest.approx(5000, rel=0.05)


def test_gaps_are_those_of_a_poisson_process() -> None:
    times = poisson(10.0, 2000.0, seed=3)
    gaps = [later - earlier for earlier, later in itertools.pairwise(times)]
    # Of an exponential distribution 1 - 1/e lie under the mean.
    assert sum(gap < 0.1 for gap in gaps) / len(gaps) == pytest.approx(0.632, abs=0.02)


def test_no_rate_no_schedule() -> None:
    with pytest.raises(ValueError, match="rate"):
        poisson(0.0, 1.0, seed=1)


async def test_what_is_asked_late_is_counted_from_when_it_was_due() -> None:
    """The first question blocks the whole loop, so the second is asked when it has long been due."""

    async def ask(number: int) -> int:
        if number == 0:
            until = time.perf_counter() + 0.1
            while time.perf_counter() < until:
                pass
        return number

    first, second = await open_loop([0.0, 0.01], ask)
    assert (first.answer, second.answer) == (0, 1)
    assert second.due == 0.01
    assert second.seconds >= 0.085


async def test_nobody_waits_for_an_earlier_answer() -> None:
    answered: list[int] = []
    second_is_there = asyncio.Event()

    async def ask(number: int) -> None:
        if number == 0:
            await second_is_there.wait()
        else:
            second_is_there.set()
        answered.append(number)

    await open_loop([0.0, 0.001], ask)
    assert answered == [1, 0]


async def test_a_closed_loop_asks_everything_with_so_many_at_once() -> None:
    asked: list[int] = []
    at_work = highest = 0

    async def ask(number: int) -> None:
        nonlocal at_work, highest
        at_work += 1
        highest = max(highest, at_work)
        asked.append(number)
        for _ in range(3):
            await asyncio.get_running_loop().create_task(_nothing())
        at_work -= 1

    assert await closed_loop(20, 4, ask) > 0
    assert sorted(asked) == list(range(20))
    assert highest == 4


async def _nothing() -> None:
    pass


def test_percentiles_to_three_digits() -> None:
    figures = spread([number / 1000 for number in range(1, 1001)])
    assert figures.count == 1000
    assert figures.p50 == pytest.approx(500, rel=0.002)
    assert figures.p99 == pytest.approx(990, rel=0.002)
    assert figures.p999 == pytest.approx(999, rel=0.002)
    assert figures.highest == 1000
    assert figures.row() == {
        "n": 1000,
        "p50": figures.p50,
        "p99": figures.p99,
        "p999": figures.p999,
        "max": figures.highest,
    }


def test_nothing_measured_is_said() -> None:
    with pytest.raises(ValueError, match="nothing was measured"):
        spread([])
