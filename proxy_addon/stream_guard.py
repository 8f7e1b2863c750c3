"""Judges the units of streams: server-sent events, lines of JSON, gRPC messages."""

from __future__ import annotations

from dataclasses import replace

from mitmproxy.http import HTTPFlow, Message

from proxy_addon import flows, unit_relay
from proxy_addon.accounts import Accounts
from proxy_addon.background import Background
from proxy_addon.enforcement import Case
from proxy_addon.failsafe import Failsafe
from proxy_addon.responses import Reply
from proxy_addon.rewriting import Framing, Rewritten
from proxy_addon.stream_refusals import Refusal, refusal
from proxy_addon.transfer import Transfers
from proxy_addon.unit_relay import Pending, units_to_judge
from shared.core.policy import REASON_OF_ERROR, wait_ms
from shared.extract.codings import codings_of
from shared.extract.units import UnitFeed, is_framed, splitter_for
from shared.telemetry import Metrics
from shared.types import Direction, HttpMessage, UninspectedReason

_TOO_LARGE = "an event or message of a stream is too large to be held"


def begin(flow: HTTPFlow, message: Message, direction: Direction, case: Case, limit: int) -> None:
    """Have a body judged unit by unit, of at most ``limit`` bytes each."""
    splitter = splitter_for(_media_type(message), limit)
    if splitter is not None:
        names = codings_of([message.headers.get("content-encoding", "")])
        unit_relay.cut(flow, direction, UnitFeed(splitter, names), case)
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
        framing = _framing(pending)
        for unit in units_to_judge(pending.piece):
            message = _as_message(pending, unit.data)
            if not waits:
                self._behind(case, message)
            else:
                instead = await self._transfers.message(case, lambda message=message: message, framing)  # type: ignore[misc]
                if instead is not None:
                    return instead
        problem, reason = pending.piece.problem, UninspectedReason.TOO_LARGE
        if problem is not None:
            reason = REASON_OF_ERROR.get(problem.code, UninspectedReason.DEFAULT)
        elif all(unit.whole for unit in pending.piece.units):
            return None
        return await self._transfers.uninspected(case, reason, str(problem or _TOO_LARGE))

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
