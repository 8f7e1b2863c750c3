"""From a sealed request to a sealed reply.

A message that does not open with this deployment's key, or is not what its headers say, is dropped and counted: there
is nobody to answer.  A request whose asker has stopped waiting is answered "too late" and never computed.
"""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass
from functools import partial
from typing import Final, Protocol

from shared import codec
from shared.errors import DecodeError, ErrorCode, IntegrityError, StoreError, WireError
from shared.ports import Clock, Store
from shared.sealing import Sealer
from shared.telemetry import Metrics
from shared.types import (
    BLOB_SECONDS,
    CLAIM_CHECK_BYTES,
    REDACTED_PREFIX,
    BusMessage,
    Inquiry,
    InspectionReply,
    InspectionRequest,
    Priority,
    RedactionOrder,
    RedactionReply,
    RedactionRequest,
    Verdict,
    VerdictError,
)
from workers.encoders.running_average import RunningAverage
from workers.serving.admission import Admission
from workers.serving.inspector import digest
from workers.serving.verdicts import Question

OFF_LOOP_BYTES: Final = 128 << 10
"""AES-GCM does about 1 GB/s: larger payloads are opened in a thread."""
WAY_BACK_SECONDS: Final = 0.025
"""What an answer takes to its asker, at least: where all cores were busy, at half more than capacity, 107 of 1,276
refusals came up to 18 ms after the deadline for which they were made."""
WAYS: Final = 2
"""As long as the bus takes to accept an answer it takes again to hand it over; over a busy Kafka 14 of 964 refusals
came up to 98 ms late."""
WAY_BACK_SHARE: Final = 0.1
"""Of the budget, at most."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """A reply, and the claim check in the store that has served its purpose once the reply is out.

    ``at`` is when it was made, by the monotonic clock.
    """

    reply: BusMessage
    blob: str | None
    at: float


class Obscures(Protocol):
    """What obscures pictures, such as a DecodePool."""

    async def obscure(self, data: bytes, order: RedactionOrder, *, deadline: float | None = None) -> bytes:
        """Return the image file with ``order`` carried out; raises DecodeError."""
        ...


class Finds(Protocol):
    """What gives verdicts, such as an EngineRoom."""

    async def verdict(self, question: Question) -> Verdict:
        """Return the verdict by the question's deadline."""
        ...


class Answerer:
    """Turns requests into replies."""

    def __init__(
        self,
        verdicts: Finds,
        admission: Admission,
        obscurer: Obscures,
        store: Store,
        sealer: Sealer,
        clock: Clock,
        metrics: Metrics,
    ) -> None:
        self._verdicts = verdicts
        self._admission = admission
        self._obscurer = obscurer
        self._store = store
        self._sealer = sealer
        self._clock = clock
        self._metrics = metrics
        self._way_out = RunningAverage()

    async def answer(self, message: BusMessage) -> Answer | None:
        """Return the answer, or None for a message that nobody can be answered about."""
        request = await self._open(message)
        if request is None:
            return None
        if isinstance(request, RedactionRequest):
            value = codec.encode_redaction(await self._redaction(request))
        else:
            verdict = await self._verdict(request)
            outcome = "ok" if verdict.error is None else str(verdict.error.code)
            self._metrics.count("safelight_worker_requests_total", outcome="degraded" if verdict.degraded else outcome)
            value = codec.encode_reply(InspectionReply(id=request.id, sha256=request.sha256, verdict=verdict))
        sealed = BusMessage(
            key=message.key,
            value=await self._seal(value, request.id),
            correlation_id=request.id,
            partition=request.reply_to,
        )
        return Answer(reply=sealed, blob=request.blob, at=self._clock.monotonic())

    async def replied(self, answer: Answer) -> None:
        """Take in that an answer is out; its claim check is deleted, at best effort, for it expires anyway."""
        self._way_out.add(self._clock.monotonic() - answer.at)
        if answer.blob is None:
            return
        try:
            await self._store.delete_blob(answer.blob)
        except StoreError as error:
            self._store_failed("delete_blob", error)

    async def _open(self, message: BusMessage) -> InspectionRequest | RedactionRequest | None:
        request: InspectionRequest | RedactionRequest
        try:
            plain = await self._unseal(message.value, message.correlation_id)
            is_redaction = codec.is_redaction(plain)
            request = codec.decode_redaction_request(plain) if is_redaction else codec.decode_request(plain)
        except IntegrityError as error:
            self._drop("integrity", error)
            return None
        except WireError as error:
            self._drop("wire", error)
            return None
        if request.id != message.correlation_id:
            self._drop("mismatch", WireError("a request's id is not the one in its headers"))
            return None
        return request

    def _drop(self, cause: str, error: Exception) -> None:
        _log.error("a request was dropped: %s", error)
        self._metrics.count("safelight_worker_dropped_messages_total", cause=cause)

    async def _verdict(self, request: InspectionRequest) -> Verdict:
        inquiry = Inquiry(
            deadline=self._deadline(request),
            priority=request.priority,
            classifiers=request.classifiers,
            near_cache=request.near_cache,
        )
        return await self._verdicts.verdict(
            Question(sha256=request.sha256, size=request.size, inquiry=inquiry, fetch=partial(self._image, request))
        )

    async def _redaction(self, request: RedactionRequest) -> RedactionReply:
        try:
            deadline = self._deadline(request)
            async with self._admission.turn(request.size, deadline, Priority.UPLOAD):
                data = await self._image(request)
                if await digest(data) != request.sha256:
                    raise DecodeError(ErrorCode.INTERNAL_ERROR, "the bytes do not have the digest that was asked for")
                obscured = await self._obscurer.obscure(data, request.order, deadline=deadline)
            reply = await self._hand_over(request, obscured)
        except DecodeError as error:
            reply = RedactionReply(
                id=request.id, sha256=request.sha256, error=VerdictError(code=error.code, message=str(error))
            )
        outcome = "redacted" if reply.error is None else str(reply.error.code)
        self._metrics.count("safelight_worker_requests_total", outcome=outcome)
        return reply

    async def _hand_over(self, request: RedactionRequest, obscured: bytes) -> RedactionReply:
        if len(obscured) <= CLAIM_CHECK_BYTES:
            return RedactionReply(id=request.id, sha256=request.sha256, payload=obscured)
        blob = REDACTED_PREFIX + request.id
        try:
            await self._store.put_blob(blob, await self._seal(obscured, blob), ttl=BLOB_SECONDS)
        except StoreError as error:
            self._store_failed("put_blob", error)
            raise DecodeError(ErrorCode.INTERNAL_ERROR, "the obscured image cannot be handed over") from error
        return RedactionReply(id=request.id, sha256=request.sha256, blob=blob)

    def _deadline(self, request: InspectionRequest | RedactionRequest) -> float:
        """Return until when (monotonic) an answer may set out; may have passed."""
        age = self._clock.wall() - request.sent_at
        self._metrics.observe("safelight_worker_queue_seconds", max(0.0, age))
        # Clocks of two machines differ: a request from the future has its whole budget, never more.
        budget = request.budget_ms / 1000
        way_back = min(max(WAY_BACK_SECONDS, WAYS * self._way_out.most), WAY_BACK_SHARE * budget)
        return self._clock.monotonic() + min(budget - age, budget) - way_back

    async def _image(self, request: InspectionRequest | RedactionRequest) -> bytes:
        """Return the image file; raises DecodeError."""
        try:
            data = await self._payload(request)
        except (StoreError, IntegrityError) as error:
            self._store_failed("get_blob", error)
            raise DecodeError(ErrorCode.INTERNAL_ERROR, "the image cannot be fetched") from error
        if data is None:
            raise DecodeError(ErrorCode.TOO_LATE, "the image has expired")
        return data

    async def _payload(self, request: InspectionRequest | RedactionRequest) -> bytes | None:
        if request.blob is None:
            return request.payload
        sealed = await self._store.get_blob(request.blob)
        return None if sealed is None else await self._unseal(sealed, request.id)

    async def _seal(self, plain: bytes, place: str) -> bytes:
        if len(plain) <= OFF_LOOP_BYTES:
            return self._sealer.seal(plain, place)
        return await asyncio.to_thread(self._sealer.seal, plain, place)

    async def _unseal(self, sealed: bytes, place: str) -> bytes:
        if len(sealed) <= OFF_LOOP_BYTES:
            return self._sealer.open(sealed, place)
        return await asyncio.to_thread(self._sealer.open, sealed, place)

    def _store_failed(self, operation: str, error: Exception) -> None:
        _log.warning("%s of an image: %s", operation, error)
        self._metrics.count("safelight_store_errors_total", operation=operation)
