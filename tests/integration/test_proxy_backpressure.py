"""A sender that does not wait for the verdict is not read from, and loses nothing."""

from __future__ import annotations

import asyncio
import base64
import json
from pathlib import Path

from proxy_addon.runtime.backpressure import MAX_QUEUED_BYTES
from proxy_addon.runtime.waiting import until
from tests.factories import make_policy
from tests.origins import Answer, serve_origin
from tests.proxies import GatedJudge, Setup, serve_proxy
from tests.websocket_ends import connected, png

MESSAGE = "a line of text " * 70_000
COUNT = 60
PATIENCE = 60.0


def hits(setup: Setup) -> float:
    return setup.metrics.value("safelight_proxy_limit_hits_total", limit="flow_queue")


async def test_a_socket_is_not_read_from_while_too_much_of_it_waits(tmp_path: Path) -> None:
    judge = GatedJudge()
    setup = Setup(policies=[make_policy(deadline_ms=60_000)], judge=judge, max_object=1 << 22)
    total = COUNT * len(MESSAGE)
    async with connected(setup, tmp_path) as ends:
        ends.client.send(png(b"nothing"), *[MESSAGE] * COUNT)
        await judge.was_asked.wait()
        assert await until(lambda: hits(setup) == 1, PATIENCE)
        unsent: list[int] = [-1]

        def is_still() -> bool:
            unsent.append(ends.client.writer.transport.get_write_buffer_size())
            return unsent[-1] == unsent[-2]

        assert await until(is_still, PATIENCE)
        assert unsent[-1] > total - MAX_QUEUED_BYTES - (24 << 20), "the rest of it fits into the sockets' own buffers"
        judge.gate.set()
        assert await ends.server.message() == png(b"nothing")
        assert [await ends.server.message() for _ in range(COUNT)] == [MESSAGE] * COUNT
    assert hits(setup) >= 1
    assert setup.recorder.alerts == []


async def test_a_server_s_stream_waits_as_well(tmp_path: Path) -> None:
    judge = GatedJudge()
    setup = Setup(policies=[make_policy(deadline_ms=60_000)], judge=judge, max_object=1 << 22)
    first = json.dumps({"image": base64.b64encode(png(b"nothing")).decode()}) + "\n"
    body = (first + f"{json.dumps({'text': MESSAGE})}\n" * 30).encode()
    answer = Answer(body=body, media_type="application/x-ndjson", chunked=True)
    async with (
        asyncio.timeout(2 * PATIENCE),
        serve_origin(lambda _: answer) as origin,
        serve_proxy(setup, tmp_path) as proxy,
        proxy.client() as client,
    ):
        asked = asyncio.create_task(client.get(f"http://127.0.0.1:{origin.port}/lines"))
        assert await until(lambda: hits(setup) == 1, PATIENCE)
        judge.gate.set()
        assert (await asked).content == body
