"""Measures how long the event loop was held: every flow waits as long.

A heartbeat that comes late was held up either by this process (a long step: our fault) or by a machine that had no
core free for it (not our fault).  Linux counts the second, in nanoseconds, as the second field of
/proc/thread-self/schedstat (https://docs.kernel.org/scheduler/sched-stats.html); it is taken off.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from pathlib import Path
from typing import Final

from shared.ports import Clock
from shared.telemetry import Metrics

HEARTBEAT_SECONDS: Final = 0.005
SCHEDSTAT: Final = Path("/proc/thread-self/schedstat")


class Stalls:
    """Turns the times of heartbeats into stalls; pure."""

    def __init__(self, interval: float) -> None:
        self._interval = interval
        self.worst = 0.0

    def beat(self, elapsed: float, starved: float) -> float:
        """Return the stall in seconds of a heartbeat ``elapsed`` after the last, ``starved`` of it without a core."""
        stall = max(0.0, elapsed - self._interval - max(0.0, starved))
        self.worst = max(self.worst, stall)
        return stall


class Watchdog:
    """Runs on the event loop that it watches."""

    def __init__(self, clock: Clock, metrics: Metrics, waited: Callable[[], float] | None = None) -> None:
        self._clock = clock
        self._metrics = metrics
        self._waited = waited
        self._stalls = Stalls(HEARTBEAT_SECONDS)

    @property
    def worst(self) -> float:
        """The longest stall so far, in seconds."""
        return self._stalls.worst

    async def run(self) -> None:
        """Watch for ever."""
        core = CoreWait()
        waited = self._waited or core.seconds
        try:
            then, starved = self._clock.monotonic(), waited()
            while True:
                await asyncio.sleep(HEARTBEAT_SECONDS)
                now, still_starved = self._clock.monotonic(), waited()
                stall = self._stalls.beat(now - then, still_starved - starved)
                self._metrics.observe("safelight_proxy_loop_stall_seconds", stall)
                then, starved = now, still_starved
        finally:
            core.close()


class CoreWait:
    """How long the thread that made this has waited for a core; always 0 where the system does not say."""

    def __init__(self, path: Path = SCHEDSTAT) -> None:
        try:
            self._file = os.open(path, os.O_RDONLY)
        except OSError:
            self._file = -1

    def seconds(self) -> float:
        """Return the seconds so far."""
        if self._file < 0:
            return 0.0
        fields = os.pread(self._file, 96, 0).split()
        return int(fields[1]) / 1e9 if len(fields) > 1 else 0.0

    def close(self) -> None:
        """Close the file."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1
