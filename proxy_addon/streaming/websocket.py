"""Messages of WebSockets: each is judged before it goes on, in both directions, in the order of its connection.

Whatever an application frames inside its messages (SignalR, socket.io, MQTT, protobuf), a picture is found in base64 or
as raw bytes; extraction knows no protocol.  A picture sent in several messages, raw or in base64, is judged with the
last of them; where a policy blocks what cannot be decoded, nothing is waited for, and its first message is blocked.

What is to be redacted is, in text and where a message is nothing but the picture; in other binary messages, which may
hold lengths of their own, and where a part of the picture has passed, the connection ends.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Final

from mitmproxy.http import HTTPFlow

from proxy_addon import flows
from proxy_addon.enforcement import Case
from proxy_addon.policies.failsafe import Failsafe
from proxy_addon.reporting.accounts import Accounts
from proxy_addon.responses.reply import Reply
from proxy_addon.responses.rewriting import Framing, Rewritten
from proxy_addon.ruling import Ruling, Treatment, come
from proxy_addon.runtime.background import Background
from proxy_addon.streaming import websocket_stream
from proxy_addon.streaming.joined_messages import JoinedMessages
from proxy_addon.transfer import Transfers
from shared.core import coverage
from shared.extract.sniff import SNIFF_BYTES, sniff
from shared.extract.split_pictures import Joined, SplitPictures
from shared.telemetry import Metrics
from shared.types import Actor, Direction, HttpHead, HttpMessage, UninspectedReason

SMALLEST: Final = 26
"""Bytes of a message that may hold a picture, or a part of one."""
MAX_SPLIT_BYTES: Final = 32 << 20
"""Bytes of one picture that are collected from several messages, for each direction of a connection."""

_KEY: Final = "safelight_websocket"
_BODY_HEADERS: Final = "content-"


class WebSocketGuard:
    """The addon for WebSockets.  ``max_split`` bounds what is collected of a picture in several messages, in bytes."""

    def __init__(
        self,
        transfers: Transfers,
        background: Background,
        failsafe: Failsafe,
        metrics: Metrics,
        accounts: Accounts,
        *,
        max_object: int,
        max_split: int = MAX_SPLIT_BYTES,
    ) -> None:
        self._transfers = transfers
        self._background = background
        self._failsafe = failsafe
        self._metrics = metrics
        self._accounts = accounts
        self._max_object = max_object
        self._max_split = max_split
        self._joined = JoinedMessages(transfers, metrics)

    def websocket_start(self, flow: HTTPFlow) -> None:
        """Remember both directions of a new connection."""
        flow.metadata[_KEY] = {direction: SplitPictures(self._max_split) for direction in Direction}

    async def websocket_message(self, flow: HTTPFlow) -> None:
        """Judge the newest message."""
        message, direction = _newest(flow), _direction(flow)
        split: SplitPictures | None = flow.metadata.get(_KEY, {}).get(direction)
        if len(message) < SMALLEST and not (split and split.is_open):
            self._accounts.message(flow, direction, len(message))
            return
        ruling = await self._ruling(flow, direction)
        reply, case = ruling.reply, ruling.case
        if case is None:
            self._accounts.message(flow, direction, len(message), None if reply is None else coverage.REFUSED)
        elif ruling.treatment is Treatment.COPY:
            await self._guarded(case, lambda: self._copy(flow, direction, case, message))
        else:
            instead = await self._guarded(case, lambda: self._hold(flow, direction, case, message))
            if isinstance(instead, Rewritten):
                websocket_stream.rewrite(flow, instead.body)
                self._count(direction, "redacted")
            else:
                reply = instead
            self._accounts.message(flow, direction, len(message), _reason(case))
        if reply is not None:
            self._refuse(flow, direction, reply)

    async def websocket_overflow(self, flow: HTTPFlow) -> None:
        """Decide over a message that grew too large to be held."""
        direction = _direction(flow)
        ruling = await self._ruling(flow, direction)
        reply = ruling.reply
        if ruling.case is not None:
            self._metrics.count("safelight_proxy_limit_hits_total", limit="too_large")
            detail = f"a message of more than {self._max_object} bytes"
            reply = await self._transfers.uninspected(ruling.case, UninspectedReason.TOO_LARGE, detail)
        if reply is not None:
            self._accounts.message(flow, direction, len(_newest(flow)), UninspectedReason.TOO_LARGE)
            self._refuse(flow, direction, reply)

    def websocket_passed(self, passed: websocket_stream.Passed) -> None:
        """Count a message that grew too large to be held."""
        direction = Direction.OUTBOUND if passed.from_client else Direction.INBOUND
        self._accounts.message(passed.flow, direction, passed.size, UninspectedReason.TOO_LARGE)

    async def websocket_end(self, flow: HTTPFlow) -> None:
        """Judge what was collected of pictures that never became whole."""
        for direction, split in flow.metadata.pop(_KEY, {}).items():
            for rest in split.finish():
                ruling = await self._ruling(flow, direction)
                if ruling.case is not None:
                    self._behind(flow, direction, ruling.case, rest, 0)

    async def _ruling(self, flow: HTTPFlow, direction: Direction) -> Ruling:
        return await come(self._transfers.message_head(lambda: _head_and_actor(flow), direction))

    async def _guarded(
        self, case: Case, work: Callable[[], Awaitable[Reply | Rewritten | None]]
    ) -> Reply | Rewritten | None:
        failed = False

        def fail() -> None:
            nonlocal failed
            failed = True

        reply = await self._failsafe.guard("websocket", work, fail)
        if failed:
            return await self._transfers.uninspected(case, UninspectedReason.DEFAULT, "the message was not judged")
        return reply

    async def _hold(self, flow: HTTPFlow, direction: Direction, case: Case, message: bytes) -> Reply | Rewritten | None:
        joined = await self._join(flow, direction, case, message)
        framing = _framing(flow) if len(joined.now) == len(message) else Framing.FIXED

        def make(body: bytes) -> HttpMessage:
            return _as_message(flow, direction, body)

        instead = await self._joined.hold(case, joined, joined.now, make, framing)
        if instead is None:
            self._count(direction, "passed")
        return instead

    async def _copy(self, flow: HTTPFlow, direction: Direction, case: Case, message: bytes) -> None:
        joined = await self._join(flow, direction, case, message)
        if joined.early:
            self._accounts.message(flow, direction, len(message), coverage.INSPECTED)  # with the rest of its picture
            if sniff(message[:SNIFF_BYTES]) is None and self._background.has_room(len(message)):
                early = self._joined.early(case, _as_message(flow, direction, message))  # for what is beside it
                self._background.start(_without_reply(early), len(message))
        else:
            self._behind(flow, direction, case, joined.now, len(message))
        for picture in joined.whole:
            self._behind(flow, direction, case, picture, 0)

    async def _join(self, flow: HTTPFlow, direction: Direction, case: Case, message: bytes) -> Joined:
        split = flow.metadata.get(_KEY, {}).get(direction)
        joined = await self._joined.join(split, case, message, is_text=_is_text(flow))
        for given_up in joined.later:
            self._behind(flow, direction, case, given_up, 0)
        return joined

    def _behind(self, flow: HTTPFlow, direction: Direction, case: Case, body: bytes, size: int) -> None:
        """Judge what has passed; ``size`` bytes of it are still to be booked."""
        if self._background.has_room(len(body)):
            self._background.start(self._afterwards(flow, direction, case, body, size), len(body))
        else:
            self._background.start(self._unjudged(flow, direction, case, size), 0)

    async def _afterwards(self, flow: HTTPFlow, direction: Direction, case: Case, body: bytes, size: int) -> None:
        reason: str = UninspectedReason.TIMEOUT
        try:
            await self._transfers.afterwards(case, _as_message(flow, direction, body))
            reason = _reason(case)
        finally:
            if size:
                self._accounts.message(flow, direction, size, reason)

    async def _unjudged(self, flow: HTTPFlow, direction: Direction, case: Case, size: int) -> None:
        if size:
            self._accounts.message(flow, direction, size, UninspectedReason.TIMEOUT)
        detail = "too much to be judged at once"
        await self._transfers.uninspected(case, UninspectedReason.TIMEOUT, detail, too_late=True)

    def _refuse(self, flow: HTTPFlow, direction: Direction, reply: Reply) -> None:
        flow.metadata.pop(_KEY, None)  # the connection ends here, and why is known
        websocket_stream.refuse(flow, dict(reply.headers).get("X-Safelight", "block"))
        self._count(direction, "blocked")

    def _count(self, direction: Direction, outcome: str) -> None:
        self._metrics.count("safelight_proxy_messages_total", direction=direction, outcome=outcome)


async def _without_reply(work: Awaitable[object]) -> None:
    await work


def _newest(flow: HTTPFlow) -> bytes:
    return flow.websocket.messages[-1].content if flow.websocket and flow.websocket.messages else b""


def _reason(case: Case) -> str:
    return case.uninspected[0] if case.uninspected else coverage.INSPECTED


def _is_text(flow: HTTPFlow) -> bool:
    return flow.websocket is not None and flow.websocket.messages[-1].is_text


def _framing(flow: HTTPFlow) -> Framing:
    return Framing.FREE if _is_text(flow) else Framing.OPAQUE


def _direction(flow: HTTPFlow) -> Direction:
    from_client = flow.websocket is None or not flow.websocket.messages or flow.websocket.messages[-1].from_client
    return Direction.OUTBOUND if from_client else Direction.INBOUND


def _head_and_actor(flow: HTTPFlow) -> tuple[HttpHead, Actor]:
    return flows.request_head(flow), flows.actor(flow)


def _as_message(flow: HTTPFlow, direction: Direction, body: bytes) -> HttpMessage:
    """Return a message as extraction takes it: nothing is declared about its body."""
    request = flows.request_head(flow)
    head = replace(request, headers=tuple(each for each in request.headers if not each[0].startswith(_BODY_HEADERS)))
    inbound = direction is Direction.INBOUND
    return HttpMessage(head=head, body=body, direction=direction, request=request if inbound else None)
