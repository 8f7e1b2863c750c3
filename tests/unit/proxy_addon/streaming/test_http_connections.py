"""Connections to origins that are over are let go of, and no other ones."""

from __future__ import annotations

from mitmproxy.connection import Connection, ConnectionState
from mitmproxy.proxy import events

from tests.unit.proxy_addon.streaming.test_http_stream import GET, HEAD, Wire

ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


def ends(wire: Wire, state: ConnectionState = ConnectionState.CLOSED) -> None:
    """The end of the connection to the origin, as mitmproxy's reader tells it."""
    assert wire.server is not None
    wire.server.state = state
    wire.feed(events.ConnectionClosed(wire.server))


def origins(wire: Wire) -> list[Connection]:
    return [each for each in wire.layer.connections if each is not wire.client]


def test_of_a_thousand_connections_that_ended_none_is_kept() -> None:
    wire = Wire()
    for _ in range(1000):
        wire.from_client(GET)
        wire.from_server(ANSWER)
        ends(wire)
        assert origins(wire) == [wire.server]
    assert wire.sent["client"].count(b"200 OK") == 1000


def test_a_connection_that_stays_open_is_used_again() -> None:
    wire = Wire()
    for _ in range(3):
        wire.from_client(GET)
        wire.from_server(ANSWER)
    first = wire.server
    assert origins(wire) == [first]
    ends(wire)
    wire.from_client(GET)
    assert wire.server is not first
    assert origins(wire) == [wire.server]


def test_one_that_a_stream_still_sends_to_is_kept_until_that_is_over() -> None:
    wire = Wire({"requestheaders": lambda flow: setattr(flow.request, "stream", True)})
    wire.from_client(HEAD + b"Content-Length: 10\r\n\r\n", b"12345")
    first = wire.server
    assert first is not None
    wire.layer.forget_ended()
    assert origins(wire) == [first]
    ends(wire)
    wire.layer.forget_ended()
    wire.from_client(b"67890")  # to a connection that is gone: it is known, so nothing breaks
    wire.layer.forget_ended()
    assert origins(wire) == []


def test_one_whose_other_half_is_open_is_kept() -> None:
    wire = Wire()
    wire.from_client(GET)
    wire.from_server(ANSWER)
    ends(wire, ConnectionState.CAN_WRITE)
    assert wire.server is not None
    wire.server.state = ConnectionState.CAN_WRITE  # the layer has it closed at once; where that takes a while
    wire.layer.forget_ended()
    assert origins(wire) == [wire.server]
    wire.server.state = ConnectionState.CLOSED
    wire.layer.forget_ended()
    assert origins(wire) == []
