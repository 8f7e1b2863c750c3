"""Asks the workers for verdicts, within a deadline, and matches the answers to the questions.

An answer counts only when it opens with this deployment's key *at the place of its question* and echoes both the
question's id and the image's digest: a bus or a store that mixes up two answers cannot give one image the verdict of
another.  Whatever else arrives is dropped and counted as an orphan.

Nothing here is cancelled inside a call of the bus or the store (a Redis connection that is cancelled in a command
hands its answer to the next caller): sending runs in a task of its own, bounded by the adapter, and only the waiting
ends at the deadline.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final
from uuid import uuid4

from proxy_addon.breaker import Breaker
from shared import codec
from shared.errors import BusError, IntegrityError, StoreError, WireError
from shared.ports import AskingBus, Clock, Store
from shared.sealing import OVERHEAD_BYTES, Sealer
from shared.telemetry import Metrics
from shared.types import (
    BLOB_SECONDS,
    CLAIM_CHECK_BYTES,
    BusMessage,
    ImageJudgement,
    InspectionReply,
    InspectionRequest,
    Part,
    UninspectedReason,
    Verdict,
)

OFF_LOOP_BYTES: Final = 128 << 10
"""AES-GCM does about 1 GB/s: smaller payloads are sealed where they are."""
ENVELOPE_BYTES: Final = 512
"""The fields of a request beside its payload; more than they ever take."""
BLOB_PREFIX: Final = "inspect/"

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Question:
    sha256: str
    answer: asyncio.Future[Verdict | None]  # None: could not be asked


class Gateway:
    """One proxy's questions.  ``run`` has to be running for any of them to be answered."""

    def __init__(
        self,
        bus: AskingBus,
        store: Store,
        sealer: Sealer,
        clock: Clock,
        metrics: Metrics,
        *,
        instance: int = 0,
        breaker: Breaker | None = None,
    ) -> None:
        self._bus = bus
        self._store = store
        self._sealer = sealer
        self._clock = clock
        self._metrics = metrics
        self._instance = instance
        self._breaker = breaker or Breaker()
        self._questions: dict[str, _Question] = {}
        self._sending: set[asyncio.Task[None]] = set()

    @property
    def pending(self) -> int:
        """How many questions have no answer yet."""
        return len(self._questions)

    async def verdicts(self, parts: Sequence[Part], deadline: float) -> list[ImageJudgement]:
        """Return one judgement for each part, in order, by ``deadline`` (monotonic seconds) at the latest."""
        distinct = {part.sha256: part for part in parts}
        answers = await asyncio.gather(*(self._ask(part, deadline) for part in distinct.values()))
        verdict_of = dict(zip(distinct, answers, strict=True))
        return [_judgement(part, verdict_of[part.sha256]) for part in parts]

    async def run(self) -> None:
        """Take in answers for ever."""
        async for message in self._bus.replies():
            await self._take(message)

    async def close(self) -> None:
        """Wait for what is still being sent; every send is bounded by its adapter."""
        if self._sending:
            await asyncio.wait(self._sending)

    async def _ask(self, part: Part, deadline: float) -> Verdict | None:
        now = self._clock.monotonic()
        if now >= deadline or not self._breaker.admits(now):
            return None
        question_id = uuid4().hex
        question = _Question(part.sha256, asyncio.get_running_loop().create_future())
        self._questions[question_id] = question
        self._count_pending()
        try:
            sending = asyncio.get_running_loop().create_task(self._send(question_id, part, deadline))
            self._sending.add(sending)
            sending.add_done_callback(partial(self._sent, question.answer))
            await asyncio.wait({question.answer}, timeout=max(0.0, deadline - self._clock.monotonic()))
        finally:
            del self._questions[question_id]
            self._count_pending()
        if question.answer.done():
            return question.answer.result()
        if not self._bus.connected():
            self._breaker.failed(self._clock.monotonic())
        return None

    async def _send(self, question_id: str, part: Part, deadline: float) -> None:
        await self._bus.ask(await self._request(question_id, part, deadline))

    async def _request(self, question_id: str, part: Part, deadline: float) -> BusMessage:
        large = len(part.data) + OVERHEAD_BYTES + ENVELOPE_BYTES > CLAIM_CHECK_BYTES
        blob = BLOB_PREFIX + question_id if large else None
        if blob is not None:
            await self._store.put_blob(blob, await self._seal(part.data, question_id), ttl=BLOB_SECONDS)
        request = InspectionRequest(
            id=question_id,
            sha256=part.sha256,
            budget_ms=max(0, int((deadline - self._clock.monotonic()) * 1000)),
            sent_at=self._clock.wall(),
            reply_to=self._instance,
            payload=None if large else part.data,
            blob=blob,
        )
        return BusMessage(
            key=bytes.fromhex(part.sha256),
            value=await self._seal(codec.encode_request(request), question_id),
            correlation_id=question_id,
            partition=self._instance,
        )

    async def _seal(self, plain: bytes, place: str) -> bytes:
        if len(plain) <= OFF_LOOP_BYTES:
            return self._sealer.seal(plain, place)
        return await asyncio.to_thread(self._sealer.seal, plain, place)

    async def _take(self, message: BusMessage) -> None:
        question = self._questions.get(message.correlation_id)
        if question is None or question.answer.done():
            self._orphan("late")
            return
        try:
            reply = codec.decode_reply(self._sealer.open(message.value, message.correlation_id))
        except IntegrityError as error:
            _log.error("a verdict was dropped: %s", error)
            self._orphan("integrity")
            return
        except WireError as error:
            _log.error("a verdict was dropped: %s", error)
            self._orphan("wire")
            return
        if not _answers(reply, message.correlation_id, question.sha256):
            _log.error("a verdict was dropped: it answers another question")
            self._orphan("mismatch")
            return
        self._breaker.succeeded()
        question.answer.set_result(reply.verdict)

    def _orphan(self, cause: str) -> None:
        self._metrics.count("safelight_proxy_orphan_replies_total", cause=cause)

    def _count_pending(self) -> None:
        self._metrics.set("safelight_proxy_pending_requests", len(self._questions))

    def _sent(self, answer: asyncio.Future[Verdict | None], sending: asyncio.Task[None]) -> None:
        self._sending.discard(sending)
        error = None if sending.cancelled() else sending.exception()
        if error is None:
            return
        # Whatever went wrong, nobody will answer: the question waits no longer.
        known = isinstance(error, BusError | StoreError)
        _log.log(logging.WARNING if known else logging.ERROR, "cannot ask for a verdict: %s", error, exc_info=not known)
        self._metrics.count("safelight_bus_errors_total", operation="ask")
        self._breaker.failed(self._clock.monotonic())
        if not answer.done():
            answer.set_result(None)


def _answers(reply: InspectionReply, question_id: str, sha256: str) -> bool:
    return reply.id == question_id and reply.sha256 == sha256 and reply.verdict.sha256 == sha256


def _judgement(part: Part, verdict: Verdict | None) -> ImageJudgement:
    return ImageJudgement(
        locator=part.locator,
        sha256=part.sha256,
        size=len(part.data),
        name=part.name,
        verdict=verdict,
        uninspected=UninspectedReason.TIMEOUT if verdict is None else None,
    )
