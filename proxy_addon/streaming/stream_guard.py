"""Judges the units of streams: server-sent events, lines of JSON, gRPC messages.

A picture that comes in several of them is judged with the one that completes it, or when the stream ends: a gRPC
service that takes an upload in pieces has it whole only then.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from mitmproxy.http import HTTPFlow, Message

from proxy_addon import flows
from proxy_addon.enforcement import Case
from proxy_addon.policies.failsafe import Failsafe
from proxy_addon.reporting.accounts import Accounts
from proxy_addon.responses.reply import Reply
from proxy_addon.responses.rewriting import Framing, Rewritten
from proxy_addon.runtime.background import Background
from proxy_addon.runtime.stepping import run_steps
from proxy_addon.streaming import unit_relay
from proxy_addon.streaming.joined_messages import JoinedMessages
from proxy_addon.streaming.stream_refusals import Refusal, refusal
from proxy_addon.streaming.unit_relay import SMALLEST, Pending
from proxy_addon.transfer import Transfers
from shared.core.policy import REASON_OF_ERROR, wait_ms
from shared.extract.budget import Limits, Steps
from shared.extract.codings import codings_of, undo
from shared.extract.units import UnitFeed, frames_of, is_framed, splitter_for
from shared.telemetry import Metrics
from shared.types import Direction, HttpMessage, UninspectedReason

MAX_SPLIT_BYTES: Final = 32 << 20
"""Bytes of one picture that are collected from several units, for each direction of a stream."""

_INFLATED: Final = Limits(max_inflated_bytes=MAX_SPLIT_BYTES)
_TOO_LARGE: Final = "an event or message of a stream is too large to be held"


def begin(flow: HTTPFlow, message: Message, direction: Direction, case: Case, limit: int) -> None:
    """Have a body judged unit by unit, of at most ``limit`` bytes each."""
    splitter = splitter_for(_media_type(message), limit)
    if splitter is not None:
        names = codings_of([message.headers.get("content-encoding", "")])
        unit_relay.cut(flow, direction, UnitFeed(splitter, names), case, min(limit, MAX_SPLIT_BYTES))
    message.stream = True


class StreamGuard:
    """What the addon does with streams."""

    def __init__(
        self, transfers: Transfers, background: Background, failsafe: Failsafe, metrics: Metrics, accounts: Accounts
    ) -> None:
        self._transfers = transfers
        self._background = background
        self._failsafe = failsafe
        self._metrics = metrics
        self._accounts = accounts
        self._joined = JoinedMessages(transfers, metrics)

    async def stream_unit(self, pending: Pending) -> None:
        """Judge what waits, and say what is done instead of passing it."""
        case, failed = replace(pending.case, uninspected=[]), False

        async def judge() -> Reply | Rewritten | None:
            return await self._judge(pending, case)

        def fail() -> None:
            nonlocal failed
            failed = True

        instead = await self._failsafe.guard("stream", judge, fail)
        if failed:
            instead = await self._transfers.uninspected(case, UninspectedReason.DEFAULT, "the unit was not judged")
        if case.uninspected:
            self._accounts.fate(pending.flow, pending.direction).reason = case.uninspected[0]
        outcome = "passed"
        if isinstance(instead, Rewritten):
            outcome, pending.instead = "redacted", Refusal(data=instead.body, ends=False)
        elif instead is not None:
            message = _message_of(pending.flow, pending.direction)
            outcome = "blocked"
            pending.instead = refusal(_media_type(message), pending.direction, instead, is_coded=pending.is_coded)
        self._metrics.count("safelight_proxy_messages_total", direction=pending.direction, outcome=outcome)

    async def _judge(self, pending: Pending, case: Case) -> Reply | Rewritten | None:
        waits = wait_ms(case.policies) > 0
        for unit in pending.piece.units:
            if unit.whole and (len(unit.data) >= SMALLEST or pending.pictures.is_open):
                instead = await self._unit(pending, case, unit.data, waits=waits)
                if instead is not None:
                    return instead
        for rest in pending.pictures.finish() if pending.is_last else ():
            instead = await self._whole(pending, case, rest, waits=waits)
            if instead is not None:
                return instead
        problem, reason = pending.piece.problem, UninspectedReason.TOO_LARGE
        if problem is not None:
            reason = REASON_OF_ERROR.get(problem.code, UninspectedReason.DEFAULT)
        elif all(unit.whole for unit in pending.piece.units):
            return None
        return await self._transfers.uninspected(case, reason, str(problem or _TOO_LARGE))

    async def _unit(self, pending: Pending, case: Case, data: bytes, *, waits: bool) -> Reply | Rewritten | None:
        framed = is_framed(_media_type(_message_of(pending.flow, pending.direction)))
        content = (await run_steps(_content(pending, data))) if framed else data
        joined = await self._joined.join(pending.pictures, case, content, is_text=not framed)
        for given_up in joined.later:
            self._behind(case, _as_message(pending, given_up))
        is_unit = joined.now is content
        now = data if is_unit else joined.now

        def make(body: bytes) -> HttpMessage:
            return _as_message(pending, body)

        if waits:
            framing = _framing(pending) if is_unit else Framing.FIXED
            instead = await self._joined.hold(case, joined, now, make, framing)
            if isinstance(instead, Reply):
                pending.pictures.drop()
            return instead
        for each in () if joined.early else (now,), joined.whole:
            for body in each:
                self._behind(case, make(body))
        return None

    async def _whole(self, pending: Pending, case: Case, picture: bytes, *, waits: bool) -> Reply | Rewritten | None:
        message = _as_message(pending, picture)
        if waits:
            return await self._transfers.message(case, lambda: message, Framing.FIXED)
        self._behind(case, message)
        return None

    def _behind(self, case: Case, message: HttpMessage) -> None:
        if self._background.has_room(len(message.body)):
            self._background.start(self._transfers.afterwards(case, message), len(message.body))
        else:
            self._background.start(self._unjudged(case), 0)

    async def _unjudged(self, case: Case) -> None:
        detail = "too much to be judged at once"
        await self._transfers.uninspected(case, UninspectedReason.TIMEOUT, detail, too_late=True)


def _framing(pending: Pending) -> Framing:
    """An event or a line is text; a frame says how long it is, and so may what is in it; coded bytes are not ours."""
    framed = is_framed(_media_type(_message_of(pending.flow, pending.direction)))
    return Framing.FIXED if framed or pending.is_coded else Framing.FREE


def _content(pending: Pending, data: bytes) -> Steps[bytes]:
    """Return what a frame carries; one that cannot be read carries nothing."""
    frame = next(frames_of(data, 0, len(data)), None)
    if frame is None:
        return b""
    content = data[frame.start : frame.end]
    if not frame.compressed:
        return content
    headers = _message_of(pending.flow, pending.direction).headers
    named = headers.get("grpc-encoding", "") or headers.get("connect-content-encoding", "")
    inflated = yield from undo(content, codings_of([named]) or ("gzip",), _INFLATED)
    return inflated.body


def _message_of(flow: HTTPFlow, direction: Direction) -> Message:
    outbound = direction is Direction.OUTBOUND or flow.response is None
    return flow.request if outbound or flow.response is None else flow.response


def _media_type(message: Message) -> str:
    declared: str = message.headers.get("content-type", "")
    return declared.partition(";")[0].strip().lower()


def _as_message(pending: Pending, data: bytes) -> HttpMessage:
    """Return a unit as extraction takes it: the stream's own coding is undone."""
    outbound = pending.direction is Direction.OUTBOUND
    whole = flows.request_message(pending.flow, data) if outbound else flows.response_message(pending.flow, data)
    headers = tuple(each for each in whole.head.headers if each[0] != "content-encoding")
    return replace(whole, head=replace(whole.head, headers=headers))
