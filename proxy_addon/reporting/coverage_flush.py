"""Moves the ledger's hours into the store, every few seconds and once more at the end."""

from __future__ import annotations

import asyncio
import logging
from typing import Final
from uuid import uuid4

from proxy_addon.reporting.ledger import Ledger
from shared.adapters.coverage_store import CoverageStore
from shared.core.coverage import Count, hour_of
from shared.errors import StoreError
from shared.ports import Clock
from shared.telemetry import Metrics

FLUSH_SECONDS: Final = 5.0
"""What a proxy that is killed has not yet told anybody."""
_log = logging.getLogger(__name__)


class CoverageFlush:
    """While the store is down the hours wait in the ledger."""

    def __init__(self, ledger: Ledger, store: CoverageStore, clock: Clock, metrics: Metrics, instance: int) -> None:
        self._ledger = ledger
        self._store = store
        self._clock = clock
        self._metrics = metrics
        self._instance = instance
        self._run = uuid4().hex
        self._written: dict[int, Count] = {}
        self._registered = False
        self._failing = False

    async def run(self) -> None:
        """Flush for ever."""
        while True:
            await asyncio.sleep(FLUSH_SECONDS)
            await self.flush()

    async def flush(self) -> None:
        """Write what has changed; an hour that is over leaves the memory."""
        present = hour_of(self._clock.wall())
        try:
            for hour, table in self._ledger.hours().items():
                state = table.size()
                if self._written.get(hour) != state:
                    if not self._registered:
                        await self._store.register(self._instance)
                        self._registered = True
                    await self._store.write(self._instance, hour, self._run, table)
                    self._written[hour] = state
                if hour < present:
                    self._ledger.forget(hour)
                    self._written.pop(hour, None)
            self._failing = False
        except StoreError as error:
            self._metrics.count("safelight_store_errors_total", operation="coverage")
            if not self._failing:
                _log.warning("the coverage waits for the store: %s", error)
            self._failing = True
