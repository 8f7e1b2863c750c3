from __future__ import annotations

import pytest
from mitmproxy.connection import Client, Server
from mitmproxy.http import HTTPFlow, Request, Response

from proxy_addon.enforcement import Case
from proxy_addon.streaming import unit_relay
from proxy_addon.streaming.stream_guard import begin
from shared.types import Direction
from tests.factories import make_context, make_head

CASE = Case(request=make_head(), context=make_context(), policies=())


def begun(**fields: str) -> tuple[HTTPFlow, Response]:
    client = Client(peername=("192.0.2.7", 5000), sockname=("192.0.2.1", 8080), timestamp_start=0.0)
    flow = HTTPFlow(client, Server(address=("origin.example", 80)))
    flow.request = Request.make("GET", "http://origin.example/")
    response = flow.response = Response.make(200, b"", {name.replace("_", "-"): text for name, text in fields.items()})
    begin(flow, response, Direction.INBOUND, CASE, 100)
    return flow, response


@pytest.mark.parametrize(
    ("media_type", "coding", "is_coded"),
    [
        ("text/event-stream; charset=utf-8", "", False),
        ("Application/GRPC+proto", "", False),
        ("text/event-stream", "br", True),
    ],
)
def test_a_stream_is_cut(media_type: str, coding: str, is_coded: bool) -> None:
    flow, response = begun(content_type=media_type, content_encoding=coding)
    cut = unit_relay.cut_of(flow, Direction.INBOUND)
    assert response.stream is True
    assert cut is not None
    assert (cut.case, cut.feed.is_coded) == (CASE, is_coded)
    assert unit_relay.cut_of(flow, Direction.OUTBOUND) is None


def test_what_nothing_cuts_is_streamed() -> None:
    flow, response = begun(content_type="video/mp4")
    assert response.stream is True
    assert unit_relay.cut_of(flow, Direction.INBOUND) is None
