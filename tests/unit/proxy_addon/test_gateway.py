"""Questions and answers: matched, bounded in time, and never somebody else's."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import Any

import pytest

from proxy_addon.gateway import BLOB_PREFIX, Gateway
from proxy_addon.verdicts.breaker import Breaker, BreakerState
from proxy_addon.verdicts.pending import Pending
from shared import codec
from shared.errors import BusError, BusFullError, ErrorCode, RedactionError, RedactionRefusal
from shared.sealing import Sealer
from shared.telemetry import Metrics
from shared.types import (
    CLAIM_CHECK_BYTES,
    REDACTED_PREFIX,
    BusMessage,
    Inquiry,
    InspectionReply,
    InspectionRequest,
    Part,
    Priority,
    RedactionOrder,
    RedactionReply,
    RedactionRequest,
    UninspectedReason,
    VerdictError,
)
from tests.clocks import ManualClock
from tests.factories import make_verdict
from tests.memory_store import MemoryStore

SEALER = Sealer(bytes(32))
FAR = 1e9


@dataclass(frozen=True)
class Asked:
    request: InspectionRequest | RedactionRequest
    message: BusMessage


class WorkerBus:
    """A bus with the worker at its other end: ``answer`` makes the replies to a question."""

    def __init__(self, answer: Callable[[Asked], list[BusMessage]]) -> None:
        self.answer = answer
        self.asked: list[Asked] = []
        self.was_asked = asyncio.Event()
        self.up = True
        self._replies: asyncio.Queue[BusMessage] = asyncio.Queue()

    async def start(self, instance: int) -> None:
        return

    async def ask(self, message: BusMessage) -> None:
        if not self.up:
            raise BusError("no broker")
        plain = SEALER.open(message.value, message.correlation_id)
        decode = codec.decode_redaction_request if codec.is_redaction(plain) else codec.decode_request
        asked = Asked(decode(plain), message)
        self.asked.append(asked)
        self.was_asked.set()
        for reply in self.answer(asked):
            self._replies.put_nowait(reply)

    async def replies(self) -> AsyncIterator[BusMessage]:
        while True:
            yield await self._replies.get()

    def connected(self) -> bool:
        return self.up

    async def stop(self) -> None:
        return


def make_part(data: bytes = b"an image", locator: str = "body") -> Part:
    digest = hashlib.sha256(data).hexdigest()
    return Part(data=data, media_type="image/png", locator=locator, sha256=digest, name="a.png")


def make_reply(asked: Asked, **overrides: Any) -> BusMessage:
    """Return the right answer, fields of the reply overridden."""
    request = asked.request
    right = InspectionReply(id=request.id, sha256=request.sha256, verdict=make_verdict(sha256=request.sha256))
    value = SEALER.seal(codec.encode_reply(replace(right, **overrides)), request.id)
    return BusMessage(key=asked.message.key, value=value, correlation_id=request.id, partition=request.reply_to)


@dataclass
class World:
    bus: WorkerBus
    store: MemoryStore
    clock: ManualClock
    metrics: Metrics
    gateway: Gateway

    def orphans(self, cause: str) -> float:
        return self.metrics.value("safelight_proxy_orphan_replies_total", cause=cause)


@asynccontextmanager
async def world(answer: Callable[[Asked], list[BusMessage]], *, pending: Pending | None = None) -> AsyncIterator[World]:
    bus, store, clock, metrics = WorkerBus(answer), MemoryStore(), ManualClock(), Metrics()
    breaker = Breaker(failures=2, first=1.0)
    gateway = Gateway(bus, store, SEALER, clock, metrics, instance=7, breaker=breaker, pending=pending)
    running = asyncio.get_running_loop().create_task(gateway.run())
    try:
        yield World(bus, store, clock, metrics, gateway)
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        await gateway.close()


async def test_a_verdict_for_every_part_in_order() -> None:
    parts = [make_part(b"one", "a"), make_part(b"two", "b"), make_part(b"one", "c")]
    async with world(lambda asked: [make_reply(asked)]) as w:
        judgements = await w.gateway.verdicts(parts, Inquiry(deadline=FAR))
    assert [each.locator for each in judgements] == ["a", "b", "c"]
    assert [each.verdict and each.verdict.sha256 for each in judgements] == [part.sha256 for part in parts]
    assert [each.size for each in judgements] == [3, 3, 3]
    assert len(w.bus.asked) == 2  # the same image is asked for once
    assert w.gateway.pending == 0


async def test_what_a_question_says() -> None:
    part = make_part()
    async with world(lambda asked: [make_reply(asked)]) as w:
        await w.gateway.verdicts(
            [part], Inquiry(deadline=w.clock.now + 1.5, classifiers=("documents",), near_cache=True)
        )
    (asked,) = w.bus.asked
    assert asked.request == InspectionRequest(
        id=asked.message.correlation_id,
        sha256=part.sha256,
        budget_ms=1500,
        sent_at=w.clock.wall(),
        reply_to=7,
        size=8,
        payload=part.data,
        classifiers=("documents",),
        near_cache=True,
    )
    assert asked.message.key == bytes.fromhex(part.sha256)
    assert asked.message.partition == 7
    assert part.data not in asked.message.value


async def test_large_images_go_by_claim_check() -> None:
    data = bytes(CLAIM_CHECK_BYTES)
    async with world(lambda asked: [make_reply(asked)]) as w:
        (judgement,) = await w.gateway.verdicts([make_part(data)], Inquiry(deadline=FAR))
    (asked,) = w.bus.asked
    assert judgement.verdict is not None
    assert (asked.request.payload, asked.request.blob) == (None, BLOB_PREFIX + asked.request.id)
    assert SEALER.open(w.store.blobs[BLOB_PREFIX + asked.request.id], asked.request.id) == data
    assert len(asked.message.value) < 1024


async def test_an_inline_message_is_never_larger_than_the_limit() -> None:
    async with world(lambda asked: [make_reply(asked)]) as w:
        for size in range(CLAIM_CHECK_BYTES - 700, CLAIM_CHECK_BYTES, 100):
            await w.gateway.verdicts([make_part(bytes(size))], Inquiry(deadline=FAR))
    assert max(len(asked.message.value) for asked in w.bus.asked) <= CLAIM_CHECK_BYTES


@pytest.mark.error_logs("a verdict was dropped")
@pytest.mark.parametrize(
    ("cause", "forge"),
    [
        ("mismatch", lambda asked: make_reply(asked, id="0" * 32)),
        ("mismatch", lambda asked: make_reply(asked, sha256="0" * 64)),
        ("mismatch", lambda asked: make_reply(asked, verdict=make_verdict(sha256="0" * 64))),
        ("integrity", lambda asked: replace(make_reply(asked), value=b"forged" * 20)),
        ("wire", lambda asked: replace(make_reply(asked), value=SEALER.seal(b"\xffjunk", asked.request.id))),
        ("late", lambda asked: replace(make_reply(asked), correlation_id="f" * 32)),
    ],
)
async def test_only_the_answer_to_the_question_counts(cause: str, forge: Callable[[Asked], BusMessage]) -> None:
    async with world(lambda asked: [forge(asked), make_reply(asked), make_reply(asked)]) as w:
        (judgement,) = await w.gateway.verdicts([make_part()], Inquiry(deadline=FAR))
        assert judgement.verdict is not None
        assert w.orphans(cause) >= 1


async def test_no_answer_by_the_deadline() -> None:
    async with world(lambda _: []) as w:
        (judgement,) = await w.gateway.verdicts([make_part()], Inquiry(deadline=w.clock.now + 0.02))
        assert (judgement.verdict, judgement.uninspected) == (None, UninspectedReason.TIMEOUT)
        assert w.gateway.pending == 0
        assert w.metrics.value("safelight_proxy_pending_requests") == 0


async def test_a_reply_that_comes_twice_counts_once() -> None:
    async with world(lambda asked: [make_reply(asked), make_reply(asked)]) as w:
        (judgement,) = await w.gateway.verdicts([make_part()], Inquiry(deadline=FAR))
        assert judgement.verdict is not None
        await w.gateway.verdicts(
            [make_part(b"another")], Inquiry(deadline=FAR)
        )  # whose replies come after the second of the first
    assert w.orphans("late") >= 1


async def test_after_the_deadline_nothing_is_asked() -> None:
    async with world(lambda asked: [make_reply(asked)]) as w:
        (judgement,) = await w.gateway.verdicts([make_part()], Inquiry(deadline=w.clock.now))
    assert judgement.uninspected is UninspectedReason.TIMEOUT
    assert w.bus.asked == []


async def test_a_bus_that_is_down_is_not_waited_for() -> None:
    async with world(lambda asked: [make_reply(asked)]) as w:
        w.bus.up = False
        for _ in range(3):
            (judgement,) = await w.gateway.verdicts([make_part()], Inquiry(deadline=FAR))
            assert judgement.uninspected is UninspectedReason.TIMEOUT
        assert w.metrics.value("safelight_bus_errors_total", operation="ask") == 2  # the third was not even tried
        w.bus.up = True  # which is asked at once, whatever is left of the back-off
        for _ in range(2):
            assert (await w.gateway.verdicts([make_part()], Inquiry(deadline=FAR)))[0].verdict is not None


async def test_nobody_answering_at_all_opens_the_breaker_and_any_answer_closes_it() -> None:
    async with world(lambda _: []) as w:
        for _ in range(2):
            await w.gateway.verdicts([make_part()], Inquiry(deadline=w.clock.now + 0.02))
        assert w.metrics.value("safelight_proxy_breaker_state") == BreakerState.OPEN
        await w.gateway.verdicts([make_part()], Inquiry(deadline=FAR))
        assert len(w.bus.asked) == 2
        assert w.metrics.value("safelight_proxy_unasked_total", cause="breaker") == 1
        w.clock.now += 1.0
        w.bus.answer = lambda asked: [make_reply(asked)]
        assert (await w.gateway.verdicts([make_part()], Inquiry(deadline=FAR)))[0].verdict is not None
        assert w.metrics.value("safelight_proxy_breaker_state") == BreakerState.CLOSED


async def test_a_question_whose_asker_leaves_while_others_are_answered_is_no_failure() -> None:
    slow = make_part(b"slow")
    async with world(lambda asked: [] if asked.request.sha256 == slow.sha256 else [make_reply(asked)]) as w:
        for _ in range(3):
            w.clock.now += 1.0
            waiting = w.gateway.verdicts([slow], Inquiry(deadline=w.clock.now + 0.05))
            await asyncio.gather(waiting, w.gateway.verdicts([make_part()], Inquiry(deadline=FAR)))
        assert w.metrics.value("safelight_proxy_breaker_state") == BreakerState.CLOSED


async def test_more_than_may_wait_are_told_at_once() -> None:
    async with world(lambda _: [], pending=Pending(questions=1)) as w:
        asking = asyncio.get_running_loop().create_task(
            w.gateway.verdicts([make_part()], Inquiry(deadline=w.clock.now + 0.05))
        )
        await w.bus.was_asked.wait()
        (judgement,) = await w.gateway.verdicts([make_part(b"another")], Inquiry(deadline=FAR))
        assert judgement.uninspected is UninspectedReason.OVERLOADED
        assert w.metrics.value("safelight_proxy_unasked_total", cause="pending") == 1
        assert w.metrics.value("safelight_proxy_pending_bytes") == len(b"an image")
        await asking
        assert w.metrics.value("safelight_proxy_pending_bytes") == 0


async def test_a_bus_without_room_is_overloaded_and_not_down(caplog: pytest.LogCaptureFixture) -> None:
    def full(_: Asked) -> list[BusMessage]:
        raise BusFullError("4096 requests wait")

    async with world(full) as w:
        for _ in range(4):
            (judgement,) = await w.gateway.verdicts([make_part()], Inquiry(deadline=FAR))
            assert judgement.uninspected is UninspectedReason.OVERLOADED
        assert len(w.bus.asked) == 4
        assert w.metrics.value("safelight_proxy_unasked_total", cause="bus") == 4
        w.bus.answer = lambda asked: [make_reply(asked)]
        await w.gateway.verdicts([make_part()], Inquiry(deadline=FAR))
    begin, end = caplog.messages
    assert begin.startswith("cannot ask for a verdict")
    assert end.endswith("failures: 4")


async def test_a_question_says_how_urgent_it_is() -> None:
    async with world(lambda asked: [make_reply(asked)]) as w:
        await w.gateway.verdicts([make_part()], Inquiry(deadline=FAR, priority=Priority.DOWNLOAD))
    (asked,) = w.bus.asked
    assert isinstance(asked.request, InspectionRequest)
    assert asked.request.priority is Priority.DOWNLOAD


async def test_a_store_that_is_down_fails_large_images_only() -> None:
    async with world(lambda asked: [make_reply(asked)]) as w:
        w.store.down = True
        large, small = make_part(bytes(CLAIM_CHECK_BYTES)), make_part()
        judgements = await w.gateway.verdicts([large, small], Inquiry(deadline=FAR))
    assert [each.verdict is None for each in judgements] == [True, False]


@pytest.mark.error_logs("cannot ask for a verdict")
async def test_an_unforeseen_error_is_an_answer_too() -> None:
    def broken(_: Asked) -> list[BusMessage]:
        raise RuntimeError("a bug")

    async with world(broken) as w:
        (judgement,) = await w.gateway.verdicts([make_part()], Inquiry(deadline=FAR))
    assert judgement.uninspected is UninspectedReason.TIMEOUT


async def test_a_cancelled_question_leaves_nothing() -> None:
    async with world(lambda _: []) as w:
        asking = asyncio.get_running_loop().create_task(w.gateway.verdicts([make_part()], Inquiry(deadline=FAR)))
        await w.bus.was_asked.wait()
        asking.cancel()
        await asyncio.gather(asking, return_exceptions=True)
        assert w.gateway.pending == 0


ORDER = RedactionOrder(regions=((1, 2, 3, 4),))


def make_redacted(asked: Asked, **overrides: Any) -> BusMessage:
    """Return a small obscured image, fields of the reply overridden."""
    request = asked.request
    fields = {"id": request.id, "sha256": request.sha256, "payload": b"obscured", **overrides}
    value = SEALER.seal(codec.encode_redaction(RedactionReply(**fields)), request.id)
    return BusMessage(key=asked.message.key, value=value, correlation_id=request.id, partition=request.reply_to)


async def test_a_redaction_comes_back() -> None:
    async with world(lambda asked: [make_redacted(asked)]) as one:
        assert await one.gateway.redact(make_part(), ORDER, one.clock.now + 1) == b"obscured"
        (asked,) = one.bus.asked
        assert isinstance(asked.request, RedactionRequest)
        assert (asked.request.order, asked.request.payload, asked.request.budget_ms) == (ORDER, b"an image", 1000)
        assert one.gateway.pending == 0


async def test_a_large_redaction_is_fetched_and_then_forgotten() -> None:
    file = bytes(CLAIM_CHECK_BYTES + 1)

    def answer(asked: Asked) -> list[BusMessage]:
        return [make_redacted(asked, payload=None, blob=REDACTED_PREFIX + asked.request.id)]

    async with world(answer) as one:
        with pytest.raises(RedactionError, match="not where it was put"):
            await one.gateway.redact(make_part(), ORDER, one.clock.now + 1)

        def put_and_answer(asked: Asked) -> list[BusMessage]:
            place = REDACTED_PREFIX + asked.request.id
            one.store.blobs[place] = SEALER.seal(file, place)
            return answer(asked)

        one.bus.answer = put_and_answer
        assert await one.gateway.redact(make_part(), ORDER, one.clock.now + 1) == file
        assert one.store.blobs == {}


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        (ErrorCode.UNSUPPORTED_FORMAT, RedactionRefusal.UNSUPPORTED_FORMAT),
        (ErrorCode.TOO_LATE, RedactionRefusal.TOO_LATE),
        (ErrorCode.DECODE_TIMEOUT, RedactionRefusal.TOO_LATE),
        (ErrorCode.CORRUPT, RedactionRefusal.FAILED),
    ],
)
async def test_a_redaction_that_failed_says_why(code: ErrorCode, reason: RedactionRefusal) -> None:
    error = VerdictError(code=code, message="why")
    async with world(lambda asked: [make_redacted(asked, payload=None, error=error)]) as one:
        with pytest.raises(RedactionError, match="why") as refused:
            await one.gateway.redact(make_part(), ORDER, one.clock.now + 1)
    assert refused.value.reason is reason


@pytest.mark.error_logs("a verdict was dropped")
async def test_a_redaction_is_no_verdict_and_a_verdict_no_redaction() -> None:
    async with world(lambda asked: [make_reply(asked)]) as one:
        with pytest.raises(RedactionError) as refused:
            await one.gateway.redact(make_part(), ORDER, one.clock.now + 0.05)
        assert refused.value.reason is RedactionRefusal.TOO_LATE
        assert one.orphans("wire") == 1
        one.bus.answer = lambda asked: [make_redacted(asked)]
        (judgement,) = await one.gateway.verdicts([make_part()], Inquiry(deadline=one.clock.now + 0.05))
        assert judgement.verdict is None
        assert one.orphans("wire") == 2


@pytest.mark.error_logs("a verdict was dropped")
async def test_no_redaction_for_another_image() -> None:
    async with world(lambda asked: [make_redacted(asked, sha256="b" * 64)]) as one:
        with pytest.raises(RedactionError):
            await one.gateway.redact(make_part(), ORDER, one.clock.now + 0.05)
        assert one.orphans("mismatch") == 1
