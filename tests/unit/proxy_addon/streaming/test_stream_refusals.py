from __future__ import annotations

import json

import pytest

from proxy_addon.responses.reply import Reply
from proxy_addon.streaming.stream_refusals import Refusal, refusal
from shared.types import Direction

MARK = 'block; policy="no-design-leaves"; incident="1"'
REPLY = Reply(status=403, headers=(("X-Safelight", MARK),), body=b"{}")


def refuse(media_type: str, direction: Direction = Direction.INBOUND, *, is_coded: bool = False) -> Refusal:
    return refusal(media_type, direction, REPLY, is_coded=is_coded)


def test_events_and_lines_go_on() -> None:
    assert refuse("text/event-stream") == Refusal(data=f": {MARK}\n\n".encode(), ends=False)
    assert refuse("application/x-ndjson") == Refusal(ends=False)


@pytest.mark.parametrize("media_type", ["text/event-stream", "application/x-ndjson"])
def test_a_coded_stream_breaks_off(media_type: str) -> None:
    assert refuse(media_type, is_coded=True) == Refusal()


def test_a_request_is_answered() -> None:
    assert refuse("text/event-stream", Direction.OUTBOUND) == Refusal(answer=REPLY)


@pytest.mark.parametrize("direction", Direction)
def test_grpc_says_it_in_trailers(direction: Direction) -> None:
    status = (("grpc-status", "7"), ("grpc-message", "blocked"))
    reply = Reply(status=200, headers=(("X-Safelight", MARK), *status), body=b"")
    assert refusal("application/grpc+proto", direction, reply, is_coded=False) == Refusal(
        trailers=(*status, ("x-safelight", MARK)), answer=reply
    )
    assert refuse("application/grpc", direction).trailers[0] == ("grpc-status", "7")


def test_grpc_web_says_it_in_a_last_frame() -> None:
    data = refuse("application/grpc-web").data
    assert (data[0], int.from_bytes(data[1:5])) == (0x80, len(data) - 5)
    assert data[5:] == b"grpc-status: 7\r\nx-safelight: " + MARK.encode() + b"\r\n"
    assert refuse("application/grpc-web", is_coded=True).data == b""


def test_connect_says_it_in_json() -> None:
    refused = refuse("application/connect+json")
    assert refused.data[0] == 0x02
    error = json.loads(refused.data[5:])["error"]
    assert error["code"] == "permission_denied"
    assert MARK in error["message"]
    assert refused.answer == REPLY
    assert refuse("application/connect+json", is_coded=True).data == b""
