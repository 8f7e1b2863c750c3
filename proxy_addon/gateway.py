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
import math
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from types import MappingProxyType
from typing import Any, Final, TypedDict
from uuid import uuid4

from proxy_addon.reporting.outage_log import OutageLog
from proxy_addon.verdicts.breaker import Breaker
from proxy_addon.verdicts.judging import judgement_of
from proxy_addon.verdicts.pending import Pending
from shared import codec
from shared.errors import (
    BusError,
    BusFullError,
    ErrorCode,
    IntegrityError,
    RedactionError,
    RedactionRefusal,
    StoreError,
    WireError,
)
from shared.ports import AskingBus, Clock, Store
from shared.sealing import OVERHEAD_BYTES, Sealer
from shared.telemetry import Metrics
from shared.types import (
    BLOB_SECONDS,
    CLAIM_CHECK_BYTES,
    REDACTED_PREFIX,
    BusMessage,
    ImageJudgement,
    Inquiry,
    InspectionReply,
    InspectionRequest,
    Part,
    RedactionOrder,
    RedactionReply,
    RedactionRequest,
    UninspectedReason,
    Verdict,
)

OFF_LOOP_BYTES: Final = 128 << 10
"""AES-GCM does about 1 GB/s: smaller payloads are sealed where they are."""
ENVELOPE_BYTES: Final = 512
"""The fields of a request beside its payload; more than they ever take."""
BLOB_PREFIX: Final = "inspect/"

Answer = InspectionReply | RedactionReply
_REFUSALS: Final[Mapping[ErrorCode, RedactionRefusal]] = MappingProxyType(
    {
        ErrorCode.UNSUPPORTED_FORMAT: RedactionRefusal.UNSUPPORTED_FORMAT,
        ErrorCode.TOO_LATE: RedactionRefusal.TOO_LATE,
        ErrorCode.DECODE_TIMEOUT: RedactionRefusal.TOO_LATE,
    }
)
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Question:
    sha256: str
    is_redaction: bool
    answer: asyncio.Future[Answer | UninspectedReason]


@dataclass(frozen=True, slots=True)
class _Asked:
    """What is asked of an image: a verdict, or that ``order`` is carried out."""

    inquiry: Inquiry
    order: RedactionOrder | None = None


class _Fields(TypedDict):
    """What every question has."""

    id: str
    sha256: str
    budget_ms: int
    sent_at: float
    reply_to: int
    size: int
    payload: bytes | None
    blob: str | None


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
        pending: Pending | None = None,
    ) -> None:
        self._bus = bus
        self._store = store
        self._sealer = sealer
        self._clock = clock
        self._metrics = metrics
        self._instance = instance
        self._breaker = breaker or Breaker(jitter=random.random)
        self._pending = pending or Pending()
        self._connected = True  # whether the bus was, when last somebody asked
        self._outage = OutageLog(_log, "cannot ask for a verdict")
        self._heard = -math.inf  # when something last came from the other side
        self._questions: dict[str, _Question] = {}
        self._sending: set[asyncio.Task[Any]] = set()

    @property
    def pending(self) -> int:
        """How many questions have no answer yet."""
        return len(self._questions)

    async def verdicts(self, parts: Sequence[Part], inquiry: Inquiry) -> list[ImageJudgement]:
        """Return one judgement for each part, in order, by the deadline of ``inquiry`` at the latest."""
        asked = _Asked(inquiry)
        distinct = {part.sha256: part for part in parts}
        answers = await asyncio.gather(*(self._ask(part, asked) for part in distinct.values()))
        known = {sha256: _known(answer) for sha256, answer in zip(distinct, answers, strict=True)}
        return [judgement_of(part, known[part.sha256]) for part in parts]

    async def redact(self, part: Part, order: RedactionOrder, deadline: float) -> bytes:
        """Return the image file with ``order`` carried out by ``deadline``; raises RedactionError."""
        reply = await self._ask(part, _Asked(Inquiry(deadline=deadline), order))
        if not isinstance(reply, RedactionReply):
            raise RedactionError(RedactionRefusal.TOO_LATE, "no obscured image in time")
        if reply.error is not None:
            raise RedactionError(_REFUSALS.get(reply.error.code, RedactionRefusal.FAILED), reply.error.message)
        return reply.payload if reply.payload is not None else await self._fetch(reply, deadline)

    async def _fetch(self, reply: RedactionReply, deadline: float) -> bytes:
        """Return the image behind a claim check, and give the check up."""
        fetching = asyncio.get_running_loop().create_task(self._fetched(reply))
        self._sending.add(fetching)
        fetching.add_done_callback(self._sending.discard)
        done, _ = await asyncio.wait({fetching}, timeout=max(0.0, deadline - self._clock.monotonic()))
        if not done:
            raise RedactionError(RedactionRefusal.TOO_LATE, "the obscured image was not fetched in time")
        try:
            return fetching.result()
        except (StoreError, IntegrityError) as error:
            raise RedactionError(RedactionRefusal.FAILED, str(error)) from error

    async def _fetched(self, reply: RedactionReply) -> bytes:
        place = REDACTED_PREFIX + reply.id
        sealed = await self._store.get_blob(place) if reply.blob == place else None
        if sealed is None:
            raise IntegrityError("the obscured image is not where it was put")
        await self._store.delete_blob(place)
        if len(sealed) <= OFF_LOOP_BYTES:
            return self._sealer.open(sealed, place)
        return await asyncio.to_thread(self._sealer.open, sealed, place)

    async def run(self) -> None:
        """Take in answers for ever."""
        async for message in self._bus.replies():
            await self._take(message)

    async def close(self) -> None:
        """Wait for what is still being sent or fetched; both are bounded by their adapters."""
        if self._sending:
            await asyncio.wait(self._sending)

    async def _ask(self, part: Part, asked: _Asked) -> Answer | UninspectedReason:
        now, size, deadline = self._clock.monotonic(), len(part.data), asked.inquiry.deadline
        if now >= deadline:
            return UninspectedReason.TIMEOUT
        if not self._pending.admits(size):
            return self._unasked("pending", UninspectedReason.OVERLOADED)
        if not self._admits(now):
            return self._unasked("breaker", UninspectedReason.TIMEOUT)
        question_id = uuid4().hex
        question = _Question(part.sha256, asked.order is not None, asyncio.get_running_loop().create_future())
        self._questions[question_id] = question
        self._pending.opened(size)
        self._show()
        try:
            sending = asyncio.get_running_loop().create_task(self._send(question_id, part, asked))
            self._sending.add(sending)
            sending.add_done_callback(partial(self._sent, question.answer))
            await asyncio.wait({question.answer}, timeout=max(0.0, deadline - self._clock.monotonic()))
        finally:
            del self._questions[question_id]
            self._pending.closed(size)
            self._show()
        if question.answer.done():
            return question.answer.result()
        if self._heard < now:  # nothing was answered all the while, to nobody
            self._breaker.failed(self._clock.monotonic())
            self._show()
        return UninspectedReason.TIMEOUT

    def _admits(self, now: float) -> bool:
        was_connected, self._connected = self._connected, self._bus.connected()
        if self._connected and not was_connected:  # the breaker's back-off would outlive the outage by seconds
            self._breaker.reconsider(now)
        return self._breaker.admits(now)

    def _unasked(self, cause: str, reason: UninspectedReason) -> UninspectedReason:
        self._metrics.count("safelight_proxy_unasked_total", cause=cause)
        return reason

    async def _send(self, question_id: str, part: Part, asked: _Asked) -> None:
        await self._bus.ask(await self._message(question_id, part, asked))

    async def _message(self, question_id: str, part: Part, asked: _Asked) -> BusMessage:
        large = len(part.data) + OVERHEAD_BYTES + ENVELOPE_BYTES > CLAIM_CHECK_BYTES
        blob = BLOB_PREFIX + question_id if large else None
        if blob is not None:
            await self._store.put_blob(blob, await self._seal(part.data, question_id), ttl=BLOB_SECONDS)
        fields: _Fields = {
            "id": question_id,
            "sha256": part.sha256,
            "budget_ms": max(0, int((asked.inquiry.deadline - self._clock.monotonic()) * 1000)),
            "sent_at": self._clock.wall(),
            "reply_to": self._instance,
            "size": len(part.data),
            "payload": None if large else part.data,
            "blob": blob,
        }
        if asked.order is None:
            inquiry = asked.inquiry
            request = InspectionRequest(
                priority=inquiry.priority, classifiers=inquiry.classifiers, near_cache=inquiry.near_cache, **fields
            )
            value = codec.encode_request(request)
        else:
            value = codec.encode_redaction(RedactionRequest(order=asked.order, **fields))
        return BusMessage(
            key=bytes.fromhex(part.sha256),
            value=await self._seal(value, question_id),
            correlation_id=question_id,
            partition=self._instance,
        )

    async def _seal(self, plain: bytes, place: str) -> bytes:
        if len(plain) <= OFF_LOOP_BYTES:
            return self._sealer.seal(plain, place)
        return await asyncio.to_thread(self._sealer.seal, plain, place)

    async def _take(self, message: BusMessage) -> None:
        self._heard = self._clock.monotonic()
        self._breaker.succeeded()
        self._outage.over()  # not where a question was taken: while nobody answers, some still find room to wait
        question = self._questions.get(message.correlation_id)
        if question is None or question.answer.done():
            self._orphan("late")
            return
        try:
            reply = await self._open(message, redaction=question.is_redaction)
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
        if not question.answer.done():  # the question may have been given up while the answer was opened
            question.answer.set_result(reply)

    async def _open(self, message: BusMessage, *, redaction: bool) -> Answer:
        sealed, place = message.value, message.correlation_id
        off_loop = len(sealed) > OFF_LOOP_BYTES
        plain = (
            await asyncio.to_thread(self._sealer.open, sealed, place) if off_loop else self._sealer.open(sealed, place)
        )
        return codec.decode_redaction_reply(plain) if redaction else codec.decode_reply(plain)

    def _orphan(self, cause: str) -> None:
        self._metrics.count("safelight_proxy_orphan_replies_total", cause=cause)

    def _show(self) -> None:
        self._metrics.set("safelight_proxy_pending_requests", self._pending.held)
        self._metrics.set("safelight_proxy_pending_bytes", self._pending.held_bytes)
        self._metrics.set("safelight_proxy_breaker_state", self._breaker.state)

    def _sent(self, answer: asyncio.Future[Answer | UninspectedReason], sending: asyncio.Task[None]) -> None:
        self._sending.discard(sending)
        error = None if sending.cancelled() else sending.exception()
        if error is None:
            return
        # Whatever went wrong, nobody will answer: the question waits no longer.
        if isinstance(error, BusError | StoreError):
            self._outage.failed(error)
        else:
            _log.error("cannot ask for a verdict: %s", error, exc_info=error)
        self._metrics.count("safelight_bus_errors_total", operation="ask")
        full = isinstance(error, BusFullError)
        if full:
            self._unasked("bus", UninspectedReason.OVERLOADED)
        else:
            self._breaker.failed(self._clock.monotonic())
        if not answer.done():
            answer.set_result(UninspectedReason.OVERLOADED if full else UninspectedReason.TIMEOUT)


def _known(answer: Answer | UninspectedReason) -> Verdict | UninspectedReason:
    if isinstance(answer, RedactionReply):
        return UninspectedReason.DEFAULT  # not asked for
    return answer.verdict if isinstance(answer, InspectionReply) else answer


def _answers(reply: Answer, question_id: str, sha256: str) -> bool:
    about = reply.verdict.sha256 if isinstance(reply, InspectionReply) else sha256
    return reply.id == question_id and reply.sha256 == sha256 == about
