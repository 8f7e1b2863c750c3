"""Waiting with an end."""

from __future__ import annotations

import asyncio
import logging

import pytest

from proxy_addon.runtime.waiting import at_most, until


async def test_until_something_holds_or_time_is_over() -> None:
    looks = iter([False, False, True])
    assert await until(lambda: next(looks), 5.0)
    assert not await until(lambda: False, 0.0)


async def test_work_that_takes_too_long_goes_on_alone(caplog: pytest.LogCaptureFixture) -> None:
    go, done = asyncio.Event(), asyncio.Event()

    async def work() -> None:
        await go.wait()
        done.set()

    with caplog.at_level(logging.WARNING):
        await at_most(0.01, "closing", work())
    assert "closing takes longer" in caplog.text
    go.set()
    await done.wait()


async def test_an_error_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    async def work() -> None:
        raise OSError("no")

    with caplog.at_level(logging.WARNING):
        await at_most(5.0, "closing", work())
    assert "closing failed: no" in caplog.text
