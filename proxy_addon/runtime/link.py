"""The way to the store and the bus: tried at the start, and for as long as it takes."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Final

from shared.adapters.lease import Lease
from shared.errors import BusError, LeaseHeldError, StoreError
from shared.ports import AskingBus, Store

RETRY_SECONDS: Final = 0.5
FIRST_TRY_SECONDS: Final = 6.0
"""A lease whose holder died on another machine is waited for: 5 seconds."""
_log = logging.getLogger(__name__)


class Link:
    """Store, then the lease on the reply partition, then the bus, which stands at that partition."""

    def __init__(
        self, store: Store, lease: Lease, bus: AskingBus, instance: int, *, retry: float = RETRY_SECONDS
    ) -> None:
        self._store = store
        self._lease = lease
        self._bus = bus
        self._instance = instance
        self._retry = retry
        self._tried = asyncio.Event()
        self._up = asyncio.Event()

    def up(self) -> bool:
        """Tell whether questions can be asked."""
        return self._up.is_set() and self._bus.connected()

    async def connect(self) -> None:
        """Connect, trying again for ever, and stay for as long as the reply partition is ours.

        Raises ConfigError: another proxy holds the lease, or a ``local://`` bus has no hub.
        """
        try:
            await self._persist("the store", self._store.start)
            await self._persist("the lease", self._lease.acquire)
            await self._persist("the bus", lambda: self._bus.start(self._instance))
            self._up.set()
        finally:
            self._tried.set()
        await self._lease.lost.wait()
        raise LeaseHeldError(f"reply partition {self._instance} went to another proxy: this one stops")

    async def first_try(self) -> None:
        """Return once ``connect`` has succeeded or met its first failure."""
        with suppress(TimeoutError):
            await asyncio.wait_for(self._tried.wait(), FIRST_TRY_SECONDS)

    async def connected(self) -> None:
        """Return once ``connect`` has succeeded."""
        await self._up.wait()

    async def _persist(self, what: str, step: Callable[[], Awaitable[object]]) -> None:
        while True:
            try:
                await step()
                return
            except (StoreError, BusError) as error:
                if not self._tried.is_set():
                    _log.warning("%s is not there yet, on_uninspected applies: %s", what, error)
                self._tried.set()
            await asyncio.sleep(self._retry)
