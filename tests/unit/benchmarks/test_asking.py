"""Asking workers over a bus that this test answers."""

import asyncio
from collections.abc import AsyncIterator, Callable
from hashlib import sha256

from benchmarks.asking import Asked, Asker
from shared import codec
from shared.errors import ErrorCode
from shared.sealing import Sealer
from shared.types import BusMessage, InspectionReply, InspectionRequest, Verdict, VerdictError
from tests.factories import make_verdict

SEALER = Sealer(bytes(32))


class AnsweringBus:
    """Answers at once with what a function makes of the request, or not at all."""

    def __init__(self, answer: Callable[[InspectionRequest], Verdict | None]) -> None:
        self._answer = answer
        self._answers: asyncio.Queue[BusMessage] = asyncio.Queue()

    async def start(self, instance: int) -> None:
        pass

    async def ask(self, message: BusMessage) -> None:
        request = codec.decode_request(SEALER.open(message.value, message.correlation_id))
        verdict = self._answer(request)
        if verdict is not None:
            reply = codec.encode_reply(InspectionReply(id=request.id, sha256=request.sha256, verdict=verdict))
            sealed = SEALER.seal(reply, request.id)
            self._answers.put_nowait(
                BusMessage(key=message.key, value=sealed, correlation_id=request.id, partition=message.partition)
            )

    async def replies(self) -> AsyncIterator[BusMessage]:
        while True:
            yield await self._answers.get()

    def connected(self) -> bool:
        return True

    async def stop(self) -> None:
        pass


async def ask_of(answer: Callable[[InspectionRequest], Verdict | None], *, budget: float = 5.0) -> Asked:
    asker = Asker(AnsweringBus(answer), SEALER)
    taking = asyncio.get_running_loop().create_task(asker.take_answers())
    try:
        return await asker.ask(b"picture", budget=budget, grace=0.0)
    finally:
        taking.cancel()


async def test_a_question_carries_the_picture_and_its_budget() -> None:
    seen: list[InspectionRequest] = []

    def answer(request: InspectionRequest) -> Verdict:
        seen.append(request)
        return make_verdict(sha256=request.sha256)

    asked = await ask_of(answer)
    assert asked.outcome == "ok"
    (request,) = seen
    assert (request.payload, request.sha256) == (b"picture", sha256(b"picture").hexdigest())
    assert request.budget_ms == 5000


async def test_what_became_of_a_question_has_a_name() -> None:
    late = VerdictError(code=ErrorCode.TOO_LATE, message="the asker no longer waits")
    assert (await ask_of(lambda _request: None, budget=0.01)).outcome == "unanswered"
    assert Asked(seconds=1.0, verdict=make_verdict(error=late)).outcome == "too_late"
    assert Asked(seconds=1.0, verdict=make_verdict(degraded=True)).outcome == "degraded"


def test_what_the_stages_took_is_not_overhead() -> None:
    verdict = make_verdict(timings_ms={"decode": 4.0, "encode": 2.0, "search": 1.0, "total": 7.5})
    assert round(Asked(seconds=0.010, verdict=verdict).overhead, 6) == 0.003
