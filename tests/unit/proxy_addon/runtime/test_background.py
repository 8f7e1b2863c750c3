"""Work behind the flow's back, bounded."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy_addon.runtime.background import Background, BodyCopy


@given(st.lists(st.binary(max_size=20), max_size=20), st.integers(0, 100))
def test_a_copy_is_the_body_or_nothing(chunks: list[bytes], limit: int) -> None:
    copy = BodyCopy(limit)
    assert [copy.feed(chunk) for chunk in chunks] == chunks
    body = b"".join(chunks)
    assert copy.is_whole == (len(body) <= limit)
    assert copy.body() == (body if copy.is_whole else b"")


async def test_room_is_given_back() -> None:
    background, ready = Background(transfers=2, size=100), asyncio.Event()

    async def work() -> None:
        await ready.wait()

    background.start(work(), 60)
    assert background.has_room(40)
    assert not background.has_room(41)
    background.start(work(), 0)
    assert not background.has_room(0)
    ready.set()
    await background.finish(5.0)
    await asyncio.gather(*asyncio.all_tasks() - {asyncio.current_task()})
    assert background.has_room(100)


async def test_what_does_not_end_is_cancelled() -> None:
    background, cancelled = Background(), asyncio.Event()

    async def work() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.set()

    background.start(work(), 1)
    await background.finish(0.01)
    await cancelled.wait()


@pytest.mark.error_logs("that had passed failed")
async def test_an_error_is_logged_and_gives_its_room_back() -> None:
    background = Background(transfers=1)

    async def broken() -> None:
        raise RuntimeError("a bug")

    background.start(broken(), 1)
    await background.finish(5.0)
    assert background.has_room(1)
