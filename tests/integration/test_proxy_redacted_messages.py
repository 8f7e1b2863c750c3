"""Messages of sockets and units of streams whose pictures are obscured on their way, where their framing allows it."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import Callable
from pathlib import Path
from typing import Final

import pytest

from shared.types import Action, Direction, Part, RedactionOrder
from tests.factories import make_policy
from tests.origins import Answer, serve_origin
from tests.proxies import MARK, Setup, make_image, serve_proxy
from tests.websocket_ends import Connected, connected, png, raw

BOX: Final = b"[a black box, longer than the mark]"
PROTECTED: Final = png(MARK)
REDACTED: Final = PROTECTED.replace(MARK, BOX)
POLICY: Final = make_policy(action=Action.REDACT, deadline_ms=20_000)


class MarkRemover:
    """Obscures an image by taking its mark out."""

    async def redact(self, part: Part, order: RedactionOrder, deadline: float) -> bytes:
        return part.data.replace(MARK, BOX)


def make_setup() -> Setup:
    return Setup(policies=[POLICY], obscurer=MarkRemover())


def coded(image: bytes) -> str:
    return base64.b64encode(image).decode()


Write = Callable[[bytes], str | bytes]
CHANGED: dict[str, Write] = {
    "binary": lambda image: image,
    "engine.io 3": lambda image: b"\x04" + image,
    "base64 in JSON": lambda image: json.dumps({"type": "image", "data": coded(image), "note": "\u20ac"}),
    "SignalR": lambda image: json.dumps({"arguments": [f"data:image/png;base64,{coded(image)}"]}) + "\x1e{}\x1e",
    "engine.io in text": lambda image: "b4" + coded(image),
}
CLOSED: dict[str, Write] = {
    "MessagePack": lambda image: b"\x80\x10\xc5" + len(image).to_bytes(2) + image,
    "protobuf": lambda image: b"\x0a" + bytes((len(image) & 127 | 128, len(image) >> 7)) + image,
}


@pytest.mark.parametrize("deflate", [False, True])
@pytest.mark.parametrize("way", CHANGED)
async def test_a_message_goes_on_with_an_obscured_picture(way: str, deflate: bool, tmp_path: Path) -> None:
    setup, write = make_setup(), CHANGED[way]
    async with connected(setup, tmp_path, deflate=deflate) as ends:
        for sender, receiver in ((ends.client, ends.server), (ends.server, ends.client)):
            sender.send("before", write(PROTECTED), "after")
            assert [await receiver.message() for _ in range(3)] == ["before", write(REDACTED), "after"]
    assert [alert.enforced for alert in setup.recorder.alerts] == [Action.REDACT] * 2
    assert counted(setup) == {"redacted": 1, "blocked": 0}
    size = len(raw(write(PROTECTED)))
    assert booked(setup) == size


@pytest.mark.parametrize("way", CLOSED)
async def test_a_message_with_lengths_of_its_own_ends_the_connection(way: str, tmp_path: Path) -> None:
    setup = make_setup()
    async with connected(setup, tmp_path) as ends:
        ends.client.send(CLOSED[way](PROTECTED))
        await is_refused(ends)
    assert setup.recorder.alerts[0].finding.note == "not redacted: not_possible_here"
    assert counted(setup) == {"redacted": 0, "blocked": 1}


async def test_the_beginning_of_a_picture_that_is_to_be_redacted_does_not_pass(tmp_path: Path) -> None:
    setup, beginning = make_setup(), PROTECTED.removesuffix(b"IEND" + bytes(4))
    async with connected(setup, tmp_path) as ends:
        ends.client.send(beginning)
        await is_refused(ends)
    assert [alert.enforced for alert in setup.recorder.alerts] == [Action.BLOCK]


async def is_refused(ends: Connected) -> None:
    code, reason = await ends.server.close_code()
    assert (code, await ends.client.close_code()) == (1008, (code, reason))


def counted(setup: Setup) -> dict[str, int]:
    name = "safelight_proxy_messages_total"
    return {
        outcome: int(setup.metrics.value(name, direction=Direction.OUTBOUND, outcome=outcome))
        for outcome in ("redacted", "blocked")
    }


def booked(setup: Setup) -> int:
    return int(
        setup.metrics.value("safelight_proxy_body_bytes_total", direction=Direction.OUTBOUND, outcome="inspected")
    )


def event(image: bytes) -> bytes:
    return b"event: partial\nid: 7\ndata: " + json.dumps({"b64_json": coded(image)}).encode() + b"\n\n"


def line(image: bytes) -> bytes:
    return json.dumps({"image": coded(image)}).encode() + b"\n"


@pytest.mark.parametrize(("media_type", "write"), [("text/event-stream", event), ("application/x-ndjson", line)])
async def test_a_stream_goes_on_with_an_obscured_picture(
    media_type: str, write: Callable[[bytes], bytes], tmp_path: Path
) -> None:
    setup, other = make_setup(), make_image(3000)
    body = write(other) + write(PROTECTED) + write(other)
    async with (
        asyncio.timeout(60),
        serve_origin(lambda _: Answer(body=body, media_type=media_type, chunked=True)) as origin,
        serve_proxy(setup, tmp_path) as proxy,
        proxy.client() as client,
    ):
        answer = await client.get(f"http://127.0.0.1:{origin.port}/events")
    assert answer.content == write(other) + write(REDACTED) + write(other)
    assert [alert.enforced for alert in setup.recorder.alerts] == [Action.REDACT]
