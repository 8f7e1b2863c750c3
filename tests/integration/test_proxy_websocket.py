"""Web sockets through a real proxy: what is protected is stopped in both directions, all else passes as it was."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from pathlib import Path

import pytest
from wsproto.events import (
    BytesMessage,
    CloseConnection,
    Ping,
    Pong,
)

from shared.core.policy import OnUninspected
from shared.extract.pipeline import Extraction, Limits, Steps, extract_steps
from shared.types import Action, Direction, HttpMessage, Mode, UninspectedReason
from tests.factories import make_policy
from tests.proxies import MARK, DecodingJudge, KnowingJudge, Setup
from tests.websocket_ends import connected, png, raw

PROTECTED, HARMLESS = png(MARK), png(b"nothing")


def on(reason: UninspectedReason, action: Action) -> OnUninspected:
    return OnUninspected(by_reason={reason: action})


def booked(setup: Setup, outcome: str, direction: Direction = Direction.OUTBOUND) -> int:
    """Return the bytes that the coverage has of messages."""
    return int(setup.metrics.value("safelight_proxy_body_bytes_total", direction=direction, outcome=outcome))


def data_uri(image: bytes) -> str:
    return "data:image/png;base64," + base64.b64encode(image).decode()


WAYS: dict[str, Callable[[bytes], list[str | bytes]]] = {
    "binary": lambda image: [image],
    "base64 in JSON": lambda image: [json.dumps({"type": "image", "data": base64.b64encode(image).decode()})],
    "SignalR": lambda image: [json.dumps({"type": 1, "arguments": [data_uri(image)]}) + "\x1e" + '{"type":6}\x1e'],
    "SignalR in MessagePack": lambda image: [b"\x80\x10\x95\x01\x80\xc5" + len(image).to_bytes(2) + image],
    "socket.io": lambda image: ['451-["upload",{"file":{"_placeholder":true,"num":0}}]', image],
    "engine.io 3": lambda image: ['51-["upload",{"_placeholder":true,"num":0}]', b"\x04" + image],
    "engine.io in text": lambda image: ["b4" + base64.b64encode(image).decode()],
}


@pytest.mark.parametrize("way", WAYS)
async def test_what_a_client_sends(way: str, tmp_path: Path) -> None:
    setup = Setup(policies=[make_policy()])
    async with connected(setup, tmp_path) as ends:
        harmless = WAYS[way](HARMLESS)
        ends.client.send(*harmless, "between")
        assert [await ends.server.message() for _ in range(len(harmless) + 1)] == [*harmless, "between"]
        *before, last = WAYS[way](PROTECTED)
        ends.client.send(*before, last, "never arrives")
        assert [await ends.server.message() for _ in before] == before
        code, reason = await ends.server.close_code()
        assert (code, await ends.client.close_code()) == (1008, (code, reason))
    (alert,) = setup.recorder.alerts
    assert booked(setup, "inspected") + booked(setup, "streamed") == sum(
        len(raw(message)) for message in [*harmless, "between", *before, last]
    )
    assert booked(setup, "streamed") == len("between")
    assert alert.incident in reason
    assert (alert.enforced, alert.context.direction) == (Action.BLOCK, Direction.OUTBOUND)
    assert len(setup.judge.asked) == 2


async def test_what_a_server_sends(tmp_path: Path) -> None:
    setup = Setup(policies=[make_policy()])
    async with connected(setup, tmp_path) as ends:
        ends.server.send(HARMLESS, data_uri(PROTECTED), "never arrives")
        assert await ends.client.message() == HARMLESS
        assert (await ends.client.close_code())[0] == (await ends.server.close_code())[0] == 1008
    assert [alert.context.direction for alert in setup.recorder.alerts] == [Direction.INBOUND]


@pytest.mark.parametrize("deflate", [False, True])
async def test_a_picture_in_several_messages_waits_with_the_last(deflate: bool, tmp_path: Path) -> None:
    setup = Setup(policies=[make_policy()], judge=DecodingJudge())
    pieces = [PROTECTED[at : at + 1000] for at in range(0, len(PROTECTED), 1000)]
    async with connected(setup, tmp_path, deflate=deflate) as ends:
        for piece in pieces[:-1]:
            ends.client.send(piece, '{"sent": 1000}')
            assert [await ends.server.message(), await ends.server.message()] == [piece, '{"sent": 1000}']
        ends.client.send(pieces[-1])
        assert (await ends.server.close_code())[0] == 1008
    assert [part.data for part in setup.judge.asked] == [pieces[0], PROTECTED]
    assert booked(setup, "failed") == 0
    assert len(setup.recorder.alerts) == 1


@pytest.mark.parametrize("mode", [Mode.ENFORCE, Mode.MONITOR])
async def test_base64_in_several_messages_waits_with_the_last(mode: Mode, tmp_path: Path) -> None:
    setup = Setup(policies=[make_policy(mode=mode)], judge=DecodingJudge())
    text = base64.b64encode(PROTECTED).decode()
    pieces = [json.dumps({"seq": at, "data": text[at : at + 1000]}) for at in range(0, len(text), 1000)]
    last = json.dumps({"seq": len(text), "data": ""})
    async with connected(setup, tmp_path) as ends:
        for piece in pieces[:-1]:
            ends.client.send(piece, '{"sent": 1000}')
            assert [await ends.server.message(), await ends.server.message()] == [piece, '{"sent": 1000}']
        ends.client.send(pieces[-1], last)
        if mode is Mode.ENFORCE:
            assert (await ends.server.close_code())[0] == (await ends.client.close_code())[0] == 1008
        else:
            assert [await ends.server.message(), await ends.server.message()] == [pieces[-1], last]
            await ends.proxy.setup.background.finish(1.0)
    assert setup.judge.asked[-1].data == PROTECTED
    assert booked(setup, "failed") == 0
    (alert,) = setup.recorder.alerts
    assert alert.enforced is (Action.BLOCK if mode is Mode.ENFORCE else Action.ALLOW)


async def test_a_few_bytes_may_complete_a_picture(tmp_path: Path) -> None:
    setup = Setup(policies=[make_policy()], judge=DecodingJudge())
    async with connected(setup, tmp_path) as ends:
        ends.client.send(PROTECTED[:-6], PROTECTED[-6:])
        assert await ends.server.message() == PROTECTED[:-6]
        assert (await ends.server.close_code())[0] == 1008


async def test_a_picture_without_its_end_is_blocked_all_the_same(tmp_path: Path) -> None:
    setup = Setup(policies=[make_policy()])
    async with connected(setup, tmp_path) as ends:
        ends.client.send(PROTECTED[:-12])
        assert (await ends.server.close_code())[0] == 1008
    (alert,) = setup.recorder.alerts
    assert alert.enforced is Action.BLOCK


async def test_where_what_cannot_be_decoded_is_blocked_nothing_is_waited_for(tmp_path: Path) -> None:
    strict = make_policy(on_uninspected=on(UninspectedReason.UNDECODABLE, Action.BLOCK))
    setup = Setup(policies=[strict], judge=DecodingJudge())
    async with connected(setup, tmp_path) as ends:
        ends.client.send(HARMLESS[:1000])
        assert (await ends.server.close_code())[0] == 1008


async def test_a_picture_that_never_becomes_whole_is_judged_when_the_connection_ends(tmp_path: Path) -> None:
    setup = Setup(policies=[make_policy()])
    async with connected(setup, tmp_path) as ends:
        ends.client.send(PROTECTED[:1000], PROTECTED[1000:-1])
        assert await ends.server.message() == PROTECTED[:1000]
        assert await ends.server.message() == PROTECTED[1000:-1]
        ends.client.writer.write(ends.client.wire.send(CloseConnection(code=1000)))
        assert (await ends.server.close_code())[0] == 1000
        await ends.proxy.setup.background.finish(1.0)
    assert [part.data for part in setup.judge.asked] == [PROTECTED[:1000], PROTECTED[:-1]]
    (alert,) = setup.recorder.alerts
    assert alert.enforced is Action.ALLOW


@pytest.mark.parametrize("deflate", [False, True])
async def test_messages_pass_as_they_were(deflate: bool, tmp_path: Path) -> None:
    messages: list[str | bytes] = [
        "",
        b"",
        "ä€🙂",
        bytes(range(256)) * 4000,
        HARMLESS,
        data_uri(HARMLESS),
        "x" * 70_000,
    ]
    async with connected(Setup(policies=[make_policy()]), tmp_path, deflate=deflate) as ends:
        ends.client.send(*messages)
        assert [await ends.server.message() for _ in messages] == messages
        ends.server.send(*messages)
        assert [await ends.client.message() for _ in messages] == messages


async def test_frames_keep_their_boundaries(tmp_path: Path) -> None:
    async with connected(Setup(policies=[make_policy()]), tmp_path) as ends:
        ends.client.send_fragments(b"one", b"two!", b"")
        seen = [await ends.server.event() for _ in range(3)]
        assert [bytes(event.data) for event in seen if isinstance(event, BytesMessage)] == [b"one", b"two!", b""]


async def test_pings_go_through(tmp_path: Path) -> None:
    async with connected(Setup(policies=[make_policy()]), tmp_path) as ends:
        ends.client.writer.write(ends.client.wire.send(Ping(payload=b"1")))
        assert await ends.server.event() == Ping(payload=b"1")
        ends.server.writer.write(ends.server.wire.send(Pong(payload=b"1")))
        assert await ends.client.event() == Pong(payload=b"1")


@pytest.mark.parametrize("action", [Action.ALLOW, Action.BLOCK])
async def test_a_message_that_is_too_large(action: Action, tmp_path: Path) -> None:
    setup = Setup(policies=[make_policy(on_uninspected=on(UninspectedReason.TOO_LARGE, action))], max_object=10_000)
    fragments = [bytes([number]) * 6_000 for number in range(4)]
    async with connected(setup, tmp_path) as ends:
        ends.client.send_fragments(*fragments)
        if action is Action.BLOCK:
            assert (await ends.server.close_code())[0] == 1008
        else:
            assert await ends.server.message() == b"".join(fragments)
            ends.client.send("after")
            assert await ends.server.message() == "after"
    assert setup.metrics.value("safelight_proxy_uninspected_total", reason="too_large") == 1
    assert booked(setup, "failed") == (24_000 if action is Action.ALLOW else 12_000)


@pytest.mark.parametrize("action", [Action.ALLOW, Action.BLOCK])
async def test_what_is_collected_of_a_picture_is_bounded(action: Action, tmp_path: Path) -> None:
    setup = Setup(policies=[make_policy(on_uninspected=on(UninspectedReason.TOO_LARGE, action))], max_object=8_000)
    async with connected(setup, tmp_path) as ends:
        for start in range(0, 6_000, 1_500):
            ends.client.send(PROTECTED[start : start + 1_500])
        if action is Action.BLOCK:
            assert [await ends.server.message() for _ in range(2)] == [PROTECTED[:1_500], PROTECTED[1_500:3_000]]
            assert (await ends.server.close_code())[0] == 1008
        else:
            assert b"".join([raw(await ends.server.message()) for _ in range(4)]) == PROTECTED[:6_000]
    assert setup.metrics.value("safelight_proxy_limit_hits_total", limit="split_picture_bytes") == 1


async def test_monitored_messages_pass_at_once(tmp_path: Path) -> None:
    setup = Setup(policies=[make_policy(mode=Mode.MONITOR)], judge=KnowingJudge(delay=0.2))
    async with connected(setup, tmp_path) as ends:
        ends.client.send(PROTECTED)
        assert await ends.server.message() == PROTECTED
        assert setup.recorder.alerts == []
    assert [alert.finding.mode for alert in setup.recorder.alerts] == [Mode.MONITOR]
    assert booked(setup, "inspected") == len(PROTECTED)


async def test_without_a_policy_nothing_is_judged(tmp_path: Path) -> None:
    setup = Setup()
    async with connected(setup, tmp_path) as ends:
        ends.client.send(PROTECTED)
        assert await ends.server.message() == PROTECTED
    assert setup.judge.asked == []
    assert booked(setup, "streamed") == len(PROTECTED)


@pytest.mark.error_logs("stage judge failed")
@pytest.mark.parametrize("action", [Action.ALLOW, Action.BLOCK])
async def test_what_breaks_is_decided_by_the_policy(action: Action, tmp_path: Path) -> None:
    def broken(message: HttpMessage, limits: Limits) -> Steps[Extraction]:
        if message.body == PROTECTED:
            raise RuntimeError("broken")
        return extract_steps(message, limits)

    setup = Setup(policies=[make_policy(on_uninspected=OnUninspected(default=action))], extract=broken)
    async with connected(setup, tmp_path) as ends:
        ends.client.send(PROTECTED)
        if action is Action.BLOCK:
            assert (await ends.server.close_code())[0] == 1008
        else:
            assert await ends.server.message() == PROTECTED
