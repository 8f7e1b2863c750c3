"""Takes out of a message what a policy protects: the workers obscure the images, the proxy only splices bytes.

Afterwards the message is taken apart again as any other would be.  What is found in it must be what was found before,
with each protected image in its obscured form; anything else blocks the transfer, so that a way of writing an image
that the splice does not know lets nothing through.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Final, Protocol

from proxy_addon.responses.rewriting import Framing, Rewritten, check_changeable, head_edits
from proxy_addon.runtime.stepping import StepsTooLate, run_steps
from shared.core.policy import Policy
from shared.core.redaction import redaction_orders
from shared.errors import RedactionError, RedactionRefusal
from shared.extract.codings import codings_of, undo
from shared.extract.pipeline import DEFAULT_LIMITS, Limits, Steps, extract_steps
from shared.extract.splice import Replacement, splice_steps
from shared.ports import Clock
from shared.telemetry import Metrics
from shared.types import HttpMessage, ImageJudgement, Part, RedactionOrder

OFF_LOOP_BYTES: Final = 128 << 10
"""Digests of larger bodies are computed in a thread."""
AWS_CHUNKED: Final = "aws-chunked"
ENGINE_IO_MESSAGE: Final = b"\x04"
"""What Engine.IO 3 puts before a binary message (https://github.com/socketio/engine.io-protocol/tree/v3)."""


class Obscurer(Protocol):
    """Has images obscured, such as a Gateway."""

    async def redact(self, part: Part, order: RedactionOrder, deadline: float) -> bytes:
        """Return the image file with ``order`` carried out by ``deadline`` (monotonic); raises RedactionError."""
        ...


class NoObscurer:
    """Where nobody obscures images everything that is to be redacted is blocked."""

    async def redact(self, part: Part, order: RedactionOrder, deadline: float) -> bytes:
        """Refuse."""
        raise RedactionError(RedactionRefusal.NOT_POSSIBLE_HERE, f"nobody obscures images ({part.locator})")


class Redaction:
    """Rewrites messages."""

    def __init__(self, obscurer: Obscurer, clock: Clock, metrics: Metrics, *, limits: Limits = DEFAULT_LIMITS) -> None:
        self._obscurer = obscurer
        self._clock = clock
        self._metrics = metrics
        self._limits = limits

    async def rewrite(
        self,
        message: HttpMessage,
        policies: Sequence[Policy],
        judgements: Sequence[ImageJudgement],
        parts: Sequence[Part],
        deadline: float,
        framing: Framing = Framing.FREE,
    ) -> Rewritten:
        """Return the message without what ``policies`` redact, by ``deadline`` (monotonic).  Raises RedactionError."""
        try:
            if redaction_orders(policies, [each for each in judgements if each.container]):
                raise RedactionError(RedactionRefusal.IN_CONTAINER, "the image is inside an archive or a document")
            orders = redaction_orders(policies, judgements)
            _check_framing(framing, message, orders, parts)
            rewritten = await self._rewrite(message, orders, parts, deadline)
        except RedactionError as error:
            self._metrics.count("safelight_proxy_redactions_total", outcome=error.reason)
            raise
        self._metrics.count("safelight_proxy_redactions_total", outcome="redacted")
        return rewritten

    async def _rewrite(
        self, message: HttpMessage, orders: Mapping[str, RedactionOrder], parts: Sequence[Part], deadline: float
    ) -> Rewritten:
        check_changeable(message)
        concerned = [part for part in parts if part.sha256 in orders]
        if not orders or len(concerned) < len(orders):
            raise RedactionError(RedactionRefusal.NOT_LOCATED, "the image is not in the message itself")
        files = await self._obscured(concerned, orders, deadline)
        replacements = [Replacement(original=part.data, new=file) for part, file in zip(concerned, files, strict=True)]
        plain = await self._without_codings(message, deadline)
        body = await self._finish(splice_steps(plain.body, replacements, self._limits), deadline)
        await self._check(replace(plain, body=body), parts, orders, files, deadline)
        off_loop = max(len(message.body), len(body)) > OFF_LOOP_BYTES
        edits = await asyncio.to_thread(head_edits, message, body) if off_loop else head_edits(message, body)
        return Rewritten(body=body, edits=edits)

    async def _obscured(
        self, parts: Sequence[Part], orders: Mapping[str, RedactionOrder], deadline: float
    ) -> list[bytes]:
        asked = (self._obscurer.redact(part, orders[part.sha256], deadline) for part in parts)
        answers = await asyncio.gather(*asked, return_exceptions=True)
        files: list[bytes] = []
        for answer in answers:
            if isinstance(answer, BaseException):
                raise answer
            files.append(answer)
        return files

    async def _without_codings(self, message: HttpMessage, deadline: float) -> HttpMessage:
        applied = codings_of([value for name, value in message.head.headers if name == "content-encoding"])
        if AWS_CHUNKED in applied:
            raise RedactionError(RedactionRefusal.SIGNED_BODY, "a body in signed chunks")
        if not applied:
            return message
        inflated = await self._finish(undo(message.body, applied, self._limits), deadline)
        if inflated.error is not None:
            raise RedactionError(RedactionRefusal.FAILED, str(inflated.error))
        headers = tuple((name, value) for name, value in message.head.headers if name != "content-encoding")
        return replace(message, head=replace(message.head, headers=headers), body=inflated.body)

    async def _check(
        self,
        message: HttpMessage,
        before: Sequence[Part],
        orders: Mapping[str, RedactionOrder],
        files: Sequence[bytes],
        deadline: float,
    ) -> None:
        extraction = await self._finish(extract_steps(message, self._limits), deadline)
        found = {part.sha256 for part in extraction.parts}
        others = {part.sha256 for part in before if part.sha256 not in orders}
        obscured = {await _digest(file) for file in files}
        if found != others | obscured or obscured & orders.keys():
            raise RedactionError(RedactionRefusal.NOT_LOCATED, "the image is written in a way that cannot be changed")

    async def _finish[T](self, steps: Steps[T], deadline: float) -> T:
        try:
            return await run_steps(steps, late=lambda: self._clock.monotonic() >= deadline)
        except StepsTooLate:
            raise RedactionError(RedactionRefusal.TOO_LATE, "the message was not rewritten in time") from None


def _check_framing(
    framing: Framing, message: HttpMessage, orders: Mapping[str, RedactionOrder], parts: Sequence[Part]
) -> None:
    size = len(message.body.removeprefix(ENGINE_IO_MESSAGE))
    whole = all(len(part.data) in {len(message.body), size} for part in parts if part.sha256 in orders)
    if framing is Framing.FIXED or (framing is Framing.OPAQUE and not whole):
        raise RedactionError(RedactionRefusal.NOT_POSSIBLE_HERE, "in a message that may hold lengths of its own")


async def _digest(data: bytes) -> str:
    if len(data) > OFF_LOOP_BYTES:
        return (await asyncio.to_thread(hashlib.sha256, data)).hexdigest()
    return hashlib.sha256(data).hexdigest()
