"""mitmproxy's HTTP layer without a network: however a body is cut, what goes on is what came."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mitmproxy.connection import Client, Connection, ConnectionState
from mitmproxy.http import HTTPFlow, Response
from mitmproxy.options import Options
from mitmproxy.proxy import commands, events, layer
from mitmproxy.proxy.context import Context
from mitmproxy.proxy.layers.http import HttpLayer, HTTPMode
from mitmproxy.proxy.layers.tcp import TCPLayer
from mitmproxy.proxy.mode_specs import ProxyMode

from proxy_addon.streaming.http_stream import PIECE_BYTES, TURN_BYTES, InspectedHttpLayer, install
from shared.types import Direction

Hooks = dict[str, Callable[[HTTPFlow], None]]
LIMIT = 1000
HEAD = b"POST http://origin.example/ HTTP/1.1\r\nHost: origin.example\r\n"
GET = b"GET http://origin.example/ HTTP/1.1\r\nHost: origin.example\r\n\r\n"


class Wire:
    """Both ends of the layer: what it is given, and what it sends where."""

    def __init__(self, hooks: Hooks | None = None, *, limit: int = LIMIT) -> None:
        options = Options()
        for name, value in {"stream_large_bodies": None, "body_size_limit": None}.items():
            options.add_option(name, type(value), value, "")
        for name in ("validate_inbound_headers", "store_streamed_bodies", "proxy_debug"):
            options.add_option(name, bool, False, "")
        self.client = Client(peername=("192.0.2.7", 5000), sockname=("192.0.2.1", 8080), timestamp_start=0.0)
        self.client.state = ConnectionState.OPEN
        self.client.proxy_mode = ProxyMode.parse("regular")
        self.hooks = hooks or {}
        self.seen: list[str] = []
        self.sent: dict[str, bytes] = {"client": b"", "server": b""}
        self.largest = 0
        self.server: Connection | None = None
        self.closed: list[str] = []
        self.counted = dict.fromkeys(Direction, 0)
        self.ends: list[HTTPFlow] = []
        self.layer = InspectedHttpLayer(Context(self.client, options), HTTPMode.regular, limit, self)
        self.feed(events.Start())

    def from_client(self, *pieces: bytes) -> None:
        for piece in pieces:
            self.feed(events.DataReceived(self.client, piece))

    def from_server(self, *pieces: bytes) -> None:
        for piece in pieces:
            assert self.server is not None
            if self.server.state is ConnectionState.OPEN:
                self.feed(events.DataReceived(self.server, piece))

    def arrived(self, flow: HTTPFlow, direction: Direction, size: int) -> None:
        self.counted[direction] += size

    def ended(self, flow: HTTPFlow) -> None:
        self.ends.append(flow)

    def feed(self, event: events.Event) -> None:
        waiting = [event]
        while waiting:
            for command in self.layer.handle_event(waiting.pop(0)):
                reply = self._obey(command)
                if reply is not None:
                    waiting.append(reply)

    def _obey(self, command: commands.Command) -> events.Event | None:
        match command:
            case commands.OpenConnection(connection=connection):
                connection.state = ConnectionState.OPEN
                self.server = connection
                return events.OpenConnectionCompleted(command, None)
            case commands.SendData(connection=connection, data=data):
                self.sent["client" if connection is self.client else "server"] += data
                self.largest = max(self.largest, len(data))
            case commands.CloseConnection(connection=connection):
                connection.state = ConnectionState.CLOSED
                self.closed.append("client" if connection is self.client else "server")
            case commands.StartHook():
                self.seen.append(command.name)
                if command.name in self.hooks:
                    self.hooks[command.name](*command.args())
                return events.HookCompleted(command)
        return None


def stream_request(flow: HTTPFlow) -> None:
    flow.request.stream = True


def refuse(flow: HTTPFlow) -> None:
    flow.response = Response.make(403, b"refused")


def cut(data: bytes, cuts: list[int]) -> list[bytes]:
    places = sorted({place % (len(data) + 1) for place in cuts} | {0, len(data)})
    return [data[start:end] for start, end in itertools.pairwise(places)]


def chunked(pieces: list[bytes]) -> list[bytes]:
    return [b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces if piece] + [b"0\r\n\r\n"]


def unchunked(data: bytes) -> bytes:
    body = b""
    while True:
        size, _, data = data.partition(b"\r\n")
        if int(size, 16) == 0:
            return body
        body, data = body + data[: int(size, 16)], data[int(size, 16) + 2 :]


def body_of(message: bytes) -> bytes:
    return message.partition(b"\r\n\r\n")[2]


cuts = st.lists(st.integers(0, 3000), max_size=8)


@settings(deadline=None)
@given(size=st.integers(1, 3000), at=cuts)
def test_an_upload_arrives_as_it_was_sent(size: int, at: list[int]) -> None:
    body = bytes(index % 251 for index in range(size))
    wire = Wire()
    wire.from_client(HEAD + b"Transfer-Encoding: chunked\r\n\r\n", *chunked(cut(body, at)))
    assert unchunked(body_of(wire.sent["server"])) == body
    assert ("request_overflow" in wire.seen) == (size > LIMIT)


@settings(deadline=None)
@given(size=st.integers(1, 3000), at=cuts)
def test_a_download_arrives_as_it_was_sent(size: int, at: list[int]) -> None:
    body = bytes(index % 251 for index in range(size))
    wire = Wire()
    wire.from_client(GET)
    wire.from_server(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", *chunked(cut(body, at)))
    assert unchunked(body_of(wire.sent["client"])) == body
    assert ("response_overflow" in wire.seen) == (size > LIMIT)


def test_a_large_body_goes_on_in_pieces() -> None:
    body = bytes(3 * PIECE_BYTES + 5)
    wire = Wire(limit=len(body))
    wire.from_client(HEAD + b"Content-Length: %d\r\n\r\n" % len(body), body)
    assert body_of(wire.sent["server"]) == body
    assert wire.largest == PIECE_BYTES
    assert wire.seen.count("safelight_between_pieces") == 3


def test_many_reads_in_a_row_give_others_a_turn() -> None:
    """They come so where a hook was waited for meanwhile."""
    wire = Wire(limit=8 * TURN_BYTES)
    body = bytes(3 * TURN_BYTES)
    pieces = [body[at : at + 65_536] for at in range(0, len(body), 65_536)]
    wire.from_client(HEAD + b"Content-Length: %d\r\n\r\n" % len(body), *pieces[:-1])
    assert wire.seen.count("safelight_between_pieces") == 2
    wire.from_client(pieces[-1])
    assert wire.sent["server"].endswith(body)


def test_a_refusal_on_the_head_leaves_before_the_body_comes() -> None:
    wire = Wire({"requestheaders": refuse})
    wire.from_client(HEAD + b"Content-Length: 5000\r\n\r\n")
    assert wire.sent["client"].startswith(b"HTTP/1.1 403 ")
    assert wire.sent["client"].endswith(b"refused")
    before = wire.sent["client"]
    wire.from_client(bytes(2500), bytes(2500))
    assert (wire.sent["client"], wire.server) == (before, None)
    # The next request on the same connection is understood.
    wire.from_client(HEAD + b"Content-Length: 1\r\n\r\n")
    assert wire.sent["client"] == before * 2
    assert wire.seen.count("response") == 2


@pytest.mark.parametrize("hook", ["responseheaders", "response_overflow"])
def test_a_refused_response_is_not_filled_with_what_it_replaces(hook: str) -> None:
    wire = Wire({hook: refuse})
    wire.from_client(GET)
    wire.from_server(b"HTTP/1.1 200 OK\r\nContent-Length: 5000\r\n\r\n", *[b"secret" * 100] * 9)
    assert wire.sent["client"].startswith(b"HTTP/1.1 403 ")
    assert wire.sent["client"].endswith(b"refused")
    assert b"secret" not in wire.sent["client"]
    assert wire.closed == ["server"]
    assert wire.seen.count("response") == 1


def test_a_refused_upload_that_outgrew_the_limit_goes_nowhere() -> None:
    wire = Wire({"request_overflow": refuse})
    wire.from_client(HEAD + b"Transfer-Encoding: chunked\r\n\r\n", *chunked([bytes(400)] * 9))
    assert wire.sent["client"].endswith(b"refused")
    assert wire.server is None


def test_a_streamed_body_is_never_held() -> None:
    wire = Wire({"requestheaders": stream_request})
    wire.from_client(HEAD + b"Content-Length: 5000\r\n\r\n", bytes(2000))
    assert body_of(wire.sent["server"]) == bytes(2000)
    wire.from_client(bytes(3000))
    assert body_of(wire.sent["server"]) == bytes(5000)
    assert "request_overflow" not in wire.seen


def test_only_an_http_layer_is_replaced() -> None:
    def chosen(make: Callable[[Context], Any]) -> layer.NextLayer:
        context = Wire().layer.context
        context.layers.clear()
        following = layer.NextLayer(context)
        following.layer = make(context)
        install(following, LIMIT, Wire())
        return following

    http = chosen(lambda context: HttpLayer(context, HTTPMode.transparent))
    assert isinstance(http.layer, InspectedHttpLayer)
    assert http.layer.mode is HTTPMode.transparent
    assert http.layer.context.layers == [http.layer]
    assert type(chosen(TCPLayer).layer) is TCPLayer
    assert chosen(lambda _: None).layer is None
