"""Knows whether inspection is switched off: watches the file of this machine and the store, the newest record counts.

Two loops, since a store that is down answers late.  What the store says is written to the file: it holds after a
restart, too, until its end.  What only the file says (the store was down) is written to the store when it is back.
"""

from __future__ import annotations

import asyncio
import logging
import sqlite3
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime
from typing import Final, Protocol

from proxy_addon.reporting.operation_alerts import operation_alert
from shared.core.bypass import Bypass, newest
from shared.errors import SafelightError, StoreError
from shared.ports import Clock
from shared.telemetry import Metrics
from shared.types import Alert, Severity

POLL_SECONDS: Final = 0.5
"""Every proxy forwards uninspected within two seconds of the command: the poll and a slow store together."""
POLICY: Final = "safelight:bypass"
_log = logging.getLogger(__name__)


class LocalRecord(Protocol):
    """The file; its methods block."""

    def read(self) -> Bypass | None: ...

    def write(self, record: Bypass) -> None: ...


class SharedRecord(Protocol):
    """The store's record."""

    async def read(self) -> Bypass | None: ...

    async def write(self, record: Bypass) -> None: ...


class BypassWatch:
    """``active`` is what holds now; asked once per transfer."""

    def __init__(
        self,
        local: LocalRecord,
        shared: SharedRecord,
        clock: Clock,
        metrics: Metrics,
        record: Callable[[Sequence[Alert]], Awaitable[None]],
        instance: int,
    ) -> None:
        self._local = local
        self._shared = shared
        self._clock = clock
        self._metrics = metrics
        self._record = record
        self._instance = instance
        self._current: Bypass | None = None
        self._announced: Bypass | None = None
        self._stored: Bypass | None = None
        self._failing: set[str] = set()

    def active(self) -> bool:
        """Tell whether everything is to be forwarded uninspected."""
        return self._current is not None and self._current.active(self._clock.wall())

    def warning(self) -> str:
        """Return a sentence for the readiness page; empty where inspection is on."""
        current = self._current
        if current is None or not self.active():
            return ""
        return f"inspection is switched off until {_time(current.until)} by {current.who}: {current.reason}"

    async def poll_file(self) -> None:
        """Look at the file once."""
        await self._look("file", lambda: asyncio.to_thread(self._local.read))

    async def poll_store(self) -> None:
        """Look at the store once; the file and the store get the newer record of the two."""
        before = self._current
        if not await self._look("store", self._read_store):
            return
        current = self._current
        if current is None or current == self._stored:
            if current is not None and current != before:
                await self._remember(current)
            return
        try:
            await self._shared.write(current)
        except StoreError as error:
            _log.warning("a bypass has not reached the store: %s", error)

    async def _read_store(self) -> Bypass | None:
        self._stored = await self._shared.read()
        return self._stored

    async def _remember(self, record: Bypass) -> None:
        try:
            await asyncio.to_thread(self._local.write, record)
        except OSError as error:
            _log.error("a bypass is not remembered over a restart: %s", error)

    async def watch_file(self) -> None:
        """Watch for ever."""
        while True:
            await self.poll_file()
            await self.announce()
            await asyncio.sleep(POLL_SECONDS)

    async def watch_store(self) -> None:
        """Watch for ever."""
        while True:
            await self.poll_store()
            await asyncio.sleep(POLL_SECONDS)

    async def _look(self, where: str, read: Callable[[], Awaitable[Bypass | None]]) -> bool:
        try:
            self._current = newest(self._current, await read())
            self._failing.discard(where)
            return True
        except (SafelightError, OSError) as error:
            if isinstance(error, StoreError):
                self._metrics.count("safelight_store_errors_total", operation="bypass")
            if where not in self._failing:
                # A record that does not open switches nothing off.
                _log.log(
                    logging.WARNING if isinstance(error, StoreError) else logging.ERROR,
                    "the bypass in the %s cannot be read: %s",
                    where,
                    error,
                )
            self._failing.add(where)
            return False

    async def announce(self) -> None:
        """Tell the SOC of a start and of an end."""
        active, announced = self._current if self.active() else None, self._announced
        self._metrics.set("safelight_proxy_bypass", 1 if active else 0)
        if (active and active.id) == (announced and announced.id):
            return
        self._announced = active
        if announced is not None:
            _log.warning("inspection is on again")
            await self._tell(announced, "off", "Inspection is on again")
        if active is not None:
            _log.warning("%s", self.warning())
            await self._tell(active, "on", f"Inspection is switched off until {_time(active.until)}")

    async def _tell(self, bypass: Bypass, change: str, title: str) -> None:
        alert = operation_alert(
            # The same over restarts, so that it is known for what has been told already.
            incident=f"{bypass.id}-{change}-{self._instance}",
            time=self._clock.wall(),
            policy=POLICY,
            title=title,
            detail=f"{bypass.reason} ({bypass.who}; proxy {self._instance})",
            severity=Severity.CRITICAL if change == "on" else Severity.INFORMATIONAL,
        )
        try:
            await self._record([alert])
        except (sqlite3.Error, OSError):
            _log.exception("the alert of a bypass could not be recorded")


def _time(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
