"""mitmproxy's flows in, plain values out, and replies the other way."""

from __future__ import annotations

import pytest
from mitmproxy.connection import Client
from mitmproxy.http import Headers, HTTPFlow, Request, Response
from mitmproxy.test import tflow

from proxy_addon import flows
from proxy_addon.responses.reply import Reply
from shared.types import Actor, Direction


def make_flow(url: str = "https://files.vendor.example/up/load?a=1&b=2", **headers: str) -> HTTPFlow:
    client = Client(peername=("192.0.2.7", 5000), sockname=("192.0.2.1", 8080), timestamp_start=0.0)
    flow = HTTPFlow(client, tflow.tserver_conn())
    fields = {name.replace("_", "-"): value for name, value in headers.items()}
    flow.request = Request.make("post", url, b"body", Headers((k.encode(), v.encode()) for k, v in fields.items()))
    flow.request.headers["content-length"] = "4"
    return flow


def with_response(flow: HTTPFlow) -> HTTPFlow:
    flow.response = Response.make(206, b"piece", {"Content-Type": "image/png"})
    return flow


def test_the_head_of_a_request() -> None:
    head = flows.request_head(make_flow(content_type="image/png"))
    assert (head.method, head.scheme, head.host, head.port) == ("POST", "https", "files.vendor.example", 443)
    assert (head.path, head.query, head.status) == ("/up/load", "a=1&b=2", None)
    assert head.header("content-type") == "image/png"


def test_inside_tls_the_host_is_the_verified_name() -> None:
    flow = make_flow("https://192.0.2.9/")
    flow.client_conn.sni = "Files.Vendor.example"
    assert flows.request_head(flow).host == "files.vendor.example"
    plain = make_flow("http://192.0.2.9/", host="lies.example")
    plain.client_conn.sni = "proxy.example"
    assert flows.request_head(plain).host == "192.0.2.9"


def test_the_head_of_a_response_knows_its_request() -> None:
    head = flows.response_head(with_response(make_flow()))
    assert (head.method, head.host, head.path, head.status) == ("POST", "files.vendor.example", "/up/load", 206)
    assert head.header("content-type") == "image/png"
    with pytest.raises(ValueError, match="no response"):
        flows.response_head(make_flow())


def test_heads_are_read_again_where_they_were_changed() -> None:
    flow = with_response(make_flow())
    first = flows.response_head(flow)
    assert flows.response_head(flow) is first
    assert flow.response is not None
    flow.response.headers["x-new"] = "1"
    assert flows.response_head(flow).header("x-new") == "1"
    flow.response.status_code = 204
    assert flows.response_head(flow).status == 204
    flow.request.path = "/other"
    assert flows.response_head(flow).path == "/other"
    assert flows.response_head(with_response(flow)).status == 206


def test_messages_carry_the_bytes_as_sent() -> None:
    flow = with_response(make_flow())
    assert (flows.request_message(flow).body, flows.request_message(flow).direction) == (b"body", Direction.OUTBOUND)
    message = flows.response_message(flow)
    assert (message.body, message.direction) == (b"piece", Direction.INBOUND)
    assert message.request == flows.request_head(flow)
    assert flows.response_message(flow, b"streamed").body == b"streamed"
    flows.forget_request_body(flow)
    assert flows.request_message(flow).body == b""
    assert flow.request.headers["content-length"] == "4"


def test_the_actor_is_an_address() -> None:
    assert flows.actor(make_flow()).ip == "192.0.2.7"


@pytest.mark.parametrize("raw", [b"\xff\xfe", "\udcff".encode("utf-8", "surrogatepass"), "ü".encode()])
def test_whatever_was_sent_encodes_as_utf8(raw: bytes) -> None:
    flow = make_flow()
    flow.request.headers = Headers([(b"X-" + raw, raw)])
    flow.request.data.path = b"/" + raw
    flow.request.data.method = raw
    head = flows.request_head(flow)
    for text in (head.method, head.path, *head.headers[0]):
        assert text.encode()


def test_an_answer_is_sent_as_it_is() -> None:
    flow = make_flow(expect="100-continue")
    headers = (("Content-Type", "image/png"), ("Content-Length", "123"), ("X-Safelight", "block"))
    flows.answer(flow, Reply(status=200, headers=headers, body=b""))
    assert flow.response is not None
    assert flow.response.status_code == 200
    assert flow.response.headers.fields == tuple((name.encode(), value.encode()) for name, value in headers)
    assert flow.response.raw_content == b""
    assert "expect" not in flow.request.headers


def test_a_trace_is_left_on_the_response() -> None:
    flow = with_response(make_flow())
    flows.trace(flow)
    assert flow.response is not None
    assert flow.response.headers["x-safelight"] == "allow"


def test_a_field_is_found_whatever_its_case() -> None:
    headers = Headers([(b"Alt-Svc", b"x"), (b"b", b"")])
    assert flows.has_field(headers, b"alt-svc")
    assert not flows.has_field(headers, b"alt-svd")
    assert not flows.has_field(Headers(), b"alt-svc")


def test_who_is_behind_a_flow_is_at_least_an_address() -> None:
    flow = make_flow()
    assert flows.actor(flow) == Actor(ip="192.0.2.7")
    flows.set_actor(flow, Actor(ip="192.0.2.9", user="alice"))
    assert flows.actor(flow).user == "alice"
