"""The ``alerts`` role: tails the alert log with one cursor per sink.

An alert is in the log before anybody could have missed it; a cursor moves only after its sink took the batch, so that
a restart delivers again rather than never.  One process delivers at a time (a lease), others stand by.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine, Sequence
from typing import Any, Final

from shared.adapters.alert_log import AlertLog
from shared.adapters.alert_sinks import open_sinks
from shared.adapters.lease import Lease
from shared.adapters.opening import open_sealer, open_store
from shared.adapters.role import RoleContext
from shared.adapters.starting import started
from shared.errors import LeaseHeldError, SafelightError, StoreError
from shared.ports import AlertSink, Store
from shared.telemetry import Metrics

LEASE_KEY: Final = "lease/alerts"
BATCH: Final = 256
WAIT_SECONDS: Final = 1.0
RETRY_SECONDS: Final = 1.0
DRAIN_SECONDS: Final = 1.5
"""For what is logged when the role is stopped; what does not go out by then goes out after the next start."""
KEEP_ENTRIES: Final = 1000
"""Delivered alerts kept in the log for the console."""
TRUNCATE_EVERY: Final = 500
TRUNCATE_SECONDS: Final = 10.0

_log = logging.getLogger(__name__)


def cursor_key(sink: str) -> str:
    """Return the key that holds a sink's position."""
    return f"alerts/cursor/{sink}"


class SinkFeeder:
    """Moves one sink forward along the log."""

    def __init__(
        self, store: Store, log: AlertLog, sink: AlertSink, metrics: Metrics, *, retry: float = RETRY_SECONDS
    ) -> None:
        self._store = store
        self._alerts = log
        self._sink = sink
        self._metrics = metrics
        self._retry = retry

    async def position(self) -> int:
        """Return the position of the last alert delivered."""
        cursor = await self._store.get(cursor_key(self._sink.name))
        return int(cursor.value) if cursor else 0

    async def step(self) -> bool:
        """Deliver the next batch; tell whether there was one.  Raises what the sink or the store raises."""
        cursor = await self._store.get(cursor_key(self._sink.name))
        after = int(cursor.value) if cursor else 0
        await self._report_lag(after)
        batch = await self._alerts.read(after, BATCH)
        if not batch.last:
            return False
        if batch.alerts:
            await self._sink.deliver(batch.alerts)
        position = str(batch.last).encode()
        await self._store.compare_and_set(cursor_key(self._sink.name), cursor.version if cursor else None, position)
        self._metrics.count("safelight_alerts_delivered_total", len(batch.alerts), sink=self._sink.name)
        return True

    async def run(self, stop: asyncio.Event) -> None:
        """Deliver until ``stop``, what fails again and again; then once more whatever is logged by then."""
        while True:
            last_round = stop.is_set()
            try:
                if await self.step():
                    continue
                pause: Coroutine[Any, Any, object] = self._alerts.wait(await self.position(), WAIT_SECONDS)
            except (SafelightError, OSError) as error:
                self._metrics.count("safelight_alerts_failures_total", sink=self._sink.name)
                _log.warning("alert sink %s: %s; it will be tried again", self._sink.name, error)
                pause = asyncio.sleep(self._retry)
            if last_round:
                pause.close()
                return
            await self._pause(pause, stop)

    async def _pause(self, pause: Coroutine[Any, Any, object], stop: asyncio.Event) -> None:
        try:
            await _unless(stop, pause)
        except StoreError as error:
            _log.warning("alert sink %s: %s", self._sink.name, error)
            await _unless(stop, asyncio.sleep(self._retry))

    async def _report_lag(self, position: int) -> None:
        lag = max(0, await self._alerts.last_position() - position)
        self._metrics.set("safelight_alerts_lag", lag, sink=self._sink.name)


async def truncate(alerts: AlertLog, feeders: Sequence[SinkFeeder], *, done: int = 0) -> int:
    """Forget what every sink has, but for the newest; return the position up to which the log is forgotten."""
    upto = min([await feeder.position() for feeder in feeders]) - KEEP_ENTRIES
    if upto < done + TRUNCATE_EVERY:
        return done
    await alerts.truncate(upto)
    return upto


async def _truncate_for_ever(alerts: AlertLog, feeders: Sequence[SinkFeeder]) -> None:
    done = 0
    while True:
        try:
            done = await truncate(alerts, feeders, done=done)
        except SafelightError as error:
            _log.warning("cannot shorten the alert log: %s", error)
        await asyncio.sleep(TRUNCATE_SECONDS)


async def deliver(alerts: AlertLog, feeders: Sequence[SinkFeeder], stop: asyncio.Event) -> None:
    """Feed every sink until ``stop``, each at its own pace; then end within ``DRAIN_SECONDS``."""
    async with asyncio.TaskGroup() as group:
        feeding = [group.create_task(feeder.run(stop)) for feeder in feeders]
        truncating = group.create_task(_truncate_for_ever(alerts, feeders))
        await stop.wait()
        truncating.cancel()
        _, late = await asyncio.wait(feeding, timeout=DRAIN_SECONDS)
        for task in late:
            task.cancel()


async def run_alerts(context: RoleContext) -> None:
    """Deliver alerts until the role is stopped; raises ConfigError."""
    settings, stopping = context.settings, context.stopping
    state = {"store": False}
    context.readiness.add("store", lambda: state["store"])
    context.readiness.add("alerts", lambda: True)
    sealer = open_sealer(settings)
    sinks = open_sinks(settings)
    store = open_store(settings)
    alerts = AlertLog(store, sealer)
    feeders = [SinkFeeder(store, alerts, sink, context.metrics) for sink in sinks]
    try:
        state["store"] = await started("the store", store.start, stopping)
        await _deliver_in_turn(store, alerts, feeders, stopping)
    finally:
        for sink in sinks:
            await sink.stop()
        await store.stop()


async def _deliver_in_turn(
    store: Store, alerts: AlertLog, feeders: Sequence[SinkFeeder], stopping: asyncio.Event
) -> None:
    """Deliver while this process holds the lease; stand by while another one does."""
    said = ""
    while not stopping.is_set():
        lease = Lease(store, LEASE_KEY)
        try:
            await _unless(stopping, lease.acquire())
            if lease.held():
                said = ""
                await _unless(lease.lost, deliver(alerts, feeders, stopping))
        except (LeaseHeldError, StoreError) as error:
            if said != (said := type(error).__name__):
                _log.info("standing by: %s", error)
            await _unless(stopping, asyncio.sleep(RETRY_SECONDS))
        finally:
            await lease.release()


async def _unless(event: asyncio.Event, work: Coroutine[Any, Any, object]) -> None:
    """Wait for ``work``, which is cancelled where ``event`` is set first; raises what it raises."""
    loop = asyncio.get_running_loop()
    task, waiting = loop.create_task(work), loop.create_task(event.wait())
    try:
        await asyncio.wait({task, waiting}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        waiting.cancel()
        task.cancel()
        await asyncio.wait({task, waiting})
    if not task.cancelled():
        task.result()
