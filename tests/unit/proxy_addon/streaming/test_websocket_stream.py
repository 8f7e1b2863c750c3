"""The WebSocket layer without a network: however bytes are cut, what goes on is what mitmproxy's own would send."""

from __future__ import annotations

import itertools
from collections.abc import Callable

from hypothesis import given
from hypothesis import strategies as st
from mitmproxy.connection import Client, Connection, ConnectionState, Server
from mitmproxy.http import HTTPFlow, Request, Response
from mitmproxy.options import Options
from mitmproxy.proxy import commands, events
from mitmproxy.proxy.context import Context
from mitmproxy.proxy.layers.websocket import WebsocketLayer
from mitmproxy.websocket import WebSocketData
from wsproto.connection import Connection as Wire
from wsproto.connection import ConnectionType
from wsproto.events import BytesMessage, CloseConnection, Event, Message, Ping, TextMessage
from wsproto.extensions import PerMessageDeflate

from proxy_addon.streaming.websocket_stream import (
    CODED_BYTES,
    MAX_REASON,
    PIECE_BYTES,
    WHOLE_BYTES,
    InspectedWebsocketLayer,
    refuse,
)

LIMIT = 1 << 20
DEFLATE = "permessage-deflate"
MakeLayer = Callable[[Context, HTTPFlow], WebsocketLayer]


def extensions(*, deflate: bool) -> list[PerMessageDeflate]:
    if not deflate:
        return []
    extension = PerMessageDeflate()
    extension.finalize(DEFLATE)
    return [extension]


class Relay:
    """A layer between two ends, and what it sends to each."""

    def __init__(self, make: MakeLayer, *, deflate: bool = False, blocked: bytes | None = None) -> None:
        self.seen: list[bytes] = []
        client = Client(peername=("192.0.2.7", 5000), sockname=("192.0.2.1", 8080), timestamp_start=0.0)
        server = Server(address=("origin.example", 80))
        client.state = server.state = ConnectionState.OPEN
        self.flow = HTTPFlow(client, server)
        self.flow.request = Request.make("GET", "http://origin.example/")
        headers = {"Sec-WebSocket-Extensions": DEFLATE} if deflate else {}
        self.flow.response = Response.make(101, b"", headers)
        self.flow.websocket = WebSocketData()
        context = Context(client, Options())
        context.server = server
        self.client: Connection = client
        self.server: Connection = server
        self.blocked = blocked
        self.hooks: list[str] = []
        self.largest = 0
        self.sent: dict[Connection, bytes] = {client: b"", server: b""}
        self.closed: list[Connection] = []
        self.layer = make(context, self.flow)
        self._feed(events.Start())

    def receive(self, end: Connection, *pieces: bytes) -> None:
        for piece in pieces:
            self._feed(events.DataReceived(end, piece))

    def close(self, end: Connection) -> None:
        self._feed(events.ConnectionClosed(end))

    def _feed(self, event: events.Event) -> None:
        waiting = [event]
        while waiting:
            for command in self.layer.handle_event(waiting.pop(0)):
                if isinstance(command, commands.SendData):
                    self.sent[command.connection] += command.data
                    self.largest = max(self.largest, len(command.data))
                elif isinstance(command, commands.CloseConnection):
                    self.closed.append(command.connection)
                elif isinstance(command, commands.StartHook):
                    self.hooks.append(command.name)
                    data = self.flow.websocket
                    if command.name in {"websocket_message", "websocket_overflow"} and data:
                        self.seen.append(data.messages[-1].content)
                    if data and data.messages and data.messages[-1].content == self.blocked:
                        refuse(self.flow, "no" * 100)
                    waiting.append(events.HookCompleted(command))


def inspected(context: Context, flow: HTTPFlow) -> WebsocketLayer:
    return InspectedWebsocketLayer(context, flow, LIMIT)


def written(messages: list[Event], *, deflate: bool) -> bytes:
    wire = Wire(ConnectionType.CLIENT, list(extensions(deflate=deflate)))
    return b"".join(wire.send(message) for message in messages)


def read(data: bytes, kind: ConnectionType, *, deflate: bool) -> list[tuple[object, ...]]:
    """The frames in ``data``; what is cut by reading is put together."""
    wire = Wire(kind, list(extensions(deflate=deflate)))
    wire.receive_data(data)
    return [
        (type(each).__name__, each.data, each.frame_finished, each.message_finished)
        if isinstance(each, Message)
        else (type(each).__name__, getattr(each, "code", None))
        for each in wire.events()
    ]


def cut(data: bytes, cuts: list[int]) -> list[bytes]:
    places = sorted({place % (len(data) + 1) for place in cuts} | {0, len(data)})
    return [data[start:end] for start, end in itertools.pairwise(places)]


parts = st.lists(st.binary(max_size=300), min_size=1, max_size=3)
messages = st.lists(
    st.one_of(
        parts.map(
            lambda frames: [
                BytesMessage(data=data, message_finished=number == len(frames))
                for number, data in enumerate(frames, start=1)
            ]
        ),
        st.text(max_size=200).map(lambda text: [TextMessage(data=text)]),
        st.just([Ping(payload=b"p")]),
    ),
    max_size=5,
).map(lambda groups: [message for group in groups for message in group])


@given(messages, st.lists(st.integers(0, 10**6), max_size=8), st.booleans())
def test_any_cut_gives_what_mitmproxy_gives(sent: list[Event], cuts: list[int], deflate: bool) -> None:
    data = written(sent, deflate=deflate)
    ours, theirs = Relay(inspected, deflate=deflate), Relay(WebsocketLayer, deflate=deflate)
    ours.receive(ours.client, *cut(data, cuts))
    theirs.receive(theirs.client, data)
    frames = [read(each.sent[each.server], ConnectionType.SERVER, deflate=deflate) for each in (ours, theirs)]
    assert frames[0] == frames[1]
    assert ours.hooks == theirs.hooks


def test_messages_are_not_kept() -> None:
    relay = Relay(inspected)
    relay.receive(relay.client, written([BytesMessage(data=b"one"), TextMessage(data="two")], deflate=False))
    assert relay.hooks == ["websocket_start", "websocket_message", "websocket_message"]
    assert relay.flow.websocket is not None
    assert relay.flow.websocket.messages == []


def test_a_large_frame_goes_on_in_pieces() -> None:
    relay = Relay(inspected)
    data = bytes(WHOLE_BYTES + 1)
    relay.receive(relay.client, written([BytesMessage(data=data)], deflate=False))
    wire = Wire(ConnectionType.SERVER)
    wire.receive_data(relay.sent[relay.server])
    frames = [(len(each.data), each.message_finished) for each in wire.events() if isinstance(each, BytesMessage)]
    assert frames == [(PIECE_BYTES, False)] * 4 + [(1, True)]
    assert relay.hooks[2:] == ["safelight_between_frames"] * 5


def test_a_large_text_goes_on_in_pieces_although_they_end_within_characters() -> None:
    relay = Relay(inspected)
    text = "x" + "é" * (WHOLE_BYTES // 2)
    relay.receive(relay.client, written([TextMessage(data=text)], deflate=False))
    sent = read(relay.sent[relay.server], ConnectionType.SERVER, deflate=False)
    assert "".join(str(frame[1]) for frame in sent) == text
    assert [frame[2:] for frame in sent] == [(True, False)] * 4 + [(True, True)]
    assert relay.largest <= PIECE_BYTES + 16


def test_frames_of_a_large_message_are_joined_in_pieces() -> None:
    relay = Relay(inspected)
    frames = [bytes(WHOLE_BYTES), bytes(WHOLE_BYTES + 1), b"end"]
    parts: list[Event] = [BytesMessage(data=data, message_finished=data == b"end") for data in frames]
    relay.receive(relay.client, written(parts, deflate=False))
    assert relay.seen == [b"".join(frames)]
    assert relay.hooks[: relay.hooks.index("websocket_message")] == ["websocket_start", "safelight_between_frames"]


def test_many_reads_in_a_row_give_others_a_turn() -> None:
    """They come so where a message has been judged for a while."""
    relay = Relay(inspected)
    sent = written([BytesMessage(data=bytes(3 * WHOLE_BYTES))], deflate=False)
    relay.receive(relay.client, *cut(sent, list(range(0, len(sent), 65_536))))
    assert relay.hooks[: relay.hooks.index("websocket_message")].count("safelight_between_frames") >= 2


def test_compressed_bytes_are_inflated_little_by_little() -> None:
    """One read of 64 KiB may stand for 64 MiB."""
    relay = Relay(inspected, deflate=True)
    sent = written([BytesMessage(data=bytes(24 << 20))], deflate=True)
    assert len(sent) < 32 << 10
    relay.receive(relay.client, sent)
    assert [name for name in relay.hooks if name.startswith("websocket")][1:] == [
        "websocket_overflow",
        "websocket_passed",
    ]
    (held,) = relay.seen
    assert LIMIT < len(held) <= LIMIT + 1032 * CODED_BYTES
    assert relay.hooks.count("safelight_between_frames") >= (24 << 20) // (1032 * CODED_BYTES)
    wire = Wire(ConnectionType.SERVER, list(extensions(deflate=True)))
    wire.receive_data(relay.sent[relay.server])
    frames = [each for each in wire.events() if isinstance(each, BytesMessage)]
    assert sum(len(frame.data) for frame in frames) == 24 << 20
    assert [frame.message_finished for frame in frames].index(True) == len(frames) - 1
    assert sum(frame.frame_finished for frame in frames) >= (24 << 20) // PIECE_BYTES, "and compressed so"


def test_a_refused_message_closes_both_ends_and_drains_the_client() -> None:
    relay = Relay(inspected, blocked=b"secret")
    relay.receive(relay.client, written([BytesMessage(data=b"secret"), TextMessage(data="more")], deflate=False))
    close = Wire(ConnectionType.CLIENT)
    close.receive_data(relay.sent[relay.client])
    (told,) = close.events()
    assert isinstance(told, CloseConnection)
    assert (told.code, len(told.reason or "")) == (1008, MAX_REASON)
    assert read(relay.sent[relay.server], ConnectionType.SERVER, deflate=False) == [("CloseConnection", 1008)]
    assert relay.closed == [relay.server]
    relay.receive(relay.client, written([TextMessage(data="still sending")], deflate=False))
    relay.receive(relay.server, b"\x81\x01a")
    assert relay.closed == [relay.server]
    relay.receive(relay.client, close.send(told.response()))
    assert relay.closed == [relay.server, relay.client]
    assert relay.hooks[-1] == "websocket_end"


def test_a_client_that_hangs_up_after_a_refusal() -> None:
    relay = Relay(inspected, blocked=b"secret")
    relay.receive(relay.client, written([BytesMessage(data=b"secret")], deflate=False))
    relay.close(relay.client)
    assert relay.closed == [relay.server, relay.client]


def test_a_connection_that_breaks_off() -> None:
    relay = Relay(inspected)
    relay.close(relay.server)
    assert set(relay.closed) == {relay.client, relay.server}
    assert relay.flow.websocket is not None
    assert (relay.flow.websocket.close_code, relay.flow.websocket.closed_by_client) == (1006, False)
    assert not relay.flow.live
