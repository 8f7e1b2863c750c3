"""What every role process is given: settings, metrics, readiness, a clock, and how to say where it listens."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass

from shared.config import Settings
from shared.ports import Clock
from shared.telemetry import Metrics, Readiness


class SystemClock:
    """The machine's clocks."""

    def monotonic(self) -> float:
        """Seconds on a clock that never jumps."""
        return time.monotonic()

    def wall(self) -> float:
        """Seconds since 1970."""
        return time.time()  # noqa: TID251 - the one place where wall time enters


@dataclass(frozen=True, slots=True, kw_only=True)
class RoleContext:
    """A role's surroundings.

    ``announce("proxy", "127.0.0.1:8080")`` tells the address that was really bound.  ``readiness`` holds one condition,
    under the role's own name, that is never true: the role replaces it once it has added all it waits for.
    """

    settings: Settings
    metrics: Metrics
    readiness: Readiness
    clock: Clock
    announce: Callable[[str, str], None]
    stopping: asyncio.Event
