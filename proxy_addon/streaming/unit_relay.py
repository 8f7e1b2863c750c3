"""Streams judged event by event, message by message: the part of the HTTP layer that holds back each until it may pass.

mitmproxy sends a streamed body through a synchronous callable, where no verdict can be awaited; here the layer yields
a hook for each unit, so that only its own stream waits.  What the hook decides it writes into its ``Pending``.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator
from dataclasses import dataclass
from typing import Any, Final

from mitmproxy.http import Headers, HTTPFlow
from mitmproxy.proxy import commands, events
from mitmproxy.proxy.layers.http import HttpStream, SendHttp
from mitmproxy.proxy.layers.http._events import (
    ErrorCode,
    RequestData,
    RequestEndOfMessage,
    ResponseData,
    ResponseEndOfMessage,
    ResponseProtocolError,
    ResponseTrailers,
)

from proxy_addon.enforcement import Case
from proxy_addon.runtime.backpressure import BoundedQueue
from proxy_addon.streaming.stream_refusals import Refusal
from shared.extract.split_pictures import SplitPictures
from shared.extract.units import Piece, UnitFeed
from shared.types import Direction

SMALLEST: Final = 26
"""Bytes of a unit that may hold a picture."""

_KEY: Final = "safelight_units"
_OUTBOUND: Final = (RequestData, RequestEndOfMessage)
_INBOUND: Final = (ResponseData, ResponseEndOfMessage)


@dataclass(slots=True, kw_only=True)
class Pending:
    """What waits to pass; the hook writes down what is done ``instead``."""

    flow: HTTPFlow
    direction: Direction
    piece: Piece
    case: Case
    is_coded: bool
    pictures: SplitPictures
    is_last: bool = False
    instead: Refusal | None = None


@dataclass
class StreamUnitHook(commands.StartHook):
    """A unit of a stream is complete."""

    name = "stream_unit"
    pending: Pending


@dataclass(slots=True)
class Cut:
    """How a body is cut, and what its units are judged by."""

    feed: UnitFeed
    case: Case
    pictures: SplitPictures
    reported: bool = False


def cut(flow: HTTPFlow, direction: Direction, feed: UnitFeed, case: Case, max_split: int) -> None:
    """Have a body that is streamed judged unit by unit; ``max_split`` bytes of pictures in several are collected."""
    flow.metadata.setdefault(_KEY, {})[direction] = Cut(feed, case, SplitPictures(max_split))


def cut_of(flow: HTTPFlow, direction: Direction) -> Cut | None:
    """Return how a body is cut, if it is."""
    cuts: dict[Direction, Cut] = flow.metadata.get(_KEY, {})
    return cuts.get(direction)


class UnitRelay(BoundedQueue, HttpStream):
    """One request and its response, as far as they are judged in units."""

    def _cut_of(self, event: events.Event) -> Cut | None:
        """Return what cuts the body that an event belongs to, where it is streamed and cut."""
        if isinstance(event, _OUTBOUND):
            direction, streams = Direction.OUTBOUND, self.client_state == self.state_stream_request_body
        elif isinstance(event, _INBOUND):
            direction, streams = Direction.INBOUND, self.server_state == self.state_stream_response_body
        else:
            return None
        return cut_of(self.flow, direction) if streams else None

    def _relay(self, event: events.Event, cut: Cut) -> Generator[commands.Command, Any, Refusal | None]:
        """Pass on what may pass; return what ends the stream, if anything does."""
        outbound = isinstance(event, RequestData | RequestEndOfMessage)
        made = RequestData if outbound else ResponseData
        for piece, is_last in _pieces(event, cut):
            direction = Direction.OUTBOUND if outbound else Direction.INBOUND
            refusal = yield from self._ask(piece, cut, direction, is_last=is_last)
            if refusal is not None and refusal.ends:
                return refusal
            data = piece.data if refusal is None else refusal.data
            if data:
                yield from HttpStream._handle_event(self, made(self.stream_id, data))  # noqa: SLF001
        if isinstance(event, RequestEndOfMessage | ResponseEndOfMessage):
            yield from HttpStream._handle_event(self, event)  # noqa: SLF001
        return None

    def _ask(
        self, piece: Piece, cut: Cut, direction: Direction, *, is_last: bool
    ) -> Generator[commands.Command, Any, Refusal | None]:
        if not is_last and not _is_telling(piece, cut):
            return None
        pending = Pending(
            flow=self.flow,
            direction=direction,
            piece=piece,
            case=cut.case,
            is_coded=cut.feed.is_coded,
            pictures=cut.pictures,
            is_last=is_last,
        )
        yield StreamUnitHook(pending)
        return pending.instead

    def _finish_answer(self, refusal: Refusal) -> Generator[commands.Command, Any, None]:
        """End an answer that has begun."""
        client = self.context.client
        trailers = refusal.trailers if self.flow.request.is_http2 else ()  # HTTP/1 has none here
        if refusal.data:
            yield SendHttp(ResponseData(self.stream_id, refusal.data), client)
        if trailers:
            fields = Headers([(name.encode(), value.encode()) for name, value in trailers])
            yield SendHttp(ResponseTrailers(self.stream_id, fields), client)
        if refusal.data or trailers:
            yield SendHttp(ResponseEndOfMessage(self.stream_id), client)
        else:
            yield SendHttp(ResponseProtocolError(self.stream_id, "refused", ErrorCode.CANCEL), client)


def _pieces(event: events.Event, cut: Cut) -> Iterator[tuple[Piece, bool]]:
    """Yield what may pass next, and whether the stream ends there with a picture that is not whole."""
    if isinstance(event, RequestData | ResponseData):
        yield from ((piece, False) for piece in cut.feed.feed(event.data))
        return
    yield from ((piece, False) for piece in cut.feed.finish())
    if cut.pictures.is_open:
        yield Piece(data=b""), True


def _is_telling(piece: Piece, cut: Cut) -> bool:
    """Tell whether somebody has to look at a piece; of what is too large, the first stretch alone."""
    telling = piece.problem is not None
    for unit in piece.units:
        may_hold = len(unit.data) >= SMALLEST or cut.pictures.is_open
        telling |= (unit.whole and may_hold) or not (unit.whole or cut.reported)
        cut.reported = not unit.whole
    return telling
