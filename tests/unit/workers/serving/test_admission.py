"""So many images at work and no more; who cannot be done in time is told so in time."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack

import pytest

from shared.errors import DecodeError, ErrorCode
from shared.telemetry import Metrics
from shared.types import Priority
from tests.inspection_doubles import StillClock
from workers.serving.admission import Admission

FAR = 1e9


class Scene:
    """An admission and what came through it, in order."""

    def __init__(self, places: int = 1, size: int = 1000) -> None:
        self.clock, self.metrics = StillClock(), Metrics()
        self.admission = Admission(self.clock, self.metrics, places=places, size=size)
        self.entered: list[str] = []
        self.tasks: list[asyncio.Task[None]] = []

    def send(self, name: str, *, size: int = 1, deadline: float = FAR, priority: Priority = Priority.UPLOAD) -> None:
        async def visit() -> None:
            async with self.admission.turn(size, deadline, priority):
                self.entered.append(name)

        self.tasks.append(asyncio.get_running_loop().create_task(visit()))

    async def settled(self) -> None:
        await asyncio.wait(self.tasks, timeout=0.01)

    def value(self, name: str) -> float:
        return self.metrics.value(f"safelight_worker_{name}")


async def test_one_place_serves_one_after_the_other_the_most_urgent_first() -> None:
    scene = Scene()
    async with scene.admission.turn(1, FAR, Priority.UPLOAD):
        scene.send("scan", priority=Priority.BACKGROUND)
        await scene.settled()
        scene.send("download", priority=Priority.DOWNLOAD)
        await scene.settled()
        scene.send("upload")
        await scene.settled()
        assert scene.entered == []
        assert (scene.value("images_at_work"), scene.value("images_waiting")) == (1, 3)
    await asyncio.gather(*scene.tasks)
    assert scene.entered == ["upload", "download", "scan"]
    assert (scene.value("images_at_work"), scene.value("images_waiting")) == (0, 0)


async def test_bytes_are_bounded_too_and_a_small_one_does_not_overtake() -> None:
    scene = Scene(places=9, size=100)
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(scene.admission.turn(60, FAR, Priority.UPLOAD))
        scene.send("large", size=50)
        scene.send("small", size=10)
        await scene.settled()
        assert scene.entered == []
        assert scene.value("bytes_at_work") == 60
    await asyncio.gather(*scene.tasks)
    assert scene.entered == ["large", "small"]
    assert scene.value("bytes_at_work") == 0


async def test_one_over_the_bound_comes_in_alone() -> None:
    scene = Scene(places=9, size=100)
    scene.send("huge", size=5000)
    await scene.tasks[0]
    assert scene.entered == ["huge"]


async def test_who_is_late_never_enters() -> None:
    scene = Scene()
    scene.send("late", deadline=scene.clock.now)
    with pytest.raises(DecodeError) as caught:
        await scene.tasks[0]
    assert caught.value.code is ErrorCode.TOO_LATE


async def test_who_waits_in_vain_is_told_before_the_deadline() -> None:
    scene = Scene()
    async with scene.admission.turn(1, FAR, Priority.UPLOAD):
        scene.clock.now += 1.0  # so long an image takes
    async with scene.admission.turn(1, FAR, Priority.UPLOAD):
        scene.send("hopeless", deadline=scene.clock.now + 1.0)
        with pytest.raises(DecodeError) as caught:
            await scene.tasks[0]
    assert caught.value.code is ErrorCode.TOO_LATE
    assert scene.value("images_waiting") == 0


async def test_who_leaves_gives_the_place_away() -> None:
    scene = Scene()
    async with scene.admission.turn(1, FAR, Priority.UPLOAD):
        scene.send("leaves")
        scene.send("stays")
        await scene.settled()
        scene.tasks[0].cancel()
        await scene.settled()
        assert scene.value("images_waiting") == 1
    await asyncio.gather(*scene.tasks, return_exceptions=True)
    assert scene.entered == ["stays"]


async def test_who_leaves_when_called_gives_the_place_away_too() -> None:
    scene = Scene()
    async with scene.admission.turn(1, FAR, Priority.UPLOAD):
        scene.send("leaves")
        scene.send("stays")
        await scene.settled()
    scene.tasks[0].cancel()  # called by the one who left just now, and not yet awake
    await asyncio.gather(*scene.tasks, return_exceptions=True)
    assert scene.entered == ["stays"]
    assert scene.value("images_at_work") == 0
