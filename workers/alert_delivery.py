"""The ``alerts`` role: tails the alert log with one cursor per sink.

An alert is in the log before anybody could have missed it; a cursor moves only after its sink took the batch, so that
a restart delivers again rather than never.  One process delivers at a time (a lease), others stand by.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from typing import Final

from shared.adapters.lease import Lease
from shared.adapters.opening import open_store

from shared.adapters.alert_log import AlertLog
from shared.adapters.alert_sinks import open_sinks
from shared.adapters.role import RoleContext
from shared.errors import LeaseHeldError, SafelightError
from shared.ports import AlertSink, Store
from shared.sealing import Sealer, load_or_create_key
from shared.telemetry import Metrics

LEASE_KEY: Final = "lease/alerts"
BATCH: Final = 256
WAIT_SECONDS: Final = 1.0
RETRY_SECONDS: Final = 1.0
KEEP_ENTRIES: Final = 1000
"""Delivered alerts kept in the log for the console."""
TRUNCATE_EVERY: Final = 500

_log = logging.getLogger(__name__)


def cursor_key(sink: str) -> str:
    """Return the key that holds a sink's position."""
    return f"alerts/cursor/{sink}"


class SinkFeeder:
    """Moves one sink forward along the log."""

    def __init__(self, store: Store, log: AlertLog, sink: AlertSink, metrics: Metrics) -> None:
        self._store = store
        self._alerts = log
        self._sink = sink
        self._metrics = metrics

    async def position(self) -> int:
        """Return the position of the last alert delivered."""
        cursor = await self._store.get(cursor_key(self._sink.name))
        return int(cursor.value) if cursor else 0

    async def step(self) -> bool:
        """Deliver the next batch; tell whether there was one."""
        cursor = await self._store.get(cursor_key(self._sink.name))
        batch = await self._alerts.read(int(cursor.value) if cursor else 0, BATCH)
        if not batch.last:
            return False
        if batch.alerts:
            await self._sink.deliver(batch.alerts)
        position = str(batch.last).encode()
        await self._store.compare_and_set(cursor_key(self._sink.name), cursor.version if cursor else None, position)
        self._metrics.count("safelight_alerts_delivered_total", len(batch.alerts), sink=self._sink.name)
        lag = await self._alerts.last_position() - batch.last
        self._metrics.set("safelight_alerts_lag", lag, sink=self._sink.name)
        return True

    async def run(self) -> None:
        """Deliver for ever; what fails is tried again."""
        while True:
            try:
                if not await self.step():
                    await self._alerts.wait(await self.position(), WAIT_SECONDS)
            except (SafelightError, OSError) as error:
                self._metrics.count("safelight_alerts_failures_total", sink=self._sink.name)
                _log.warning("alert sink %s: %s; trying again", self._sink.name, error)
                await asyncio.sleep(RETRY_SECONDS)


async def _truncate(alerts: AlertLog, feeders: list[SinkFeeder]) -> None:
    """Forget what every sink has, but for the newest."""
    done = 0
    while True:
        try:
            upto = min([await feeder.position() for feeder in feeders]) - KEEP_ENTRIES
            if upto >= done + TRUNCATE_EVERY:
                await alerts.truncate(upto)
                done = upto
        except SafelightError as error:
            _log.warning("cannot shorten the alert log: %s", error)
        await asyncio.sleep(10 * WAIT_SECONDS)


async def run_alerts(context: RoleContext) -> None:
    """Deliver alerts until the role is stopped."""
    state = {"store": False}
    context.readiness.add("store", lambda: state["store"])
    store = open_store(context.settings)
    await store.start()
    state["store"] = True
    alerts = AlertLog(store, Sealer(load_or_create_key(context.settings.key_file)))
    sinks = open_sinks(context.settings)
    feeders = [SinkFeeder(store, alerts, sink, context.metrics) for sink in sinks]
    lease = Lease(store, LEASE_KEY)
    loop = asyncio.get_running_loop()
    work = loop.create_task(_deliver(lease, alerts, feeders))
    stopping = loop.create_task(context.stopping.wait())
    try:
        await asyncio.wait({work, stopping}, return_when=asyncio.FIRST_COMPLETED)
        if work.done():
            work.result()
    finally:
        await _cancel(work, stopping)
        for feeder in feeders:  # what was logged before the stop goes out before it
            with contextlib.suppress(SafelightError, OSError, TimeoutError):
                await asyncio.wait_for(feeder.step(), WAIT_SECONDS)
        await lease.release()
        for sink in sinks:
            await sink.stop()
        await store.stop()


async def _cancel(*tasks: asyncio.Task[object]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def _deliver(lease: Lease, alerts: AlertLog, feeders: list[SinkFeeder]) -> None:
    while True:
        try:
            await lease.acquire()
            break
        except LeaseHeldError:
            await asyncio.sleep(RETRY_SECONDS)  # another process delivers; stand by
    async with asyncio.TaskGroup() as group:
        for feeder in feeders:
            group.create_task(feeder.run())
        group.create_task(_truncate(alerts, feeders))
