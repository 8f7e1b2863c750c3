"""mitmproxy's HTTP stream layer with holes closed: this and http_connections lean on its internals (12.2.3).

1. *Bounded holding.*  mitmproxy buffers a body whole before ``request``/``response``, and a chunked body says no
   length beforehand.  Past ``limit`` bytes the hook ``request_overflow`` or ``response_overflow`` asks what to do:
   a response set there is the answer, otherwise what was held is sent on and the rest streamed.
2. *Early refusal.*  A response set in ``requestheaders`` leaves at once and the body that still arrives is dropped;
   mitmproxy itself would first buffer all of it.  HTTP/1 reads the rest off the connection, so it stays usable.
   One set in ``responseheaders`` leaves at once too; mitmproxy would fill it with the body it replaces.
3. *Pieces.*  A held body goes out in pieces with a turn of the event loop between them: as one write, 10 MB of
   TLS records hold every other flow for more than 10 ms.
4. *Units.*  Of a stream of events or messages each is held back until it may pass (``unit_relay``).
5. *Accounts.*  Every body byte passes here: it is counted when it arrives, and the stream's end says how many there
   were.  A refused request's stream lives on until its body has arrived, which mitmproxy would drop uncounted.
6. *Trickling*, where it is switched on.  While ``response_wait`` waits for a verdict, single bytes of a held response
   leave; a block that comes later cuts the client off.

Its own options ``stream_large_bodies`` and ``body_size_limit`` stay unset: the first forwards unseen, the second
aborts the transfer.
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from typing import Any, Final, Protocol, cast

from mitmproxy.http import HTTPFlow, Response
from mitmproxy.proxy import commands, events, layer
from mitmproxy.proxy.context import Context
from mitmproxy.proxy.layers.http import DropStream, HttpLayer, HTTPMode, SendHttp
from mitmproxy.proxy.layers.http._events import (
    ErrorCode,
    RequestData,
    RequestEndOfMessage,
    RequestHeaders,
    RequestProtocolError,
    ResponseData,
    ResponseEndOfMessage,
    ResponseHeaders,
    ResponseProtocolError,
    ResponseTrailers,
)
from mitmproxy.proxy.layers.http._hooks import HttpResponseHook
from mitmproxy.proxy.tunnel import TunnelLayer

from proxy_addon import flows
from proxy_addon.streaming.held_body import HeldBody
from proxy_addon.streaming.http_connections import ForgettingHttpLayer, forked
from proxy_addon.streaming.stream_refusals import Refusal
from proxy_addon.streaming.unit_relay import Cut, UnitRelay
from proxy_addon.streaming.websocket_stream import InspectedWebsocketLayer
from shared.types import Direction

LEAVING: Final = "safelight.leaving"
"""Metadata of a flow: how many bytes of its held response may have left by now."""
TURN_BYTES: Final = 1 << 20
"""Of a body that are taken in before other flows have a turn: 3 ms."""
PIECE_BYTES: Final = 256 << 10
"""A piece is encrypted and written in well under 1 ms."""

_DATA: Final = (RequestData, ResponseData)
_REQUEST_ENDS: Final = (RequestEndOfMessage, RequestProtocolError)

Commands = Generator[commands.Command, Any, None]


@dataclass
class RequestOverflowHook(commands.StartHook):
    """A held request body has grown past the limit."""

    name = "request_overflow"
    flow: HTTPFlow


@dataclass
class ResponseOverflowHook(commands.StartHook):
    """A held response body has grown past the limit."""

    name = "response_overflow"
    flow: HTTPFlow


@dataclass
class BetweenPiecesHook(commands.StartHook):
    """Gives the other flows a turn; takes no flow, so that no ``update`` event follows."""

    name = "safelight_between_pieces"
    pause: None = None


class Accounts(Protocol):
    """Keeps account of body bytes."""

    def arrived(self, flow: HTTPFlow, direction: Direction, size: int) -> None:
        """Count bytes of a body."""
        ...

    def ended(self, flow: HTTPFlow) -> None:
        """Take note that no more will come; may be called more than once."""
        ...


@dataclass
class ResponseWaitHook(commands.StartHook):
    """A held response is whole.  Returns once it is decided, or a byte of it may leave (``flows.let_leave``)."""

    name = "response_wait"
    flow: HTTPFlow


class InspectedStream(UnitRelay):
    """One request and its response."""

    def __init__(
        self, context: Context, stream_id: int, limit: int, accounts: Accounts, *, trickles: bool = False
    ) -> None:
        super().__init__(context, stream_id)
        self._trickles = trickles
        self.request_body_buf = HeldBody()
        self.response_body_buf = HeldBody()
        self._limit = limit
        self._accounts = accounts
        self._request_whole = self._refused_early = False
        self._since_turn = 0

    def _handle_event(self, event: events.Event) -> Commands:
        """Every body byte and every end comes by here; what needs nothing of this class goes straight on."""
        if isinstance(event, _DATA):
            direction = Direction.OUTBOUND if isinstance(event, RequestData) else Direction.INBOUND
            plain = self._count(direction, len(event.data))
            plain = plain and not self._overflows(event) and self._cut_of(event) is None
        else:
            plain = isinstance(event, events.Start)
            if isinstance(event, _REQUEST_ENDS):
                self._request_whole = True
        return cast(Commands, super()._handle_event(event)) if plain else self._watched(event)

    def _count(self, direction: Direction, size: int) -> bool:
        """Count bytes of a body; tell whether they may come in without a turn for other flows."""
        self._accounts.arrived(self.flow, direction, size)
        # What came while a hook was waited for is taken in all at once.
        self._since_turn += size
        return self._since_turn <= TURN_BYTES and not self._refused_early

    def check_body_size(self, request: bool) -> Generator[commands.Command, Any, bool]:  # noqa: FBT001
        """Let a body of any size in: mitmproxy's options for it stay unset, and looking at them takes a while."""
        yield from ()
        return False

    def _watched(self, event: events.Event) -> Commands:
        if self._refused_early:
            if self._request_whole:
                yield DropStream(self.stream_id)
        else:
            yield from self._paced(event)
        flow: HTTPFlow | None = getattr(self, "flow", None)
        if (
            flow is not None
            and (not flow.live or self.child_layer)
            and (not self._refused_early or self._request_whole)
        ):
            self._accounts.ended(flow)

    def _paced(self, event: events.Event) -> Commands:
        if self._since_turn > TURN_BYTES:
            yield BetweenPiecesHook()
            self._since_turn = 0
        inner, reply = self._bounded(event), None
        while True:
            try:
                command = inner.send(reply)
            except StopIteration:
                return
            sent = command.event if isinstance(command, SendHttp) else None
            if isinstance(command, SendHttp) and isinstance(sent, _DATA) and len(sent.data) > PIECE_BYTES:
                yield from _in_pieces(command)
                reply = None
            else:
                reply = yield command

    def _bounded(self, event: events.Event) -> Commands:
        kind = type(event)
        if kind is RequestHeaders or kind is ResponseHeaders:
            return self._head(event)
        if isinstance(event, _DATA) and self._overflows(event):
            return self._request_overflow(event) if isinstance(event, RequestData) else self._response_overflow(event)
        cut = self._cut_of(event)
        if cut is not None:
            return self._cut_up(event, cut)
        if self._trickles and isinstance(event, ResponseEndOfMessage) and self.response_body_buf:
            return self._trickle(event)
        return cast(Commands, super()._handle_event(event))

    def _head(self, event: events.Event) -> Commands:
        yield from super()._handle_event(event)
        if isinstance(event, RequestHeaders):
            if not event.end_stream and self._refused():
                yield from self._answer_now()
        elif isinstance(event, ResponseHeaders) and self._replaced(event):
            yield from self._refuse_response(ended=event.end_stream)

    def _cut_up(self, event: events.Event, cut: Cut) -> Commands:
        refusal = yield from self._relay(event, cut)
        if refusal is not None:
            yield from self._break_off(refusal)

    def flow_done(self) -> Commands:
        """Hand over to the layer that speaks WebSocket from here on; else end the stream."""
        if self.flow.websocket is None:
            yield from super().flow_done()
            return
        self.child_layer = InspectedWebsocketLayer(self.context, self.flow, self._limit)
        self._handle_event = self.passthrough  # type: ignore[method-assign]
        yield from self.child_layer.handle_event(events.Start())
        yield SendHttp(ResponseEndOfMessage(self.stream_id), self.context.client)

    def _overflows(self, event: RequestData | ResponseData) -> bool:
        if isinstance(event, ResponseData):
            held, holding = self.response_body_buf, self.server_state == self.state_consume_response_body
        else:
            held, holding = self.request_body_buf, self.client_state == self.state_consume_request_body
        return len(held) + len(event.data) > self._limit and holding

    def _trickle(self, event: ResponseEndOfMessage) -> Commands:
        """Let a few bytes leave while the hook waits, then the rest, or cut the client off."""
        origin = cast(Response, self.flow.response)
        content, sent = bytes(self.response_body_buf), 0
        origin.data.content = content
        while True:
            yield ResponseWaitHook(self.flow)
            if (yield from self.check_killed(True)):
                return
            until = may_leave(self.flow)
            if until <= sent:
                break
            if not sent:
                yield SendHttp(ResponseHeaders(self.stream_id, origin, False), self.context.client)
            yield SendHttp(ResponseData(self.stream_id, content[sent:until]), self.context.client)
            sent = until
        if not sent:
            yield from super()._handle_event(event)
            return
        self.response_body_buf.clear()
        yield HttpResponseHook(self.flow)
        self.server_state = self.state_done
        if (yield from self.check_killed(False)):
            return
        if self.flow.response is not origin:
            yield from self._cut_off()
            return
        yield from _in_pieces(SendHttp(ResponseData(self.stream_id, content), self.context.client), sent)
        if origin.trailers:
            yield SendHttp(ResponseTrailers(self.stream_id, origin.trailers), self.context.client)
        if self.client_state == self.state_done:
            yield from self.flow_done()

    def _cut_off(self) -> Commands:
        """End a response that has begun: HTTP/1 closes the connection, HTTP/2 resets the stream."""
        self.client_state = self.server_state = self.state_errored
        self.flow.live = False
        yield DropStream(self.stream_id)
        cut = ResponseProtocolError(self.stream_id, "blocked", ErrorCode.CANCEL)
        yield SendHttp(cut, self.context.client)

    def _refused(self) -> bool:
        return self.client_state == self.state_consume_request_body and self.flow.response is not None

    def _replaced(self, event: ResponseHeaders) -> bool:
        return self.server_state == self.state_consume_response_body and self.flow.response is not event.response

    def _request_overflow(self, event: RequestData) -> Commands:
        yield RequestOverflowHook(self.flow)
        if (yield from self.check_killed(True)):
            return
        held = bytes(self.request_body_buf)
        self.request_body_buf.clear()
        if self.flow.response is not None:
            yield from self._answer_now()
            return
        self.flow.request.stream = True
        yield from self.start_request_stream()
        if self.client_state == self.state_stream_request_body:
            if held:  # an empty chunk would end a chunked body
                yield from self.state_stream_request_body(RequestData(self.stream_id, held))
            yield from self.state_stream_request_body(event)

    def _response_overflow(self, event: ResponseData) -> Commands:
        origin = cast(Response, self.flow.response)
        yield ResponseOverflowHook(self.flow)
        if (yield from self.check_killed(True)):
            return
        held = bytes(self.response_body_buf)
        self.response_body_buf.clear()
        if self.flow.response is not origin:
            yield from self._refuse_response(ended=False)
            return
        origin.stream = True
        yield from self.start_response_stream()
        if held:
            yield from self.state_stream_response_body(ResponseData(self.stream_id, held))
        yield from self.state_stream_response_body(event)

    def _break_off(self, refusal: Refusal) -> Commands:
        """End a stream of which a unit may not pass."""
        begun = self.server_state == self.state_stream_response_body
        if not begun and refusal.answer is not None:
            flows.answer(self.flow, refusal.answer)
            yield from self._refuse_response(ended=False)
            return
        cancelled = RequestProtocolError(self.stream_id, "refused", ErrorCode.CANCEL)
        yield SendHttp(cancelled, self.context.server)
        self.client_state = self.server_state = self.state_errored
        yield HttpResponseHook(self.flow)
        self.flow.live = False
        self._refused_early = not self._request_whole
        if self._request_whole:
            yield DropStream(self.stream_id)
        yield from self._finish_answer(refusal)

    def _refuse_response(self, *, ended: bool) -> Commands:
        """Answer in the origin's place: mitmproxy would put the body that still arrives into the answer."""
        if not (ended and self.client_state == self.state_done):
            refusal = RequestProtocolError(self.stream_id, "response refused", ErrorCode.CANCEL)
            yield SendHttp(refusal, self.context.server)
        yield from self._answer_now()

    def _answer_now(self) -> Commands:
        """Send ``flow.response`` and end the stream; whatever else arrives for it is dropped unread."""
        response = cast(Response, self.flow.response)
        self.client_state = self.server_state = self.state_errored
        yield HttpResponseHook(self.flow)
        content = response.raw_content
        yield SendHttp(ResponseHeaders(self.stream_id, response, not content), self.context.client)
        if content:
            yield SendHttp(ResponseData(self.stream_id, content), self.context.client)
        self.flow.live = False
        self._refused_early = not self._request_whole
        if self._request_whole:
            yield DropStream(self.stream_id)
        yield SendHttp(ResponseEndOfMessage(self.stream_id), self.context.client)


def may_leave(flow: HTTPFlow) -> int:
    """Return how many bytes of a held response may have left by now."""
    return int(flow.metadata.get(LEAVING, 0))


def _in_pieces(command: SendHttp, begin: int = 0) -> Commands:
    """Send what ``command`` holds from byte ``begin`` on."""
    event = cast(RequestData | ResponseData, command.event)
    for start in range(begin, len(event.data), PIECE_BYTES):
        if start > begin:
            yield BetweenPiecesHook()
        piece = type(event)(event.stream_id, event.data[start : start + PIECE_BYTES])
        yield SendHttp(piece, command.connection)


def install(next_layer: layer.NextLayer, limit: int, accounts: Accounts, *, trickles: bool = False) -> None:
    """Put a bounded HTTP layer where mitmproxy has just chosen its own; any other layer is left alone."""
    chosen = next_layer.layer
    if chosen is None:
        return
    context = chosen.context
    plain = context.layers[-1]
    if type(plain) is not HttpLayer:
        return
    # A layer enters itself into context.layers when it is made: the plain one has to leave first.
    context.layers.pop()
    bounded = InspectedHttpLayer(context, plain.mode, limit, accounts, trickles=trickles)
    if chosen is plain:
        next_layer.layer = bounded
    else:
        # TLS to the proxy itself: [..., ClientTLSLayer, the HTTP layer]
        cast(TunnelLayer, context.layers[-2]).child_layer = bounded


class InspectedHttpLayer(ForgettingHttpLayer):
    """Makes bounded streams; otherwise mitmproxy's own."""

    def __init__(
        self, context: Context, mode: HTTPMode, limit: int, accounts: Accounts, *, trickles: bool = False
    ) -> None:
        super().__init__(context, mode)
        self._trickles = trickles
        self._limit = limit
        self._accounts = accounts

    def make_stream(self, stream_id: int) -> Commands:
        """Start one stream."""
        self.forget_ended()
        context, accounts = forked(self.context), self._accounts
        stream = InspectedStream(context, stream_id, self._limit, accounts, trickles=self._trickles)
        self.streams[stream_id] = stream
        yield from self.event_to_child(stream, events.Start())
