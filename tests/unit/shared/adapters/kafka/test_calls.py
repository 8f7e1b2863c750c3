"""The bound holds even where a call swallows its cancellation."""

from __future__ import annotations

import asyncio

import pytest
from aiokafka.errors import KafkaConnectionError, KafkaError, MessageSizeTooLargeError

from shared.adapters.kafka.calls import bounded, closed
from shared.errors import BusError, BusTimeoutError


async def fail_with(error: Exception) -> None:
    raise error


async def swallow_cancellation(release: asyncio.Event) -> None:
    while not release.is_set():
        try:
            await release.wait()
        except asyncio.CancelledError:
            continue


async def test_a_result_comes_through() -> None:
    async def call() -> str:
        return "result"

    assert await bounded(call(), 1, "it failed") == "result"


async def test_a_call_that_swallows_its_cancellation_is_left_behind() -> None:
    release = asyncio.Event()
    with pytest.raises(BusTimeoutError, match="it failed"):
        await bounded(swallow_cancellation(release), 0, "it failed")
    await closed(swallow_cancellation(release), 0, "it")
    release.set()


async def test_a_cancelled_caller_cancels_the_call() -> None:
    began, ended = asyncio.Event(), asyncio.Event()

    async def call() -> None:
        began.set()
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    caller = asyncio.get_running_loop().create_task(bounded(call(), 60, "it failed"))
    await began.wait()
    caller.cancel()
    with pytest.raises(asyncio.CancelledError):
        await caller
    await ended.wait()


@pytest.mark.parametrize(
    ("raised", "expected"),
    [
        (KafkaConnectionError("gone"), BusTimeoutError),
        (MessageSizeTooLargeError("too large"), BusError),
        (KafkaError(), BusError),
        (AssertionError("no brokers in metadata"), BusError),
        (OSError("network"), BusError),
    ],
)
async def test_kafkas_errors_become_bus_errors(raised: Exception, expected: type[BusError]) -> None:
    with pytest.raises(BusError, match="it failed") as caught:
        await bounded(fail_with(raised), 1, "it failed")
    assert type(caught.value) is expected
    await closed(fail_with(raised), 1, "it")
