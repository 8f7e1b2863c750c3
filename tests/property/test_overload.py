"""More images than can be judged: as many are judged as ever, the others are told in time, and nothing piles up."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from dataclasses import dataclass, field

import pytest

from shared.errors import DecodeError
from shared.telemetry import Metrics
from shared.types import Priority
from tests.virtual_time import VirtualClock, run
from workers.serving.admission import Admission

SERVERS, SERVICE = 2, 0.010
CAPACITY = SERVERS / SERVICE
PATIENCE = 1.5
SECONDS = 6.0


@dataclass
class Outcome:
    """How many images were judged while more came, by priority, and how long the refused ones waited."""

    judged: Counter[Priority] = field(default_factory=Counter)
    late: int = 0
    refused_after: list[float] = field(default_factory=list)
    most_waiting: float = 0.0


async def overloaded(load: float, share_of_uploads: float = 1.0) -> Outcome:
    """Judge images that come at random, ``load`` times as many as can be judged."""
    clock, metrics, chance, outcome = VirtualClock(), Metrics(), random.Random(7), Outcome()
    admission = Admission(clock, metrics, places=12)
    servers = asyncio.Semaphore(SERVERS)

    async def judge(priority: Priority) -> None:
        begun = clock.monotonic()
        try:
            async with admission.turn(60_000, begun + PATIENCE, priority), servers:
                await asyncio.wait(
                    {asyncio.get_running_loop().create_future()}, timeout=chance.uniform(0.5, 1.5) * SERVICE
                )
        except DecodeError:
            outcome.refused_after.append(clock.monotonic() - begun)
        else:
            outcome.late += clock.monotonic() > begun + PATIENCE
            outcome.judged[priority] += clock.monotonic() <= min(begun + PATIENCE, SECONDS)
        outcome.most_waiting = max(outcome.most_waiting, metrics.value("safelight_worker_images_waiting"))

    async with asyncio.TaskGroup() as group:
        while clock.monotonic() < SECONDS:
            priority = Priority.UPLOAD if chance.random() < share_of_uploads else Priority.DOWNLOAD
            _ = group.create_task(judge(priority))
            await asyncio.wait(
                {asyncio.get_running_loop().create_future()}, timeout=chance.expovariate(load * CAPACITY)
            )
    return outcome


@pytest.mark.parametrize("load", [1.5, 3.0])
def test_throughput_stays_and_the_others_are_told_in_time(load: float) -> None:
    outcome = run(overloaded(load))
    judged = outcome.judged.total()
    assert judged >= 0.9 * CAPACITY * SECONDS
    assert outcome.late <= 0.02 * judged
    assert max(outcome.refused_after) <= PATIENCE
    assert outcome.most_waiting <= load * CAPACITY * PATIENCE * 1.1


def test_below_capacity_nothing_is_refused() -> None:
    outcome = run(overloaded(0.8))
    assert (outcome.refused_after, outcome.late) == ([], 0)


def test_uploads_take_the_place_of_downloads_and_not_all_of_it() -> None:
    outcome = run(overloaded(1.5, share_of_uploads=0.5))
    assert outcome.judged[Priority.UPLOAD] > 1.5 * outcome.judged[Priority.DOWNLOAD]
    assert outcome.judged[Priority.DOWNLOAD] > 0.1 * outcome.judged[Priority.UPLOAD]
