"""Streams through a real proxy: each event passes as it comes, but for the one that holds what is protected."""

from __future__ import annotations

import asyncio
import base64
import json
import zlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import pytest

from shared.core.policy import OnUninspected
from shared.types import Action, Direction, Mode, UninspectedReason
from tests.factories import make_policy
from tests.proxies import MARK, DecodingJudge, KnowingJudge, Setup, serve_proxy
from tests.websocket_ends import png

PROTECTED, HARMLESS = png(MARK), png(b"nothing")
SSE = "text/event-stream"


def event(image: bytes) -> bytes:
    payload = {"type": "image", "b64_json": base64.b64encode(image).decode()}
    return b"event: partial\ndata: " + json.dumps(payload).encode() + b"\n\n"


def line(image: bytes) -> bytes:
    return json.dumps({"image": base64.b64encode(image).decode()}).encode() + b"\n"


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


@pytest.mark.parametrize("lines_of_one_event", [False, True])
async def test_base64_in_several_events_or_lines(lines_of_one_event: bool, tmp_path: Path) -> None:
    setup = Setup(policies=[make_policy()], judge=DecodingJudge())
    text = base64.b64encode(PROTECTED).decode()
    lines = [f"data: {text[at : at + 1000]}\n" for at in range(0, len(text), 1000)]
    events = ["".join(lines) + "\n"] if lines_of_one_event else [each + "\n" for each in lines]
    async with streaming(setup, tmp_path, SSE) as stream:
        for each in events:
            stream.send(each.encode())
        stream.end()
        *before, last = events
        rest = await stream.rest()
    assert rest.startswith("".join(before).encode() + b": block; ")
    assert last.encode() not in rest
    (alert,) = setup.recorder.alerts
    assert alert.enforced is Action.BLOCK
    assert list(booked(setup, Direction.INBOUND)) == ["inspected"]
