"""Reply, then commit, in order; a bus that refuses or a request that breaks ends nothing."""

import asyncio
from collections.abc import Sequence

import pytest

from shared.errors import BusError
from shared.telemetry import Metrics
from shared.types import BusMessage, Delivery
from workers.serving.answering import Answer
from workers.serving.request_loop import RequestLoop


def delivery(number: int) -> Delivery:
    message = BusMessage(key=b"k", value=b"v", correlation_id=str(number), partition=0)
    return Delivery(message=message, token=("requests", 0, number))


class ScriptedBus:
    """Hands out what it was given, then sets ``stopping``; notes what is done with it, in order."""

    def __init__(self, deliveries: Sequence[Delivery], stopping: asyncio.Event) -> None:
        self.waiting = list(deliveries)
        self.stopping = stopping
        self.events: list[str] = []
        self.limits: list[int] = []
        self.failures = {"receive": 0, "reply": 0, "commit": 0}

    async def start(self) -> None: ...

    async def stop(self) -> None: ...

    def connected(self) -> bool:
        return True

    async def receive(self, limit: int, timeout: float) -> tuple[Delivery, ...]:
        self._fail("receive")
        self.limits.append(limit)
        given, self.waiting = tuple(self.waiting[:limit]), self.waiting[limit:]
        if not self.waiting:
            self.stopping.set()
        return given

    async def reply(self, message: BusMessage) -> None:
        self._fail("reply")
        self.events.append(f"reply {message.correlation_id}")

    async def commit(self, deliveries: Sequence[Delivery]) -> None:
        self._fail("commit")
        self.events += [f"commit {each.message.correlation_id}" for each in deliveries]

    def _fail(self, operation: str) -> None:
        if self.failures[operation] > 0:
            self.failures[operation] -= 1
            raise BusError("refused")


class Echo:
    """Answers every request with itself; ``broken`` ones raise, ``held`` wait for ``release``; ``out`` went out."""

    def __init__(self, *, broken: str = "", held: str = "", foreign: str = "") -> None:
        self.release = asyncio.Event()
        self._broken, self._held, self._foreign = broken, held, foreign
        self.out: list[str] = []

    async def answer(self, message: BusMessage) -> Answer | None:
        if message.correlation_id == self._broken:
            raise RuntimeError("a bug")
        if message.correlation_id == self._held:
            await self.release.wait()
        return None if message.correlation_id == self._foreign else Answer(reply=message, blob=None, at=0.0)

    async def replied(self, answer: Answer) -> None:
        self.out.append(answer.reply.correlation_id)


async def run(bus: ScriptedBus, echo: Echo, *, at_hand: int = 8, size: int = 1 << 20) -> Metrics:
    metrics = Metrics()
    await RequestLoop(bus, echo, metrics, at_hand=at_hand, size=size, full_seconds=0.01).run(bus.stopping)
    return metrics


async def test_every_request_is_answered_then_committed() -> None:
    bus, echo = ScriptedBus([delivery(1), delivery(2)], asyncio.Event()), Echo()
    await run(bus, echo)
    assert bus.events.index("reply 1") < bus.events.index("commit 1")
    assert bus.events.index("reply 2") < bus.events.index("commit 2")
    assert echo.out == ["1", "2"]


async def test_a_slow_request_holds_back_the_commits_after_it() -> None:
    bus, echo = ScriptedBus([delivery(1), delivery(2)], asyncio.Event()), Echo(held="1")
    running = asyncio.get_running_loop().create_task(run(bus, echo))
    await bus.stopping.wait()
    while "reply 2" not in bus.events:
        await asyncio.wait({running}, timeout=0)
    assert "commit 2" not in bus.events
    echo.release.set()
    await running
    assert bus.events[-2:] == ["commit 1", "commit 2"]


async def test_no_more_than_the_limit_is_at_work() -> None:
    bus, echo = ScriptedBus([delivery(n) for n in range(7)], asyncio.Event()), Echo()
    await run(bus, echo, at_hand=2)
    assert max(bus.limits) <= 2
    assert bus.events[-1] == "commit 6"


async def test_no_more_bytes_than_the_limit_are_at_hand_and_the_bus_is_told() -> None:
    bus, echo = ScriptedBus([delivery(n) for n in range(3)], asyncio.Event()), Echo(held="0")
    running = asyncio.get_running_loop().create_task(run(bus, echo, at_hand=1, size=1))
    while 0 not in bus.limits:
        await asyncio.wait({running}, timeout=0.01)
    assert (bus.events, max(bus.limits)) == ([], 1)
    echo.release.set()
    await running
    assert max(bus.limits) == 1
    assert bus.events[-1] == "commit 2"


@pytest.mark.error_logs("a request could not be answered")
async def test_a_request_that_breaks_is_committed_and_counted() -> None:
    bus = ScriptedBus([delivery(1), delivery(2)], asyncio.Event())
    metrics = await run(bus, Echo(broken="1"))
    assert [event for event in bus.events if event.startswith("commit")] == ["commit 1", "commit 2"]
    assert metrics.value("safelight_worker_requests_total", outcome="failed") == 1


async def test_what_is_foreign_is_committed_without_a_reply() -> None:
    bus = ScriptedBus([delivery(1)], asyncio.Event())
    await run(bus, Echo(foreign="1"))
    assert bus.events == ["commit 1"]


@pytest.mark.parametrize("operation", ["receive", "reply", "commit"])
async def test_a_bus_that_refuses_is_tried_again_or_left(operation: str) -> None:
    bus = ScriptedBus([delivery(1)], asyncio.Event())
    bus.failures[operation] = 1
    metrics = await run(bus, Echo())
    assert "reply 1" in bus.events
    assert ("commit 1" in bus.events) is (operation != "commit")
    assert metrics.value("safelight_bus_errors_total", operation=operation) == 1


async def test_an_outage_is_told_once(caplog: pytest.LogCaptureFixture) -> None:
    bus = ScriptedBus([delivery(number) for number in range(3)], asyncio.Event())
    bus.failures["reply"] = 6
    metrics = await run(bus, Echo())
    assert metrics.value("safelight_bus_errors_total", operation="reply") == 6
    assert caplog.messages == ["the bus refused to reply: refused"]
