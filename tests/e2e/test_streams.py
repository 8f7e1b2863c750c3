"""Thousands of uploads over a few HTTP/2 connections: each has its answer, and none leaves memory behind.

mitmproxy kept every stream of a connection until its client left (mitmproxy#4456).
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import httpx
import pytest

from tests.e2e.deployment import URL, Embedded
from tests.e2e.endurance import STRICT, running
from tests.e2e.memory_watch import megabytes
from workers.training.drawing import draw
from workers.training.edits import encode

STREAMS: Final = 4
"""At once on a connection."""
WARM: Final = 200
"""Uploads on a connection after which every cache is filled, and what is kept at all of ended streams begins."""
SPARE_MB: Final = 8.0
"""Arenas of the allocator, whatever the number of streams."""
STREAM_KB: Final = 2.0
"""What an ended stream may leave behind on top: hyper-h2 and mitmproxy remember its number, 0.4 KB with the heap's
pieces.  It was 2.8 while the layer around the tunnel kept connections to origins, 70 to 87 while both layers did."""
SECRET, PUBLIC, TEXT = "secret.jpg", "public.jpg", "notes.txt"
BODIES: Final = {
    SECRET: encode(draw("poster", 100, size=(240, 180))),
    PUBLIC: encode(draw("dashboard", 200, size=(240, 180))),
    TEXT: b"line of text\n" * 50,
}
ANSWERS: Final = {SECRET: 403, PUBLIC: 201, TEXT: 201}


async def upload_all(client: httpx.AsyncClient, names: Iterator[str]) -> int:
    """Upload one after the other; return how many were answered."""
    answered = 0
    for name in names:
        response = await client.post(URL, content=BODIES[name])
        assert (response.http_version, response.status_code) == ("HTTP/2", ANSWERS[name]), (name, response.text)
        answered += 1
    return answered


async def upload(clients: list[httpx.AsyncClient], uploads: int) -> int:
    """Share uploads among connections, some streams on each at once; return how many were answered."""
    names = (tuple(BODIES)[number % len(BODIES)] for number in range(uploads))
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(upload_all(client, names)) for client in clients for _ in range(STREAMS)]
    return sum(task.result() for task in tasks)


@pytest.mark.e2e
@pytest.mark.parametrize(
    ("uploads", "connections"),
    [
        pytest.param(1_000, 1, marks=pytest.mark.timeout(240)),
        pytest.param(10_000, 4, marks=[pytest.mark.soak, pytest.mark.timeout(900)]),
    ],
)
async def test_uploads_by_the_thousand_leave_memory_where_it_was(
    tmp_path: Path, uploads: int, connections: int
) -> None:
    deployment = Embedded(tmp_path)
    with running(deployment):
        deployment.protect("designs", {SECRET: BODIES[SECRET]})
        deployment.apply({**STRICT, "deadline_ms": 20_000})  # on a machine that does much else: how soon is not asked
        clients = [
            httpx.AsyncClient(
                proxy=deployment.proxy,
                verify=deployment.trust(),
                http2=True,
                timeout=60,
                trust_env=False,
                limits=httpx.Limits(max_connections=1),
            )
            for _ in range(connections)
        ]
        try:
            assert await upload(clients, WARM * connections) == WARM * connections
            before = megabytes(deployment.pid("proxy"))
            assert await upload(clients, uploads) == uploads
            after = megabytes(deployment.pid("proxy"))
        finally:
            for client in clients:
                await client.aclose()
    print(f"{uploads} uploads over {connections} connection(s): the proxy had {before:.1f} MB, has {after:.1f} MB")
    assert after - before < SPARE_MB + uploads * STREAM_KB / 1000
