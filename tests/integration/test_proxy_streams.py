"""Streams through a real proxy: each event passes as it comes, but for the one that holds what is protected."""

from __future__ import annotations

import asyncio
import base64
import gzip
import json
import ssl
import struct
import zlib
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import h2.connection
import h2.events
import httpx
import pytest

from shared.core.policy import OnUninspected
from shared.types import Action, Direction, Mode, UninspectedReason
from tests.factories import make_policy
from tests.origins import Answer, Origin, Seen, TestAuthority, serve_origin
from tests.proxies import KnowingJudge, RunningProxy, Setup, make_image, serve_proxy

PROTECTED, HARMLESS = make_image(protected=True), make_image()
SSE = "text/event-stream"


def event(image: bytes) -> bytes:
    payload = {"type": "image", "b64_json": base64.b64encode(image).decode()}
    return b"event: partial\ndata: " + json.dumps(payload).encode() + b"\n\n"


def line(image: bytes) -> bytes:
    return json.dumps({"image": base64.b64encode(image).decode()}).encode() + b"\n"


def frame(data: bytes, flags: int = 0) -> bytes:
    return bytes((flags,)) + struct.pack(">I", len(data)) + data


def protobuf(image: bytes) -> bytes:
    return b"\x0a" + bytes((len(image) & 127 | 128, len(image) >> 7)) + image


def booked(setup: Setup, direction: Direction) -> dict[str, int]:
    """Return the bytes that the coverage has, by outcome."""
    name = "safelight_proxy_body_bytes_total"
    outcomes = ("inspected", "streamed", "failed")
    amounts = {each: int(setup.metrics.value(name, direction=direction, outcome=each)) for each in outcomes}
    return {each: amount for each, amount in amounts.items() if amount}


@dataclass
class Stream:
    """A response that the test writes, and how the client reads it."""

    response: httpx.Response
    writer: asyncio.StreamWriter
    setup: Setup
    _read: AsyncIterator[bytes] = field(init=False)
    _left: bytes = b""

    def __post_init__(self) -> None:
        self._read = self.response.aiter_raw()

    def send(self, data: bytes) -> None:
        self.writer.write(b"%x\r\n%b\r\n" % (len(data), data))

    def end(self) -> None:
        self.writer.write(b"0\r\n\r\n")

    async def receive(self, size: int) -> bytes:
        while len(self._left) < size:
            self._left += await anext(self._read)
        taken, self._left = self._left[:size], self._left[size:]
        return taken

    async def rest(self) -> bytes:
        return self._left + b"".join([piece async for piece in self._read])


@asynccontextmanager
async def streaming(setup: Setup, tmp_path: Path, media_type: str, coding: str = "") -> AsyncIterator[Stream]:
    writers: list[asyncio.StreamWriter] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        head = f"HTTP/1.1 200 OK\r\nContent-Type: {media_type}\r\nTransfer-Encoding: chunked\r\n"
        writer.write((head + (f"Content-Encoding: {coding}\r\n" if coding else "") + "\r\n").encode())
        writers.append(writer)

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/events"
    async with (
        asyncio.timeout(20),
        server,
        serve_proxy(setup, tmp_path) as proxy,
        proxy.client() as client,
        client.stream("GET", url) as response,
    ):
        try:
            yield Stream(response, writers[0], setup)
        finally:
            writers[0].close()


@pytest.mark.parametrize("media_type", [SSE, "application/x-ndjson"])
async def test_only_the_unit_with_the_image_is_left_out(media_type: str, tmp_path: Path) -> None:
    make = event if media_type == SSE else line
    setup = Setup(policies=[make_policy()])
    async with streaming(setup, tmp_path, media_type) as stream:
        for passing in (b"data: hello\n\n" if media_type == SSE else b'{"a": 1}\n', make(HARMLESS)):
            stream.send(passing)
            assert await stream.receive(len(passing)) == passing
        blocked, after = make(PROTECTED), make(HARMLESS)
        stream.send(blocked[:50])
        stream.send(blocked[50:] + after)
        stream.end()
        rest = await stream.rest()
    (alert,) = setup.recorder.alerts
    assert rest.endswith(after)
    told = rest.removesuffix(after).decode()
    assert told == "" if media_type != SSE else told.startswith(": block; ")
    assert media_type != SSE or alert.incident in told
    assert (alert.enforced, alert.context.direction) == (Action.BLOCK, Direction.INBOUND)
    assert list(booked(setup, Direction.INBOUND)) == ["inspected"]


@pytest.mark.parametrize("protected", [False, True])
async def test_a_coded_stream_passes_as_it_came_or_breaks_off(protected: bool, tmp_path: Path) -> None:
    setup = Setup(policies=[make_policy()])
    writer = zlib.compressobj(wbits=31)

    def coded(data: bytes) -> bytes:
        return writer.compress(data) + writer.flush(zlib.Z_SYNC_FLUSH)

    async with streaming(setup, tmp_path, SSE, "gzip") as stream:
        first, second = coded(event(HARMLESS)), coded(event(PROTECTED if protected else HARMLESS))
        stream.send(first)
        assert await stream.receive(len(first)) == first
        stream.send(second)
        if protected:
            with pytest.raises(httpx.RemoteProtocolError):
                await stream.rest()
        else:
            stream.end()
            assert await stream.rest() == second
    assert len(setup.recorder.alerts) == int(protected)


async def test_what_is_left_at_the_end_is_judged_too(tmp_path: Path) -> None:
    setup = Setup(policies=[make_policy()])
    async with streaming(setup, tmp_path, SSE) as stream:
        stream.send(event(PROTECTED).rstrip())
        stream.end()
        assert (await stream.rest()).startswith(b": block")


async def test_monitored_streams_do_not_wait(tmp_path: Path) -> None:
    setup = Setup(policies=[make_policy(mode=Mode.MONITOR)], judge=KnowingJudge(delay=0.2))
    async with streaming(setup, tmp_path, SSE) as stream:
        stream.send(event(PROTECTED))
        assert await stream.receive(len(event(PROTECTED))) == event(PROTECTED)
        assert setup.recorder.alerts == []
        stream.end()
        await stream.rest()
    assert [alert.finding.mode for alert in setup.recorder.alerts] == [Mode.MONITOR]


@pytest.mark.parametrize("action", [Action.ALLOW, Action.BLOCK])
async def test_an_event_that_is_too_large(action: Action, tmp_path: Path) -> None:
    policy = make_policy(on_uninspected=OnUninspected(by_reason={UninspectedReason.TOO_LARGE: action}))
    setup = Setup(policies=[policy], max_object=1000)
    large = b"data: " + b"x" * 5000 + b"\n\n"
    async with streaming(setup, tmp_path, SSE) as stream:
        stream.send(large[:2000])
        stream.send(large[2000:] + b"data: after\n\n")
        stream.end()
        rest = await stream.rest()
    assert rest.endswith(b"data: after\n\n")
    assert (large in rest) == (action is Action.ALLOW)
    assert setup.metrics.value("safelight_proxy_uninspected_total", reason="too_large") == 1
    assert list(booked(setup, Direction.INBOUND)) == ["failed"]


async def test_what_cannot_be_read_is_decided_by_the_policy(tmp_path: Path) -> None:
    policy = make_policy(on_uninspected=OnUninspected(by_reason={UninspectedReason.OPAQUE: Action.ALLOW}))
    setup = Setup(policies=[policy])
    async with streaming(setup, tmp_path, SSE, "secret") as stream:
        stream.send(event(PROTECTED))
        stream.send(event(PROTECTED))
        stream.end()
        assert await stream.rest() == event(PROTECTED) * 2
    assert setup.metrics.value("safelight_proxy_uninspected_total", reason="opaque") == 1


async def test_without_a_policy_nothing_is_cut(tmp_path: Path) -> None:
    setup = Setup()
    async with streaming(setup, tmp_path, SSE) as stream:
        stream.send(event(PROTECTED)[:100])
        assert await stream.receive(100) == event(PROTECTED)[:100]
    assert setup.judge.asked == []


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
