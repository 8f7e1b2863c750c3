"""mitmproxy's hooks: what to do with a flow is decided in ``transfer``; here it is done.

State of a flow lives in its own ``metadata`` and dies with it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from functools import partial
from typing import Final

from mitmproxy.connection import Client
from mitmproxy.http import HTTPFlow, Message
from mitmproxy.proxy.layer import NextLayer

from proxy_addon import flows
from proxy_addon.enforcement import Case
from proxy_addon.policies.failsafe import Failsafe
from proxy_addon.reporting.accounts import Accounts
from proxy_addon.reporting.ledger import Fate
from proxy_addon.responses.reply import Reply
from proxy_addon.responses.rewriting import Rewritten
from proxy_addon.responses.trickle import INTERVAL_SECONDS
from proxy_addon.ruling import PASS, Coming, Ruling, Treatment
from proxy_addon.runtime.background import Background, BodyCopy
from proxy_addon.runtime.hang_ups import HangUps
from proxy_addon.streaming import http_stream
from proxy_addon.streaming.stream_guard import StreamGuard, begin
from proxy_addon.streaming.unit_relay import Pending
from proxy_addon.transfer import Transfers
from proxy_addon.uploads import replies
from proxy_addon.uploads.downloads import RangeNote
from proxy_addon.uploads.note import Note
from shared.core import coverage
from shared.extract.handling import TeeSniffer
from shared.telemetry import Metrics
from shared.types import Actor, Direction, HttpHead, HttpMessage, UninspectedReason

_KEY: Final = "safelight"
_IN_DISGUISE: Final = "an image in a body that was declared as something else and not held"


class Exchange:
    """What is remembered of a flow between its hooks."""

    __slots__ = ("answered", "copy", "inspected", "judging", "mark", "ruling", "sniffer")

    def __init__(self) -> None:
        self.ruling = PASS  # of the message that is on its way: first the request, then the response
        self.sniffer: TeeSniffer | None = None
        self.copy: BodyCopy | None = None
        self.inspected = False
        self.answered = False
        self.judging: asyncio.Task[Reply | Rewritten | None] | None = None  # of a response that trickles
        self.mark = ""  # of a request that passed changed, for its response


class Safelight:
    """The addon.  ``max_object`` bounds what is held of a body whose length nobody knows beforehand."""

    def __init__(
        self,
        transfers: Transfers,
        background: Background,
        failsafe: Failsafe,
        metrics: Metrics,
        accounts: Accounts,
        *,
        max_object: int,
        debug_headers: bool = False,
        trickle_after: float = 0.0,
    ) -> None:
        self._transfers = transfers
        self._background = background
        self._failsafe = failsafe
        self._metrics = metrics
        self._accounts = accounts
        self._max_object = max_object
        self._trickle_after = trickle_after
        self._debug_headers = debug_headers
        self._streams = StreamGuard(transfers, background, failsafe, metrics, accounts)
        self._flows: dict[str, HTTPFlow] = {}  # those that have begun and not ended
        self._hang_ups = HangUps()  # of client connections, by their ids

    @property
    def in_flight(self) -> int:
        """How many flows have begun and not ended."""
        return len(self._flows)

    def next_layer(self, nextlayer: NextLayer) -> None:
        """Bound what mitmproxy's HTTP layer buffers."""
        http_stream.install(nextlayer, self._max_object, self._accounts, trickles=self._trickle_after > 0)

    def requestheaders(self, flow: HTTPFlow) -> Awaitable[None] | None:
        """Rule on a request; where there are no policies, at once."""
        exchange = flow.metadata[_KEY] = Exchange()
        if flow.error is not None or flow.response is not None or flows.is_claimed(flow):
            # malformed, answered (nobody knows who sends it), or for the proxy itself
            exchange.answered = True
            return None
        self._flows[flow.id] = flow
        if self._transfers.idle:
            self._stream(flow.request, Direction.OUTBOUND)
            return None
        coming = self._transfers.request_head(lambda: _head_and_actor(flow))
        return self._begin(flow, flow.request, coming, Direction.OUTBOUND)

    def request(self, flow: HTTPFlow) -> Awaitable[None] | None:
        """Judge a request; where there is nothing to judge in it, at once."""
        if flow.response is not None or flow.error is not None or self._says_nothing(flow, Direction.OUTBOUND):
            return None
        return self._complete(flow, Direction.OUTBOUND)

    async def request_overflow(self, flow: HTTPFlow) -> None:
        """Decide over a request that grew too large to be held."""
        await self._overflow(flow, Direction.OUTBOUND)

    def responseheaders(self, flow: HTTPFlow) -> Awaitable[None] | None:
        """Rule on a response; where there are no policies, at once."""
        exchange = _exchange(flow)
        if exchange.answered or flow.response is None:
            return None
        flows.forget_request_body(flow)
        if self._transfers.idle:
            exchange.ruling = PASS
            self._stream(flow.response, Direction.INBOUND)
            self._mark(flow, exchange)
            return None
        coming = self._transfers.response_head(lambda: _head_and_actor(flow), lambda: flows.response_head(flow))
        return self._begin(flow, flow.response, coming, Direction.INBOUND)

    def _mark(self, flow: HTTPFlow, exchange: Exchange) -> None:
        if exchange.mark and not exchange.answered:
            flows.mark(flow, exchange.mark)
        elif exchange.inspected and not exchange.answered:
            self._trace(flow)

    async def response_wait(self, flow: HTTPFlow) -> None:
        """Return once a held response is judged, or one more byte of it may leave."""
        exchange = _exchange(flow)
        ruling, size = exchange.ruling, len(flow.response.raw_content or b"") if flow.response else 0
        if exchange.answered or ruling.case is None or not ruling.trickles:
            return
        patience = min(self._trickle_after, INTERVAL_SECONDS)
        case, upload = ruling.case, ruling.upload
        if exchange.judging is None:
            patience = self._trickle_after
            judging = self._transfers.body(case, lambda: _message(flow, Direction.INBOUND), upload)
            exchange.judging = asyncio.get_running_loop().create_task(judging)
            self._hang_ups.add(flow.client_conn.id, exchange.judging)
            exchange.judging.add_done_callback(partial(self._hang_ups.discard, flow.client_conn.id))
        with self._hang_ups.cancellable(flow.client_conn.id):
            await asyncio.wait({exchange.judging}, timeout=patience)
        if not exchange.judging.done() and case.trickle.allow(size):
            flow.metadata[http_stream.LEAVING] = case.trickle.sent

    def response(self, flow: HTTPFlow) -> Awaitable[None] | None:
        """Judge a response; the flow ends here."""
        if _exchange(flow).answered or flow.error is not None or self._says_nothing(flow, Direction.INBOUND):
            self._end(flow)
            return None
        return self._last(flow)

    async def _last(self, flow: HTTPFlow) -> None:
        try:
            await self._complete(flow, Direction.INBOUND)
        finally:
            self._end(flow)

    def _says_nothing(self, flow: HTTPFlow, direction: Direction) -> bool:
        """Tell whether a message that is complete gives nothing to judge, and is done with."""
        exchange = _exchange(flow)
        ruling = exchange.ruling
        if ruling.case is None:
            exchange.ruling = PASS
            return True
        held = ruling.treatment is Treatment.HOLD and exchange.judging is None
        if not held:
            return False
        if not flows.is_empty(flow, direction):
            return self._passes_at_once(flow, direction, ruling.case, exchange)
        if isinstance(ruling.upload, Note) or ruling.case.says_without_body:
            return False
        exchange.ruling = PASS
        self._count(direction, "passed")
        return True

    def _passes_at_once(self, flow: HTTPFlow, direction: Direction, case: Case, exchange: Exchange) -> bool:
        def read() -> tuple[HttpHead, bytes]:
            if direction is Direction.OUTBOUND or flow.response is None:
                return flows.request_head(flow), flow.request.raw_content or b""
            return flows.response_head(flow), flow.response.raw_content or b""

        if not self._transfers.passes_at_once(case, read, exchange.ruling.upload):
            return False
        exchange.ruling, exchange.inspected = PASS, True
        self._accounts.fate(flow, direction).reason = _reason(case)
        self._count(direction, "passed")
        if direction is Direction.INBOUND:
            self._trace(flow)
        return True

    async def response_overflow(self, flow: HTTPFlow) -> None:
        """Decide over a response that grew too large to be held."""
        await self._overflow(flow, Direction.INBOUND)

    async def stream_unit(self, pending: Pending) -> None:
        """Judge an event or message of a stream."""
        with self._hang_ups.cancellable(pending.flow.client_conn.id):
            await self._streams.stream_unit(pending)

    async def safelight_between_pieces(self, _: None) -> None:
        """Let the other flows have a turn."""
        await asyncio.sleep(0)

    def error(self, flow: HTTPFlow) -> None:
        """Forget a flow that broke off."""
        self._end(flow)

    def client_disconnected(self, client: Client) -> None:
        """Stop waiting for verdicts that nobody needs any more, and forget the flows."""
        self._hang_ups.hung_up(client.id)
        for flow in [flow for flow in self._flows.values() if flow.client_conn.id == client.id]:
            del self._flows[flow.id]
            self._accounts.ended(flow)

    def _begin(self, flow: HTTPFlow, message: Message, coming: Coming, direction: Direction) -> Awaitable[None] | None:
        """Do what a ruling says; what has to be waited for is returned."""
        if not isinstance(coming, Ruling):
            return self._begin_later(flow, message, coming, direction)
        exchange = _exchange(flow)
        exchange.ruling = ruling = coming
        if direction is Direction.OUTBOUND:
            replies.remember(flow, ruling.upload)
        self._expect(flow, ruling, direction)
        if ruling.reply is not None:
            return self._refuse(flow, ruling.reply, direction)
        if ruling.treatment is Treatment.TEE:
            exchange.sniffer = TeeSniffer(message.headers.get("content-encoding", ""))
            message.stream = exchange.sniffer.feed
        elif ruling.treatment is Treatment.COPY:
            exchange.copy = BodyCopy(self._max_object)
            message.stream = exchange.copy.feed
        elif ruling.treatment is Treatment.UNITS and ruling.case is not None:
            begin(flow, message, direction, ruling.case, self._max_object)
            self._count(direction, "streamed")
        elif ruling.treatment is Treatment.STREAM:
            self._stream(message, direction)
        if direction is Direction.INBOUND:
            self._mark(flow, exchange)
        return None

    async def _begin_later(
        self, flow: HTTPFlow, message: Message, coming: Awaitable[Ruling], direction: Direction
    ) -> None:
        with self._hang_ups.cancellable(flow.client_conn.id):
            ruling = await coming
        rest = self._begin(flow, message, ruling, direction)
        if rest is not None:
            await rest

    async def _refuse(self, flow: HTTPFlow, reply: Reply, direction: Direction) -> None:
        await self._answer(flow, reply)
        self._count(direction, "refused")

    def _stream(self, message: Message, direction: Direction) -> None:
        message.stream = True
        self._count(direction, "streamed")

    def _expect(self, flow: HTTPFlow, ruling: Ruling, direction: Direction) -> None:
        """Say what becomes of a body unless more is said later."""
        if ruling.reply is not None:
            self._accounts.fate(flow, direction).reason = coverage.REFUSED
        elif ruling.uninspected is not None:
            self._accounts.fate(flow, direction).reason = ruling.uninspected
        elif ruling.treatment in (Treatment.HOLD, Treatment.COPY):
            self._accounts.fate(flow, direction).reason = coverage.ABORTED  # until it is judged
        elif ruling.treatment is Treatment.UNITS:
            self._accounts.fate(flow, direction).reason = coverage.INSPECTED

    async def _complete(self, flow: HTTPFlow, direction: Direction) -> None:
        exchange = _exchange(flow)
        ruling, exchange.ruling = exchange.ruling, PASS
        if ruling.case is None:
            return
        if ruling.treatment is Treatment.HOLD:
            with self._hang_ups.cancellable(flow.client_conn.id):
                await self._held(flow, ruling.case, ruling.upload, direction)
        elif ruling.treatment is Treatment.COPY:
            self._copied(flow, ruling.case, ruling.upload, direction)
        elif exchange.sniffer is not None and exchange.sniffer.found_image:
            self._accounts.fate(flow, direction).reason = UninspectedReason.OPAQUE
            await self._transfers.uninspected(ruling.case, UninspectedReason.OPAQUE, _IN_DISGUISE, too_late=True)

    async def _held(self, flow: HTTPFlow, case: Case, upload: Note | RangeNote | None, direction: Direction) -> None:
        exchange = _exchange(flow)
        judging = exchange.judging or self._transfers.body(case, lambda: _message(flow, direction), upload)
        outcome = await judging
        self._accounts.fate(flow, direction).reason = _reason(case)
        if isinstance(outcome, Rewritten):
            await self._rewrite(flow, outcome, direction)
            return
        if outcome is not None:
            await self._answer(flow, outcome)
            self._count(direction, "blocked")
            return
        exchange.inspected = True
        self._count(direction, "passed")
        if direction is Direction.INBOUND:
            self._trace(flow)

    async def _rewrite(self, flow: HTTPFlow, rewritten: Rewritten, direction: Direction) -> None:
        async def rewrite() -> None:
            flows.rewrite(flow, direction, rewritten)

        if direction is Direction.OUTBOUND:
            _exchange(flow).mark = rewritten.mark
        # What cannot be changed must not go as it came.
        await self._failsafe.guard("rewrite", rewrite, flow.kill)
        self._count(direction, "redacted")

    async def _answer(self, flow: HTTPFlow, reply: Reply) -> None:
        async def answer() -> None:
            flows.answer(flow, reply)

        _exchange(flow).answered = True
        # A block that cannot even be said ends the connection.
        await self._failsafe.guard("answer", answer, flow.kill)

    def _copied(self, flow: HTTPFlow, case: Case, upload: Note | RangeNote | None, direction: Direction) -> None:
        copy, _exchange(flow).copy = _exchange(flow).copy, None
        if copy is None:
            return
        body, fate = copy.body(), self._accounts.fate(flow, direction)
        if copy.is_whole and self._background.has_room(len(body)):
            message = _message(flow, direction, body)
            fate.wait()
            self._background.start(self._afterwards(case, message, upload, fate), len(body))
        else:
            reason = UninspectedReason.TIMEOUT if copy.is_whole else UninspectedReason.TOO_LARGE
            fate.reason = reason
            work = self._transfers.uninspected(case, reason, "too much to be judged at once", too_late=True)
            self._background.start(_without_reply(work), 0)

    async def _afterwards(self, case: Case, message: HttpMessage, upload: Note | RangeNote | None, fate: Fate) -> None:
        try:
            await self._transfers.afterwards(case, message, upload)
        except asyncio.CancelledError:
            fate.settle(self._accounts.ledger, UninspectedReason.TIMEOUT)
            raise
        fate.settle(self._accounts.ledger, _reason(case))

    async def _overflow(self, flow: HTTPFlow, direction: Direction) -> None:
        exchange = _exchange(flow)
        case, exchange.ruling = exchange.ruling.case, PASS
        if case is None:
            return
        self._accounts.fate(flow, direction).reason = UninspectedReason.TOO_LARGE
        detail = f"the body is larger than {self._max_object} bytes"
        reply = await self._transfers.uninspected(case, UninspectedReason.TOO_LARGE, detail)
        if reply is not None:
            await self._answer(flow, reply)
        self._count(direction, "streamed" if reply is None else "blocked")

    def _end(self, flow: HTTPFlow) -> None:
        self._flows.pop(flow.id, None)

    def _trace(self, flow: HTTPFlow) -> None:
        if self._debug_headers:
            flows.trace(flow)

    def _count(self, direction: Direction, outcome: str) -> None:
        self._metrics.count("safelight_proxy_messages_total", direction=direction, outcome=outcome)


async def _without_reply(work: Awaitable[object]) -> None:
    await work


def _reason(case: Case) -> str:
    return case.uninspected[0] if case.uninspected else coverage.INSPECTED


def _exchange(flow: HTTPFlow) -> Exchange:
    exchange = flow.metadata.get(_KEY)
    if not isinstance(exchange, Exchange):
        exchange = flow.metadata[_KEY] = Exchange()
    return exchange


def _head_and_actor(flow: HTTPFlow) -> tuple[HttpHead, Actor]:
    return flows.request_head(flow), flows.actor(flow)


def _message(flow: HTTPFlow, direction: Direction, body: bytes | None = None) -> HttpMessage:
    outbound = direction is Direction.OUTBOUND
    return flows.request_message(flow, body) if outbound else flows.response_message(flow, body)
