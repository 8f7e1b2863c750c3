"""Streams judged in units, without a network: however bytes are cut, all goes on but for what is blocked."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from mitmproxy.http import HTTPFlow

from proxy_addon.enforcement import Case
from proxy_addon.streaming import unit_relay
from proxy_addon.streaming.stream_refusals import Refusal
from proxy_addon.streaming.unit_relay import SMALLEST, Pending
from shared.extract.units import Piece, UnitFeed, splitter_for
from shared.types import Direction
from tests.factories import make_context, make_head
from tests.unit.proxy_addon.streaming.test_http_stream import GET, Wire, chunked, cut, unchunked

LIMIT = 200
CASE = Case(request=make_head(), context=make_context(), policies=())
REPLY_HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
SECRET = b"data: secret " + b"s" * SMALLEST + b"\n\n"


class Hooks:
    """Cuts responses into events, and does ``instead`` for each that holds a secret."""

    def __init__(self, instead: Refusal) -> None:
        self.instead = instead
        self.asked: list[Piece] = []

    def responseheaders(self, flow: HTTPFlow) -> None:
        assert flow.response is not None
        splitter = splitter_for("text/event-stream", LIMIT)
        assert splitter is not None
        unit_relay.cut(flow, Direction.INBOUND, UnitFeed(splitter, ()), CASE, LIMIT)
        flow.response.stream = True

    def stream_unit(self, pending: Pending) -> None:
        self.asked.append(pending.piece)
        if any(b"secret" in unit.data for unit in pending.piece.units):
            pending.instead = self.instead


def wire_with(hooks: Hooks) -> Wire:
    return Wire({"responseheaders": hooks.responseheaders, "stream_unit": hooks.stream_unit})  # type: ignore[dict-item]


def answered(hooks: Hooks, pieces: list[bytes]) -> Wire:
    wire = wire_with(hooks)
    wire.from_client(GET)
    wire.from_server(REPLY_HEAD, *pieces)
    return wire


events = st.lists(
    st.one_of(
        st.just(SECRET),
        st.binary(max_size=60).map(lambda data: b"data: " + data.replace(b"\n", b"").replace(b"\r", b"") + b"\n\n"),
    ),
    max_size=6,
)


@given(events, st.binary(max_size=20), st.lists(st.integers(0, 10**6), max_size=6), st.lists(st.integers(0, 10**6)))
def test_any_cut_leaves_out_what_is_blocked(
    sent: list[bytes], rest: bytes, chunks: list[int], reads: list[int]
) -> None:
    hooks = Hooks(Refusal(data=b": left out\n\n", ends=False))
    body = b"".join(sent) + rest
    raw = b"".join(chunked(cut(body, chunks)))
    wire = answered(hooks, cut(raw, reads))
    assert wire.sent["client"].startswith(REPLY_HEAD)
    got = unchunked(wire.sent["client"].removeprefix(REPLY_HEAD))
    assert got == body.replace(SECRET, b": left out\n\n")


def test_a_unit_that_ends_the_answer() -> None:
    wire = answered(Hooks(Refusal(data=b"the end")), chunked([b"data: 1\n\n", SECRET, b"data: 2\n\n"]))
    assert unchunked(wire.sent["client"].removeprefix(REPLY_HEAD)) == b"data: 1\n\nthe end"
    assert wire.seen[-1] == "response"
    assert "server" in wire.closed


def test_an_answer_that_breaks_off() -> None:
    wire = answered(Hooks(Refusal()), chunked([SECRET]))
    assert wire.sent["client"] == REPLY_HEAD
    assert wire.closed.count("client") == 1


def test_small_units_pass_unasked_and_large_ones_are_reported_once() -> None:
    hooks = Hooks(Refusal(data=b"", ends=False))
    small, large = b": hello\n\n", b"data: " + b"x" * 3 * LIMIT + b"\n\n"
    wire = answered(hooks, chunked([small, large[:250], large[250:500], large[500:], small, large]))
    assert unchunked(wire.sent["client"].removeprefix(REPLY_HEAD)) == small + large + small + large
    assert [piece.units[0].whole for piece in hooks.asked] == [False, False]
