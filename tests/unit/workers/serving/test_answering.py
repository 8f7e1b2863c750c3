"""Sealed requests in, sealed replies out; what is not for this worker is dropped."""

from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest

from shared import codec
from shared.errors import DecodeError, ErrorCode, StoreError
from shared.sealing import Sealer
from shared.telemetry import Metrics
from shared.types import (
    CLAIM_CHECK_BYTES,
    REDACTED_PREFIX,
    BusMessage,
    InspectionRequest,
    RedactionOrder,
    RedactionReply,
    RedactionRequest,
    Verdict,
)
from tests.inspection_doubles import KnownClassifiers, KnownDecoder, KnownEncoder, KnownIndex, StillClock, digest
from tests.memory_store import MemoryStore
from workers.serving.admission import Admission
from workers.serving.answering import OFF_LOOP_BYTES, WAY_BACK_SECONDS, Answer, Answerer
from workers.serving.inspector import Inspector
from workers.serving.verdicts import Verdicts

DATA = b"an image"
SEALER = Sealer(bytes(32))
OTHER_SEALER = Sealer(b"x" * 32)
TENANT_SEALER = Sealer(bytes(32), "acme")
CLOCK = StillClock()


def request_for(**overrides: Any) -> InspectionRequest:
    values: dict[str, Any] = {
        "id": "question-1",
        "sha256": digest(DATA),
        "budget_ms": 1500,
        "sent_at": CLOCK.today,
        "reply_to": 3,
        "size": len(DATA),
        "payload": DATA,
    }
    return InspectionRequest(**{**values, **overrides})


def message_of(request: InspectionRequest, *, sealer: Sealer = SEALER, place: str = "question-1") -> BusMessage:
    value = sealer.seal(codec.encode_request(request), place)
    return BusMessage(key=b"key", value=value, correlation_id=place, partition=3)


def verdict_in(answer: Answer | None) -> Verdict:
    assert answer is not None
    return codec.decode_reply(SEALER.open(answer.reply.value, "question-1")).verdict


class KnownObscurer:
    """Obscures any picture to the same bytes, or raises what it was given."""

    def __init__(self) -> None:
        self.orders: list[RedactionOrder] = []
        self.file = b"obscured"
        self.error: DecodeError | None = None

    async def obscure(self, data: bytes, order: RedactionOrder, *, deadline: float | None = None) -> bytes:
        assert deadline is not None
        self.orders.append(order)
        if self.error is not None:
            raise self.error
        return self.file


class Desk:
    """An answerer and what surrounds it."""

    def __init__(self) -> None:
        self.metrics = Metrics()
        self.store = MemoryStore()
        self.decoder = KnownDecoder()
        self.obscurer = KnownObscurer()
        self.inspector = Inspector(self.decoder, KnownEncoder(), KnownIndex(), CLOCK, self.metrics)
        admission = Admission(CLOCK, self.metrics, places=2)
        verdicts = Verdicts(self.inspector, KnownIndex(), KnownClassifiers(), admission, CLOCK, self.metrics)
        self.answerer = Answerer(verdicts, admission, self.obscurer, self.store, SEALER, CLOCK, self.metrics)

    def dropped(self, cause: str) -> float:
        return self.metrics.value("safelight_worker_dropped_messages_total", cause=cause)


@pytest.fixture
async def desk() -> AsyncIterator[Desk]:
    desk = Desk()
    desk.inspector.start()
    yield desk
    await desk.inspector.stop()


async def test_a_reply_goes_where_the_request_says(desk: Desk) -> None:
    answer = await desk.answerer.answer(message_of(request_for()))
    assert verdict_in(answer).error is None
    assert answer is not None
    assert (answer.reply.partition, answer.reply.correlation_id, answer.reply.key) == (3, "question-1", b"key")
    assert desk.decoder.deadlines == [pytest.approx(CLOCK.now + 1.5 - WAY_BACK_SECONDS)]
    assert desk.metrics.value("safelight_worker_requests_total", outcome="ok") == 1


@pytest.mark.parametrize("size", [1000, OFF_LOOP_BYTES + 1])
async def test_a_claim_check_is_fetched_and_then_forgotten(desk: Desk, size: int) -> None:
    data = b"z" * size
    await desk.store.put_blob("inspect/question-1", SEALER.seal(data, "question-1"))
    request = request_for(payload=None, blob="inspect/question-1", sha256=digest(data))
    answer = await desk.answerer.answer(message_of(request))
    assert verdict_in(answer).error is None
    assert desk.decoder.decoded == [data]
    assert answer is not None
    await desk.answerer.replied(answer)
    assert await desk.store.get_blob("inspect/question-1") is None


async def test_a_late_request_is_answered_and_never_computed(desk: Desk) -> None:
    answer = await desk.answerer.answer(message_of(request_for(sent_at=CLOCK.today - 1.5)))
    error = verdict_in(answer).error
    assert error is not None
    assert error.code == ErrorCode.TOO_LATE
    assert desk.decoder.decoded == []


async def test_a_clock_that_is_ahead_gives_no_more_than_the_budget(desk: Desk) -> None:
    await desk.answerer.answer(message_of(request_for(sent_at=CLOCK.today + 3600)))
    assert desk.decoder.deadlines == [pytest.approx(CLOCK.now + 1.5 - WAY_BACK_SECONDS)]


async def test_a_short_budget_is_not_spent_on_the_way_back(desk: Desk) -> None:
    await desk.answerer.answer(message_of(request_for(budget_ms=50)))
    assert desk.decoder.deadlines == [pytest.approx(CLOCK.now + 0.045)]


async def test_where_answers_go_out_slowly_the_way_back_is_longer(desk: Desk) -> None:
    async def ask(data: bytes) -> Answer:
        answer = await desk.answerer.answer(message_of(request_for(payload=data, sha256=digest(data), size=len(data))))
        assert answer is not None
        return answer

    answer = await ask(b"first")
    for seconds, reserve in ((0.001, WAY_BACK_SECONDS), (0.041, 2 * (0.005 + 4 * 0.004)), (60.0, 0.15)):
        await desk.answerer.replied(replace(answer, at=CLOCK.now - seconds))
        answer = await ask(f"after {seconds}".encode())
        assert desk.decoder.deadlines[-1] == pytest.approx(CLOCK.now + 1.5 - reserve)


async def test_an_expired_claim_check_is_too_late(desk: Desk) -> None:
    answer = await desk.answerer.answer(message_of(request_for(payload=None, blob="inspect/gone")))
    error = verdict_in(answer).error
    assert error is not None
    assert error.code == ErrorCode.TOO_LATE


async def test_a_claim_check_of_another_question_is_not_used(desk: Desk) -> None:
    await desk.store.put_blob("inspect/other", SEALER.seal(DATA, "question-2"))
    answer = await desk.answerer.answer(message_of(request_for(payload=None, blob="inspect/other")))
    error = verdict_in(answer).error
    assert error is not None
    assert error.code == ErrorCode.INTERNAL_ERROR
    assert desk.decoder.decoded == []


async def test_a_store_that_is_down_is_an_answer_too(desk: Desk) -> None:
    desk.store.down = True
    answer = await desk.answerer.answer(message_of(request_for(payload=None, blob="inspect/question-1")))
    error = verdict_in(answer).error
    assert error is not None
    assert error.code == ErrorCode.INTERNAL_ERROR
    assert answer is not None
    await desk.answerer.replied(answer)
    assert desk.metrics.value("safelight_store_errors_total", operation="delete_blob") == 1
    with pytest.raises(StoreError):
        await desk.store.get_blob("inspect/question-1")


@pytest.mark.error_logs("a request was dropped")
@pytest.mark.parametrize(
    ("message", "cause"),
    [
        (message_of(request_for(), sealer=OTHER_SEALER), "integrity"),
        (message_of(request_for(), sealer=TENANT_SEALER), "integrity"),
        (message_of(request_for(id="question-2")), "mismatch"),
        (BusMessage(key=b"", value=b"", correlation_id="question-1", partition=0), "integrity"),
        (
            BusMessage(
                key=b"", value=SEALER.seal(b"\xffnot ours", "question-1"), correlation_id="question-1", partition=0
            ),
            "wire",
        ),
    ],
    ids=["another key", "another tenant", "another question", "empty", "another version"],
)
async def test_what_is_not_ours_is_dropped_and_counted(desk: Desk, message: BusMessage, cause: str) -> None:
    assert await desk.answerer.answer(message) is None
    assert desk.dropped(cause) == 1


ORDER = RedactionOrder(regions=((1, 2, 3, 4),))


def redaction_of(**overrides: Any) -> BusMessage:
    values: dict[str, Any] = {
        "id": "question-1",
        "sha256": digest(DATA),
        "budget_ms": 1500,
        "sent_at": CLOCK.today,
        "reply_to": 3,
        "size": len(DATA),
        "order": ORDER,
        "payload": DATA,
    }
    request = RedactionRequest(**{**values, **overrides})
    value = SEALER.seal(codec.encode_redaction(request), request.id)
    return BusMessage(key=b"key", value=value, correlation_id=request.id, partition=3)


async def redacted(desk: Desk, **overrides: Any) -> RedactionReply:
    answer = await desk.answerer.answer(redaction_of(**overrides))
    assert answer is not None
    return codec.decode_redaction_reply(SEALER.open(answer.reply.value, "question-1"))


async def test_a_redaction_is_answered_with_the_picture(desk: Desk) -> None:
    reply = await redacted(desk)
    assert (reply.id, reply.sha256, reply.payload) == ("question-1", digest(DATA), b"obscured")
    assert desk.obscurer.orders == [ORDER]
    assert desk.metrics.value("safelight_worker_requests_total", outcome="redacted") == 1


async def test_a_large_picture_goes_through_the_store(desk: Desk) -> None:
    desk.obscurer.file = bytes(CLAIM_CHECK_BYTES + 1)
    reply = await redacted(desk)
    assert reply.blob == REDACTED_PREFIX + "question-1"
    sealed = await desk.store.get_blob(reply.blob)
    assert sealed is not None
    assert SEALER.open(sealed, reply.blob) == desk.obscurer.file


@pytest.mark.parametrize(
    ("overrides", "code"),
    [
        ({"sent_at": CLOCK.today - 2}, ErrorCode.TOO_LATE),
        ({"payload": b"another image"}, ErrorCode.INTERNAL_ERROR),
        ({"payload": None, "blob": "gone"}, ErrorCode.TOO_LATE),
    ],
)
async def test_a_redaction_that_cannot_be_says_why(desk: Desk, overrides: dict[str, Any], code: ErrorCode) -> None:
    reply = await redacted(desk, **overrides)
    assert reply.error is not None
    assert reply.error.code is code
    assert desk.obscurer.orders == []
    assert desk.metrics.value("safelight_worker_requests_total", outcome=code) == 1


async def test_a_picture_that_cannot_be_obscured_says_why(desk: Desk) -> None:
    desk.obscurer.error = DecodeError(ErrorCode.UNSUPPORTED_FORMAT, "AVIF")
    reply = await redacted(desk)
    assert reply.error is not None
    assert (reply.error.code, reply.error.message) == (ErrorCode.UNSUPPORTED_FORMAT, "AVIF")
