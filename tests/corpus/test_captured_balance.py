"""Recorded bodies through a running proxy, both ways: every byte is booked once, and arrives as it was sent."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

import pytest

from proxy_addon.runtime.waiting import until
from shared.types import Direction
from tests.balances import Balance
from tests.corpus.captures import Body, bodies
from tests.factories import make_policy
from tests.origins import Answer, Seen, serve_origin
from tests.proxies import Setup, serve_proxy

pytestmark = [pytest.mark.corpus, pytest.mark.timeout(300)]

MAX_OBJECT: Final = 256 << 10
"""So that some are too large to be held."""


def fields(body: Body) -> tuple[str, tuple[tuple[str, str], ...]]:
    """Return what can be sent of its Content-Type, and its other headers."""
    media_type, coding = (re.sub(r"[^\x21-\x7e]+", " ", value).strip() for value in body[1:])
    return media_type or "application/octet-stream", (("content-encoding", coding),) if coding else ()


async def test_the_balance_of_recorded_traffic_closes(corpus: Path, tmp_path: Path) -> None:
    setup = Setup(policies=[make_policy(deadline_ms=60_000)], max_object=MAX_OBJECT)
    current: list[Body] = []

    def answer(_: Seen) -> Answer:
        media_type, others = fields(current[-1])
        return Answer(body=current[-1][0], media_type=media_type, headers=others, chunked=len(current) % 2 == 0)

    sent = 0
    async with serve_origin(answer) as origin, serve_proxy(setup, tmp_path) as proxy, proxy.client() as client:
        for _, body in bodies(corpus):
            current.append(body)
            media_type, others = fields(body)
            headers = dict((("content-type", media_type), *others))
            url = f"http://127.0.0.1:{origin.port}/{len(current)}"
            async with client.stream("POST", url, content=body[0], headers=headers) as reply:
                assert b"".join([chunk async for chunk in reply.aiter_raw()]) == body[0]
            assert origin.seen.pop().body == body[0]
            sent += len(body[0])
        booked = await Balance(setup).settled()
        assert [Balance(setup).received(each) for each in Direction] == [sent, sent]
        assert {reason for _, reason in booked} >= {"inspected", "streamed", "too_large"}
        assert await until(lambda: proxy.addon.in_flight == 0, 20)
