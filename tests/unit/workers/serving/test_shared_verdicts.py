"""What one worker has found out another one knows; a store that is slow or down is not waited for."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from shared.sealing import Sealer
from shared.telemetry import Metrics
from shared.types import FrameTrace, KnownVerdict, Versioned
from tests.factories import make_verdict
from tests.inspection_doubles import StillClock
from tests.memory_store import MemoryStore
from workers.serving.shared_verdicts import PAUSE_SECONDS, SharedVerdicts

SEALER = Sealer(bytes(32))
TRACE = FrameTrace(index=0, vector=b"\0\0\x80?", pdq=("a" * 64,) * 8, pdq_quality=90, low_information=False)


def known(revision: str = "e1:1") -> KnownVerdict:
    return KnownVerdict(verdict=make_verdict(index_revision=revision), traces=(TRACE,))


class SlowStore(MemoryStore):
    """Answers when it is told to."""

    def __init__(self) -> None:
        super().__init__()
        self.may_answer = asyncio.Event()
        self.may_answer.set()
        self.looked = 0

    async def get(self, key: str) -> Versioned | None:
        self.looked += 1
        await self.may_answer.wait()
        return await super().get(key)


class Scene:
    def __init__(self) -> None:
        self.store, self.clock, self.metrics = SlowStore(), StillClock(), Metrics()
        self.one, self.other = self.worker(), self.worker()

    def worker(self, encoder: str = "e1", sealer: Sealer = SEALER) -> SharedVerdicts:
        return SharedVerdicts(self.store, sealer, encoder, self.clock, self.metrics)

    def outcome(self, name: str) -> float:
        return self.metrics.value("safelight_worker_shared_verdicts_total", outcome=name)


@pytest.fixture
async def scene() -> AsyncIterator[Scene]:
    scene = Scene()
    yield scene
    scene.store.may_answer.set()
    await scene.one.stop()
    await scene.other.stop()


async def test_what_one_knows_the_other_is_told(scene: Scene) -> None:
    scene.one.put("a", known())
    await scene.one.stop()
    assert await scene.other.get("a") == known()
    assert await scene.other.get("b") is None
    assert (scene.outcome("hit"), scene.outcome("miss")) == (1, 1)


async def test_a_newer_verdict_takes_the_place_of_the_older(scene: Scene) -> None:
    for revision in ("e1:1", "e1:2"):
        scene.one.put("a", known(revision))
        await scene.one.stop()
    assert await scene.other.get("a") == known("e1:2")


async def test_another_encoder_has_its_own(scene: Scene) -> None:
    scene.one.put("a", known())
    await scene.one.stop()
    assert await scene.worker("e2").get("a") is None


async def test_what_does_not_open_is_not_used(scene: Scene) -> None:
    stranger = scene.worker(sealer=Sealer(b"x" * 32))
    stranger.put("a", known())
    await stranger.stop()
    assert await scene.one.get("a") is None
    assert scene.outcome("refused") == 1


async def test_a_slow_store_is_not_waited_for_and_then_left_alone(scene: Scene) -> None:
    scene.store.may_answer.clear()
    assert await scene.one.get("a") is None
    assert await scene.one.get("a") is None
    assert (scene.outcome("late"), scene.store.looked) == (1, 1)
    scene.store.may_answer.set()
    scene.clock.now += PAUSE_SECONDS
    assert await scene.one.get("a") is None
    assert scene.store.looked == 2


async def test_a_store_that_is_down_is_left_alone(scene: Scene) -> None:
    scene.store.down = True
    assert await scene.one.get("a") is None
    scene.one.put("a", known())
    assert await scene.one.get("a") is None
    assert (scene.outcome("failed"), scene.store.looked) == (1, 1)
    assert scene.metrics.value("safelight_store_errors_total", operation="get_verdict") == 1
    scene.store.down = False
    scene.clock.now += PAUSE_SECONDS
    scene.one.put("a", known())
    await scene.one.stop()
    assert await scene.one.get("a") == known()
