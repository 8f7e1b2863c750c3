"""Sealed requests in, sealed replies out; what is not for this worker is dropped."""

from collections.abc import AsyncIterator
from typing import Any

import pytest

from shared import codec
from shared.errors import ErrorCode, StoreError
from shared.sealing import Sealer
from shared.telemetry import Metrics
from shared.types import BusMessage, InspectionRequest, Verdict
from tests.inspection_doubles import KnownDecoder, KnownEncoder, KnownIndex, StillClock, digest
from tests.memory_store import MemoryStore
from workers.answering import OFF_LOOP_BYTES, Answer, Answerer
from workers.inspector import Inspector

DATA = b"an image"
SEALER = Sealer(bytes(32))
OTHER_SEALER = Sealer(b"x" * 32)
CLOCK = StillClock()


def request_for(**overrides: Any) -> InspectionRequest:
    values: dict[str, Any] = {
        "id": "question-1",
        "sha256": digest(DATA),
        "budget_ms": 1500,
        "sent_at": CLOCK.today,
        "reply_to": 3,
        "payload": DATA,
    }
    return InspectionRequest(**{**values, **overrides})


def message_of(request: InspectionRequest, *, sealer: Sealer = SEALER, place: str = "question-1") -> BusMessage:
    value = sealer.seal(codec.encode_request(request), place)
    return BusMessage(key=b"key", value=value, correlation_id=place, partition=3)


def verdict_in(answer: Answer | None) -> Verdict:
    assert answer is not None
    return codec.decode_reply(SEALER.open(answer.reply.value, "question-1")).verdict


class Desk:
    """An answerer and what surrounds it."""

    def __init__(self) -> None:
        self.metrics = Metrics()
        self.store = MemoryStore()
        self.decoder = KnownDecoder()
        self.inspector = Inspector(self.decoder, KnownEncoder(), KnownIndex(), CLOCK, self.metrics)
        self.answerer = Answerer(self.inspector, self.store, SEALER, CLOCK, self.metrics)

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
    assert desk.decoder.deadlines == [CLOCK.now + 1.5]
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
    await desk.answerer.forget(answer)
    assert await desk.store.get_blob("inspect/question-1") is None


async def test_a_late_request_is_answered_and_never_computed(desk: Desk) -> None:
    answer = await desk.answerer.answer(message_of(request_for(sent_at=CLOCK.today - 1.5)))
    error = verdict_in(answer).error
    assert error is not None
    assert error.code == ErrorCode.TOO_LATE
    assert desk.decoder.decoded == []


async def test_a_clock_that_is_ahead_gives_no_more_than_the_budget(desk: Desk) -> None:
    await desk.answerer.answer(message_of(request_for(sent_at=CLOCK.today + 3600)))
    assert desk.decoder.deadlines == [CLOCK.now + 1.5]


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
    await desk.answerer.forget(answer)
    assert desk.metrics.value("safelight_store_errors_total", operation="delete_blob") == 1
    with pytest.raises(StoreError):
        await desk.store.get_blob("inspect/question-1")


@pytest.mark.error_logs("a request was dropped")
@pytest.mark.parametrize(
    ("message", "cause"),
    [
        (message_of(request_for(), sealer=OTHER_SEALER), "integrity"),
        (message_of(request_for(id="question-2")), "mismatch"),
        (BusMessage(key=b"", value=b"", correlation_id="question-1", partition=0), "integrity"),
        (
            BusMessage(
                key=b"", value=SEALER.seal(b"\xffnot ours", "question-1"), correlation_id="question-1", partition=0
            ),
            "wire",
        ),
    ],
    ids=["another key", "another question", "empty", "another version"],
)
async def test_what_is_not_ours_is_dropped_and_counted(desk: Desk, message: BusMessage, cause: str) -> None:
    assert await desk.answerer.answer(message) is None
    assert desk.dropped(cause) == 1
