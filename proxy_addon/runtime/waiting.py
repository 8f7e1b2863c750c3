"""Waiting with an end."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Final

_POLL_SECONDS: Final = 0.01
_log = logging.getLogger(__name__)


async def until(condition: Callable[[], bool], timeout: float) -> bool:
    """Return True once ``condition`` holds, False after ``timeout`` seconds: for conditions that no event announces."""
    loop = asyncio.get_running_loop()
    end = loop.time() + timeout
    while not condition():
        if loop.time() >= end:
            return False
        await asyncio.sleep(_POLL_SECONDS)
    return True


async def at_most(seconds: float, what: str, work: Awaitable[object]) -> None:
    """Wait for ``work`` no longer than ``seconds``; it is left alone then, not cancelled.  Its errors are logged."""
    task = asyncio.ensure_future(work)  # noqa: TID251 - kept here, and its error is read
    done, _ = await asyncio.wait({task}, timeout=seconds)
    if not done:
        _log.warning("%s takes longer than %s s: not waited for", what, seconds)
        task.add_done_callback(lambda late: late.cancelled() or late.exception())
    elif (error := task.exception()) is not None:
        _log.warning("%s failed: %s", what, error)
