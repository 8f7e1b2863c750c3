"""Bounds for aiokafka's calls, several of which can wait for ever while brokers are down.

``asyncio.wait_for`` is not enough: aiokafka swallows a cancellation in places (``AIOKafkaClient.close`` suppresses it
while it waits for its metadata task), and ``wait_for`` would then wait with it.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine
from contextvars import Context
from typing import Any, Final

from aiokafka.errors import (
    ConsumerStoppedError,
    IllegalOperation,
    KafkaConnectionError,
    KafkaError,
    KafkaTimeoutError,
    NodeNotReadyError,
    RequestTimedOutError,
)

from shared.errors import BusError, BusTimeoutError

_logger = logging.getLogger(__name__)
if logging.getLogger("aiokafka").level == logging.NOTSET:
    # aiokafka logs every retry of its own as an error, ten a second while a broker is away.  What it does not settle by
    # itself reaches us as an exception or as a ping without an answer, and is logged once, by us.
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)
_abandoned: Final[set[asyncio.Task[Any]]] = set()

UNREACHABLE: Final = (KafkaConnectionError, KafkaTimeoutError, NodeNotReadyError, RequestTimedOutError)
# AssertionError: aiokafka asserts what it expects to find in a cluster's metadata.
KAFKA_ERRORS: Final = (KafkaError, ConsumerStoppedError, IllegalOperation, OSError, AssertionError)


async def bounded[T](
    call: Coroutine[Any, Any, T], timeout: float, failure: str, *, context: Context | None = None
) -> T:
    """Return what ``call`` returns, or raise within ``timeout`` seconds whatever it does.

    Raises BusTimeoutError, or BusError with Kafka's own words after ``failure``.
    """
    task = asyncio.get_running_loop().create_task(call, context=context)
    try:
        await asyncio.wait([task], timeout=timeout)
    finally:
        if not task.done():
            _abandon(task)
    if not task.done() or task.cancelled():
        raise BusTimeoutError(f"{failure}: no answer within {timeout:g} s")
    try:
        return task.result()
    except UNREACHABLE as error:
        raise BusTimeoutError(f"{failure}: {error or type(error).__name__}") from error
    except KAFKA_ERRORS as error:
        raise BusError(f"{failure}: {error or type(error).__name__}") from error


async def closed(call: Coroutine[Any, Any, None], timeout: float, what: str) -> None:
    """Close something within ``timeout`` seconds; what goes wrong is logged, for there is nothing left to do."""
    try:
        await bounded(call, timeout, f"{what} did not close")
    except BusError as error:
        _logger.warning("%s", error)


def _abandon(task: asyncio.Task[Any]) -> None:
    """Cancel a task and keep it until it has ended, so that its end is not an error of its own."""
    task.cancel()
    _abandoned.add(task)
    task.add_done_callback(_ended)


def _ended(task: asyncio.Task[Any]) -> None:
    _abandoned.discard(task)
    if not task.cancelled() and (error := task.exception()) is not None:
        _logger.debug("an abandoned call ended: %r", error)
