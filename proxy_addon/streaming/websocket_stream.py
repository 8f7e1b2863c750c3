"""mitmproxy's WebSocket layer with four holes closed; like ``http_stream`` it leans on internals (pinned: 12.2.3).

1. *Bounded holding.*  mitmproxy puts a message together whatever its size and keeps all messages of a connection.
   Here a message is held up to ``limit`` bytes; past it the hook ``websocket_overflow`` asks what to do, and what
   passes goes on frame by frame.  A message is forgotten when it has passed.
2. *Refusal.*  ``refuse`` in a hook drops the message and closes the connection towards both ends with status 1008
   (RFC 6455, section 7.4.1: policy violation).
3. *Pieces.*  Frames of more than WHOLE_BYTES go on as several, with a turn of the event loop in between; all others
   keep their boundaries, since some servers refuse continuation frames.
4. *Compression.*  wsproto inflates whatever it is handed in one call, and 64 KiB may become 64 MiB: compressed bytes
   (RFC 7692) are handed to it little by little.
"""

from __future__ import annotations

import codecs
import io
from collections.abc import Generator, Iterator
from dataclasses import dataclass, field
from typing import Any, Final

from mitmproxy.http import HTTPFlow
from mitmproxy.proxy import commands, events
from mitmproxy.proxy.context import Context
from mitmproxy.proxy.layers.websocket import (
    WebsocketConnection,
    WebsocketEndHook,
    WebsocketLayer,
    WebsocketMessageHook,
)
from mitmproxy.websocket import WebSocketData, WebSocketMessage
from wsproto.connection import ConnectionState
from wsproto.events import BytesMessage, CloseConnection, Message, Ping, Pong, TextMessage
from wsproto.frame_protocol import Opcode

from proxy_addon.runtime.backpressure import BoundedQueue

WHOLE_BYTES: Final = 256 << 10
"""Frames up to here go on as they came; so much is taken in before other flows have a turn."""
PIECE_BYTES: Final = 64 << 10
"""Of a larger frame, sent in one call: masking (RFC 6455, section 5.3) and encrypting take 0.4 ms, compressing 2 ms for
what does not compress."""
CODED_BYTES: Final = 1 << 10
"""Of a compressed connection, inflated in one call: deflate makes 1032 times as many of them at most
(https://zlib.net/zlib_tech.html), 2 ms."""
PORTION_COST: Final = 16 << 10
"""Bytes that a portion of what one end has sent counts at least: handing it through wsproto takes 30 microseconds."""
POLICY_VIOLATION: Final = 1008
MAX_REASON: Final = 123
"""Bytes of a close frame's reason: a control frame carries 125, and the status is two of them."""

_EXTENSIONS: Final = "Sec-WebSocket-Extensions"
_REFUSED: Final = "safelight_websocket_refused"

Commands = Generator[commands.Command, Any, None]


@dataclass
class WebsocketOverflowHook(commands.StartHook):
    """A message has grown past the limit; ``flow.websocket.messages`` ends with what was held of it."""

    name = "websocket_overflow"
    flow: HTTPFlow


@dataclass(frozen=True, slots=True)
class Passed:
    """``size`` bytes of a message that was too large to be held have gone by."""

    flow: HTTPFlow
    from_client: bool
    size: int


@dataclass
class WebsocketPassedHook(commands.StartHook):
    """A message that was too large to be held has passed whole."""

    name = "websocket_passed"
    passed: Passed


@dataclass
class BetweenFramesHook(commands.StartHook):
    """Gives the other flows a turn; takes no flow, so that no ``update`` event follows."""

    name = "safelight_between_frames"
    pause: None = None


def rewrite(flow: HTTPFlow, content: bytes) -> None:
    """Let the newest message pass with other ``content``."""
    if flow.websocket is not None:
        flow.websocket.messages[-1].content = content


def refuse(flow: HTTPFlow, reason: str) -> None:
    """Do not let the newest message pass, and close the connection; ``reason`` is told to both ends."""
    flow.metadata[_REFUSED] = reason.encode("ascii", "replace")[:MAX_REASON].decode()


@dataclass
class _Held:
    """What has arrived of one end's current message."""

    frames: list[io.BytesIO] = field(default_factory=lambda: [io.BytesIO()])  # handed on without a copy
    size: int = 0
    passing: bool = False


class InspectedWebsocketLayer(BoundedQueue, WebsocketLayer):
    """Relays messages after the hooks have seen them whole."""

    def __init__(self, context: Context, flow: HTTPFlow, limit: int) -> None:
        super().__init__(context, flow)
        self._limit = limit
        self._since_turn = 0
        self._held = {True: _Held(), False: _Held()}

    def relay_messages(self, event: events.Event) -> Commands:
        """Relay what one end has sent."""
        if not isinstance(event, events.DataReceived | events.ConnectionClosed):
            return
        from_client = event.connection == self.context.client
        source, target = (self.client_ws, self.server_ws) if from_client else (self.server_ws, self.client_ws)
        for data in self._portions(event):
            # What came while a message was judged waits, and is taken in all at once.
            if self._since_turn > WHOLE_BYTES:
                yield BetweenFramesHook()
                self._since_turn = 0
            size = yield from self._relay_portion(source, target, data, from_client=from_client)
            self._since_turn += max(size, PORTION_COST)
            if self._handle_event != self.relay_messages:
                return

    def _is_coded(self) -> bool:
        return self.flow.response is not None and _EXTENSIONS in self.flow.response.headers

    def _portions(self, event: events.DataReceived | events.ConnectionClosed) -> Iterator[bytes | None]:
        if isinstance(event, events.ConnectionClosed):
            yield None
            return
        size = CODED_BYTES if self._is_coded() else len(event.data)
        for start in range(0, len(event.data), max(size, 1)):
            yield event.data[start : start + size]

    def _relay_portion(
        self, source: WebsocketConnection, target: WebsocketConnection, data: bytes | None, *, from_client: bool
    ) -> Generator[commands.Command, Any, int]:
        """Relay what ``data`` holds; return the bytes of messages in it."""
        source.receive_data(data)
        size = 0
        for each in source.events():
            if isinstance(each, Message):
                size += len(each.data)
                yield from self._take(each, target, from_client=from_client)
            elif isinstance(each, Ping | Pong):
                yield target.send2(each)
            elif isinstance(each, CloseConnection):
                yield from self._relay_close(each, from_client=from_client)
            if self._handle_event != self.relay_messages:
                break
        return size

    def _take(self, part: Message[Any], target: WebsocketConnection, *, from_client: bool) -> Commands:
        held, is_text = self._held[from_client], isinstance(part.data, str)
        data = part.data.encode() if isinstance(part.data, str) else bytes(part.data)
        held.frames[-1].write(data)
        held.size += len(data)
        if held.passing:
            yield from self._send(target, held, is_text=is_text, finished=part.message_finished)
        elif held.size > self._limit:
            if (yield from self._ask(WebsocketOverflowHook(self.flow), held, is_text=is_text, from_client=from_client)):
                held.passing = True
                yield from self._send(target, held, is_text=is_text, finished=part.message_finished)
        elif part.message_finished:
            if (yield from self._ask(WebsocketMessageHook(self.flow), held, is_text=is_text, from_client=from_client)):
                yield from self._send(target, held, is_text=is_text, finished=True)
        elif part.frame_finished:
            held.frames.append(io.BytesIO())
        if part.message_finished:
            self._held[from_client] = _Held()
            if held.passing:
                yield WebsocketPassedHook(Passed(self.flow, from_client, held.size))

    def _send(self, target: WebsocketConnection, held: _Held, *, is_text: bool, finished: bool) -> Commands:
        """Send what is held, frame by frame; the last one ends the message if it is ``finished``."""
        frames, held.frames = held.frames, [io.BytesIO()]
        for number, frame in enumerate(frames, start=1):
            content = frame.getvalue()
            is_large = len(content) > WHOLE_BYTES
            size = PIECE_BYTES if is_large else WHOLE_BYTES
            # A piece may end within a character; a frame does not, as wsproto hands it on.
            decoder = codecs.getincrementaldecoder("utf-8")()
            for start in range(0, max(len(content), 1), size):
                if is_large:
                    yield BetweenFramesHook()
                raw = content[start : start + size]
                piece = decoder.decode(raw) if is_text else raw
                last = finished and number == len(frames) and start + size >= len(content)
                yield target.send2(_event(piece, last=last))

    def _ask(
        self, hook: commands.StartHook, held: _Held, *, is_text: bool, from_client: bool
    ) -> Generator[commands.Command, Any, bool]:
        """Run a hook over what is held; return whether it may pass."""
        content = yield from _joined(held)
        message = WebSocketMessage(Opcode.TEXT if is_text else Opcode.BINARY, from_client, content)
        data = self._data()
        data.messages.append(message)
        yield hook
        data.messages.clear()
        if message.content is not content:
            held.frames = [io.BytesIO(message.content)]
        reason = self.flow.metadata.get(_REFUSED)
        if reason is None:
            return not message.dropped
        yield from self._refuse(reason)
        return False

    def _data(self) -> WebSocketData:
        if self.flow.websocket is None:
            self.flow.websocket = WebSocketData()
        return self.flow.websocket

    def _refuse(self, reason: str) -> Commands:
        close = CloseConnection(POLICY_VIOLATION, reason)
        yield from self._say(self.server_ws, close)
        yield from self._say(self.client_ws, close)
        yield commands.CloseConnection(self.context.server)
        yield from self._ended(close, from_client=False)
        # A socket that is closed while the client still sends is reset, and the client may never read why: what still
        # comes is read and dropped until the client closes.
        self._handle_event = self._draining

    def _draining(self, event: events.Event) -> Commands:
        if not isinstance(event, events.ConnectionEvent) or event.connection != self.context.client:
            return
        gone = isinstance(event, events.ConnectionClosed)
        if isinstance(event, events.DataReceived):
            self.client_ws.receive_data(event.data)
            gone = any(isinstance(each, CloseConnection) for each in self.client_ws.events())
        if gone:
            yield commands.CloseConnection(self.context.client)
            self._handle_event = self.done

    def _relay_close(self, close: CloseConnection, *, from_client: bool) -> Commands:
        for end in (self.server_ws, self.client_ws):
            yield from self._say(end, close)
            yield commands.CloseConnection(end.conn)
        yield from self._ended(close, from_client=from_client)
        self._handle_event = self.done

    def _say(self, end: WebsocketConnection, close: CloseConnection) -> Commands:
        if end.state in {ConnectionState.OPEN, ConnectionState.REMOTE_CLOSING}:
            yield end.send2(close)

    def _ended(self, close: CloseConnection, *, from_client: bool) -> Commands:
        data = self._data()
        data.closed_by_client = from_client
        data.close_code, data.close_reason = int(close.code), close.reason
        yield WebsocketEndHook(self.flow)
        self.flow.live = False


def _joined(held: _Held) -> Generator[commands.Command, Any, bytes]:
    """Return the message so far; one in several frames is copied piece by piece."""
    if len(held.frames) == 1:
        return held.frames[0].getvalue()
    whole = io.BytesIO()
    for frame in held.frames:
        content = memoryview(frame.getvalue())
        for start in range(0, len(content), WHOLE_BYTES):
            if start:
                yield BetweenFramesHook()
            whole.write(content[start : start + WHOLE_BYTES])
    return whole.getvalue()


def _event(piece: str | bytes, *, last: bool) -> TextMessage | BytesMessage:
    if isinstance(piece, str):
        return TextMessage(piece, message_finished=last)
    return BytesMessage(piece, message_finished=last)
