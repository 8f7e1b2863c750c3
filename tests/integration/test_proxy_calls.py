"""Calls of gRPC, gRPC-Web and Connect through a real proxy: message by message, and what is uploaded in several."""

from __future__ import annotations

import asyncio
import gzip
import ssl
import struct
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import h2.connection
import h2.events
import pytest

from shared.types import Action, Direction
from tests.factories import make_policy
from tests.integration.test_proxy_streams import booked
from tests.origins import Answer, Origin, Seen, TestAuthority, serve_origin
from tests.proxies import MARK, DecodingJudge, RunningProxy, Setup, serve_proxy
from tests.websocket_ends import png

PROTECTED, HARMLESS = png(MARK), png(b"nothing")


def frame(data: bytes, flags: int = 0) -> bytes:
    return bytes((flags,)) + struct.pack(">I", len(data)) + data


def varint(number: int) -> bytes:
    return bytes((number,)) if number < 0x80 else bytes((number & 0x7F | 0x80,)) + varint(number >> 7)


def protobuf(image: bytes) -> bytes:
    return b"\x0a" + varint(len(image)) + image


@dataclass
class Call:
    """What a gRPC client sees of one call."""

    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    trailers: dict[str, str] = field(default_factory=dict)
    reset: bool = False


async def call(proxy: RunningProxy, origin: Origin, media_type: str, frames: Sequence[bytes], coding: str = "") -> Call:
    """Call through the proxy over HTTP/2, as gRPC does: httpx knows no trailers."""
    host, port = proxy.address.split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(b"CONNECT 127.0.0.1:%d HTTP/1.1\r\n\r\n" % origin.port)
    assert b" 200 " in await reader.readuntil(b"\r\n\r\n")
    trust = ssl.create_default_context(cadata=proxy.ca)
    trust.set_alpn_protocols(["h2"])
    await writer.start_tls(trust, server_hostname="127.0.0.1")
    wire = h2.connection.H2Connection()
    wire.initiate_connection()
    fields = [
        (":method", "POST"),
        (":scheme", "https"),
        (":authority", f"127.0.0.1:{origin.port}"),
        (":path", "/a.B/C"),
    ]
    more = [("grpc-encoding", coding)] if coding else []
    wire.send_headers(1, [*fields, ("content-type", media_type), ("te", "trailers"), *more])
    for number, data in enumerate(frames, start=1):
        wire.send_data(1, data, end_stream=number == len(frames))
    writer.write(wire.data_to_send())
    seen = Call()
    try:
        while await _take(wire, await reader.read(65536), seen):
            writer.write(wire.data_to_send())
    finally:
        writer.close()
    return seen


async def _take(wire: h2.connection.H2Connection, data: bytes, seen: Call) -> bool:
    assert data
    for each in wire.receive_data(data):
        if isinstance(each, h2.events.ResponseReceived):
            seen.headers = {_text(name): _text(value) for name, value in each.headers}
        elif isinstance(each, h2.events.TrailersReceived):
            seen.trailers = {_text(name): _text(value) for name, value in each.headers}
        elif isinstance(each, h2.events.DataReceived):
            seen.body += each.data
            wire.acknowledge_received_data(each.flow_controlled_length, each.stream_id)
        elif isinstance(each, h2.events.StreamReset):
            seen.reset = True
            return False
        elif isinstance(each, h2.events.StreamEnded):
            return False
    return True


def _text(value: bytes | str) -> str:
    return value if isinstance(value, str) else value.decode()


@asynccontextmanager
async def calling(setup: Setup, tmp_path: Path, answer: Answer) -> AsyncIterator[tuple[RunningProxy, Origin]]:
    def reply(_: Seen) -> Answer:
        return answer

    authority = TestAuthority(tmp_path)
    async with (
        asyncio.timeout(20),
        serve_origin(reply, authority.context("127.0.0.1")) as origin,
        serve_proxy(setup, tmp_path, upstream_ca=authority.file) as proxy,
    ):
        yield proxy, origin


GRPC = "application/grpc+proto"
FINE = Answer(body=frame(b"fine"), media_type=GRPC, chunked=True)


@pytest.mark.parametrize("coding", ["", "gzip"])
async def test_messages_of_a_call_pass_as_they_were(coding: str, tmp_path: Path) -> None:
    sent = [frame(b"hello"), frame(gzip.compress(protobuf(HARMLESS)), 1) if coding else frame(protobuf(HARMLESS))]
    setup = Setup(policies=[make_policy()])
    async with calling(setup, tmp_path, FINE) as (proxy, origin):
        seen = await call(proxy, origin, GRPC, sent, coding)
        assert origin.seen[0].body == b"".join(sent)
    assert (seen.headers[":status"], seen.body) == ("200", frame(b"fine"))
    assert [part.data for part in setup.judge.asked] == [HARMLESS]
    assert booked(setup, Direction.OUTBOUND) == {"inspected": len(b"".join(sent))}


@pytest.mark.parametrize("coding", ["", "gzip"])
async def test_a_message_that_a_client_may_not_send(coding: str, tmp_path: Path) -> None:
    blocked = frame(gzip.compress(protobuf(PROTECTED)), 1) if coding else frame(protobuf(PROTECTED))
    setup = Setup(policies=[make_policy()])
    async with calling(setup, tmp_path, FINE) as (proxy, origin):
        seen = await call(proxy, origin, GRPC, [frame(b"hello"), blocked], coding)
        assert origin.seen == []
    (alert,) = setup.recorder.alerts
    assert (seen.headers[":status"], seen.headers["grpc-status"], seen.body) == ("200", "7", b"")
    assert alert.incident in seen.headers["x-safelight"]
    assert alert.enforced is Action.BLOCK


def chunks(image: bytes, coding: str, size: int = 200) -> list[bytes]:
    """A client's stream: what is uploaded, then where each piece stands and its bytes, then that this was all."""
    messages = [b"\x0a\x05a.png"]
    for at in range(0, len(image), size):
        piece = image[at : at + size]
        messages.append(b"\x10" + varint(at) + b"\x1a" + varint(len(piece)) + piece)
    messages.append(b"\x18\x01")
    return [frame(gzip.compress(each), 1) if coding else frame(each) for each in messages]


@pytest.mark.parametrize("coding", ["", "gzip"])
@pytest.mark.parametrize("protected", [False, True])
async def test_a_picture_in_several_messages_of_a_call(protected: bool, coding: str, tmp_path: Path) -> None:
    sent = chunks(PROTECTED if protected else HARMLESS, coding)
    setup = Setup(policies=[make_policy()], judge=DecodingJudge())
    async with calling(setup, tmp_path, FINE) as (proxy, origin):
        seen = await call(proxy, origin, GRPC, sent, coding)
        arrived = [each.body for each in origin.seen]
    assert setup.judge.asked[-1].data == (PROTECTED if protected else HARMLESS)
    assert len(setup.recorder.alerts) == int(protected)
    if protected:
        assert arrived == []
        assert (seen.headers[":status"], seen.headers["grpc-status"], seen.body) == ("200", "7", b"")
        assert setup.recorder.alerts[0].incident in seen.headers["x-safelight"]
    else:
        assert arrived == [b"".join(sent)]
        assert (seen.headers[":status"], seen.body) == ("200", frame(b"fine"))
        assert booked(setup, Direction.OUTBOUND) == {"inspected": len(b"".join(sent))}


async def test_a_picture_that_lacks_its_end_is_judged_before_the_call_ends(tmp_path: Path) -> None:
    setup = Setup(policies=[make_policy()])
    async with calling(setup, tmp_path, FINE) as (proxy, origin):
        seen = await call(proxy, origin, GRPC, chunks(PROTECTED[:-12], ""))
        assert origin.seen == []
    assert (seen.headers["grpc-status"], seen.body) == ("7", b"")


async def test_a_message_that_a_client_may_not_get(tmp_path: Path) -> None:
    answer = Answer(body=frame(protobuf(HARMLESS)) + frame(protobuf(PROTECTED)), media_type=GRPC, chunked=True)
    setup = Setup(policies=[make_policy()])
    async with calling(setup, tmp_path, answer) as (proxy, origin):
        seen = await call(proxy, origin, GRPC, [frame(b"give me")])
    (alert,) = setup.recorder.alerts
    assert seen.body == frame(protobuf(HARMLESS))
    assert seen.trailers["grpc-status"] == "7"
    assert alert.incident in seen.trailers["x-safelight"]


@pytest.mark.parametrize(
    ("media_type", "flags", "told"),
    [
        ("application/grpc-web+proto", 0x80, b"grpc-status: 7\r\n"),
        ("application/connect+proto", 0x02, b'"permission_denied"'),
    ],
)
async def test_grpc_web_and_connect_say_it_in_the_body(
    media_type: str, flags: int, told: bytes, tmp_path: Path
) -> None:
    setup = Setup(policies=[make_policy()])
    answer = Answer(body=frame(protobuf(PROTECTED)), media_type=media_type, chunked=True)
    async with calling(setup, tmp_path, answer) as (proxy, origin):
        seen = await call(proxy, origin, media_type, [frame(b"give me")])
    assert seen.body[0] == flags
    assert told in seen.body
