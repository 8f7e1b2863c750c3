"""Connecting at a role's start, for as long as it takes.

A store or a bus that is away at the start is no mistake of the configuration: the role stays up, not ready, and tries
again.  Exiting would make an orchestrator restart it in a loop, at a pace that is not ours.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable
from typing import Final

from shared.errors import BusError, StoreError

RETRY_FIRST: Final = 0.2
RETRY_MOST: Final = 5.0

_log = logging.getLogger(__name__)


async def started(
    what: str, start: Callable[[], Awaitable[None]], stopping: asyncio.Event, *, first: float = RETRY_FIRST
) -> bool:
    """Return True once ``start`` has succeeded, False where ``stopping`` was set before.

    Tries again after StoreError and BusError, each time after twice as long, ``RETRY_MOST`` seconds at most; everything
    else (ConfigError above all) is raised.
    """
    pause = first
    while not stopping.is_set():
        try:
            await start()
        except (StoreError, BusError) as error:
            _log.warning("%s is not there yet, trying again in %.1f s: %s", what, pause, error)
        else:
            return True
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(stopping.wait(), pause)
        pause = min(pause * 2, RETRY_MOST)
    return False
