"""Runs one role in this process: logging, signals, status endpoint, run file, exit status."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import sys
from collections.abc import Callable, Coroutine
from typing import Any, Final

from console.event_loops import loop_factory
from console.processes import process_name
from shared.adapters.role import RoleContext, SystemClock
from shared.adapters.run_files import RunFile
from shared.adapters.status_server import StatusServer, StatusSource
from shared.config import Settings
from shared.errors import ConfigError, SafelightError
from shared.telemetry import Metrics, Readiness

RoleMain = Callable[[RoleContext], Coroutine[Any, Any, None]]
UNTIL_STDIN_CLOSES: Final = "SAFELIGHT_UNTIL_STDIN_CLOSES"
"""Set by ``safelight up`` for its children: they stop when the supervisor is gone, even when it was killed."""
HEARTBEAT_SECONDS: Final = 0.5
UNHEALTHY_SECONDS: Final = 10.0
STOP_SECONDS: Final = 8.5
"""A role that has not ended by then is cut off: SIGTERM ends a process within 10 seconds."""
CUT_OFF_SECONDS: Final = 0.5
CRASH_STATUS: Final = 1

_log = logging.getLogger(__name__)


def configure_logging() -> None:
    """Log to standard error: time, level, part, message.  Raises ConfigError for an unknown level."""
    level = os.environ.get("SAFELIGHT_LOG", "INFO").upper()
    if level not in logging.getLevelNamesMapping():
        raise ConfigError(f"SAFELIGHT_LOG: {level} is no log level; known: DEBUG, INFO, WARNING, ERROR")
    logging.basicConfig(
        level=level,
        format="%(asctime)s %(levelname)s %(name)s: %(message)s",
        stream=sys.stderr,
    )
    for chatty in ("httpx", "httpcore", "mitmproxy", "hpack", "uvicorn"):
        logging.getLogger(chatty).setLevel(logging.WARNING)


def run_role(role: str, main: RoleMain, settings: Settings) -> None:
    """Run ``main`` until SIGTERM or SIGINT.

    Raises the SafelightError that kept the role from starting, and a ConfigError at any time.  Where a role that has
    been ready fails, the process exits with ``CRASH_STATUS``: a start with the same configuration may well succeed.
    """
    configure_logging()
    process = _RoleProcess(role, settings)
    try:
        asyncio.run(process.run(main), loop_factory=loop_factory(role))
    except (SafelightError, BaseExceptionGroup) as error:
        known = known_error(error)
        if known is None:
            raise
        if process.was_ready and not isinstance(known, ConfigError):
            _log.error("the %s failed: %s", role, known)
            sys.exit(CRASH_STATUS)
        raise known from None


def known_error(error: BaseException) -> SafelightError | None:
    """Return the error with a sentence for the operator; None where there is none, or a bug beside it."""
    if isinstance(error, BaseExceptionGroup):
        known = [known_error(inner) for inner in error.exceptions]
        return None if None in known else known[0]
    return error if isinstance(error, SafelightError) else None


class _RoleProcess:
    """What surrounds a role in its process."""

    def __init__(self, role: str, settings: Settings) -> None:
        self._role = role
        self._settings = settings
        self._readiness = Readiness()
        self.was_ready = False

    async def run(self, main: RoleMain) -> None:
        """Run ``main`` between status endpoint and run file."""
        clock, metrics, stopping = SystemClock(), Metrics(), asyncio.Event()
        heart = _Heart(clock.monotonic, self._notice)
        run_file = RunFile(self._settings.run_dir, process_name(self._role, self._settings))
        # Not ready until the role has stated its own conditions: it replaces this one, of its own name, last.
        self._readiness.add(self._role, lambda: False)
        source = StatusSource(
            exposition=metrics.exposition,
            waiting_for=self._readiness.waiting_for,
            healthy=heart.beats,
            warnings=self._readiness.warnings,
        )
        status = StatusServer(self._settings.metrics.listen, source)
        _stop_on_signals(stopping)
        beating = asyncio.get_running_loop().create_task(heart.beat())
        status.start()
        try:
            run_file.announce("metrics", status.address)
            metrics.set("safelight_up", 1)
            context = RoleContext(
                settings=self._settings,
                metrics=metrics,
                readiness=self._readiness,
                clock=clock,
                announce=run_file.announce,
                stopping=stopping,
            )
            await self._until_stopped(main(context), stopping)
        finally:
            beating.cancel()
            status.stop()
            run_file.remove()

    def _notice(self) -> None:
        self.was_ready = self.was_ready or not self._readiness.waiting_for()

    async def _until_stopped(self, work: Coroutine[Any, Any, None], stopping: asyncio.Event) -> None:
        """Wait for a role's end, once it is to stop ``STOP_SECONDS`` at most; raises what it raises."""
        loop = asyncio.get_running_loop()
        running, stop = loop.create_task(work), loop.create_task(stopping.wait())
        try:
            await asyncio.wait({running, stop}, return_when=asyncio.FIRST_COMPLETED)
            self._notice()
            if not running.done():
                await asyncio.wait({running}, timeout=STOP_SECONDS)
            if not running.done():
                _log.error("the %s did not end within %s s and is cut off", self._role, STOP_SECONDS)
                running.cancel()
                await asyncio.wait({running}, timeout=CUT_OFF_SECONDS)
        finally:
            stop.cancel()
        if running.done() and not running.cancelled():
            running.result()


def _stop_on_signals(stopping: asyncio.Event) -> None:
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopping.set)
    if os.environ.get(UNTIL_STDIN_CLOSES):
        loop.add_reader(sys.stdin.fileno(), _stop_at_end, loop, stopping)


def _stop_at_end(loop: asyncio.AbstractEventLoop, stopping: asyncio.Event) -> None:
    if not os.read(sys.stdin.fileno(), 1024):
        loop.remove_reader(sys.stdin.fileno())
        stopping.set()


class _Heart:
    """Beats on the event loop; a loop that is stuck for long makes the process unhealthy."""

    def __init__(self, monotonic: Callable[[], float], at_beat: Callable[[], None]) -> None:
        self._monotonic = monotonic
        self._at_beat = at_beat
        self._last = monotonic()

    async def beat(self) -> None:
        while True:
            self._last = self._monotonic()
            await asyncio.sleep(HEARTBEAT_SECONDS)
            self._at_beat()

    def beats(self) -> bool:
        return self._monotonic() - self._last < UNHEALTHY_SECONDS
