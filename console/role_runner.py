"""Runs one role in this process: logging, signals, status endpoint, run file, exit status."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import sys
from collections.abc import Awaitable, Callable
from typing import Final

from shared.adapters.role import RoleContext, SystemClock
from shared.adapters.run_files import RunFile
from shared.adapters.status_server import StatusServer, StatusSource
from shared.config import Settings
from shared.telemetry import Metrics, Readiness

RoleMain = Callable[[RoleContext], Awaitable[None]]
UNTIL_STDIN_CLOSES: Final = "SAFELIGHT_UNTIL_STDIN_CLOSES"
"""Set by ``safelight up`` for its children: they stop when the supervisor is gone, even when it was killed."""
HEARTBEAT_SECONDS: Final = 0.5
UNHEALTHY_SECONDS: Final = 10.0


def configure_logging() -> None:
    """Log to standard error: time, level, part, message."""
    logging.basicConfig(
        level=os.environ.get("SAFELIGHT_LOG", "INFO").upper(),
        format="%(asctime)s %(levelname)s %(name)s: %(message)s",
        stream=sys.stderr,
    )
    for chatty in ("aiokafka", "httpx", "httpcore", "mitmproxy", "hpack"):
        logging.getLogger(chatty).setLevel(logging.WARNING)


def run_role(role: str, main: RoleMain, settings: Settings) -> None:
    """Run ``main`` until SIGTERM or SIGINT; raises ConfigError where it cannot start."""
    configure_logging()
    asyncio.run(_run(role, main, settings))


async def _run(role: str, main: RoleMain, settings: Settings) -> None:
    clock = SystemClock()
    metrics, readiness, stopping = Metrics(), Readiness(), asyncio.Event()
    heart = _Heart(clock.monotonic)
    run_file = RunFile(settings.run_dir, role)
    source = StatusSource(exposition=metrics.exposition, waiting_for=readiness.waiting_for, healthy=heart.beats)
    started = {"role": False}
    readiness.add(role, lambda: started["role"])
    status = StatusServer(settings.metrics.listen, source)
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopping.set)
    if os.environ.get(UNTIL_STDIN_CLOSES):
        loop.add_reader(sys.stdin.fileno(), _stop_at_end, loop, stopping)
    beating = loop.create_task(heart.beat())
    status.start()
    try:
        run_file.announce("metrics", status.address)
        metrics.set("safelight_up", 1)
        started["role"] = True
        await main(
            RoleContext(
                settings=settings,
                metrics=metrics,
                readiness=readiness,
                clock=clock,
                announce=run_file.announce,
                stopping=stopping,
            )
        )
    finally:
        beating.cancel()
        status.stop()
        run_file.remove()


def _stop_at_end(loop: asyncio.AbstractEventLoop, stopping: asyncio.Event) -> None:
    if not os.read(sys.stdin.fileno(), 1024):
        loop.remove_reader(sys.stdin.fileno())
        stopping.set()


class _Heart:
    """Beats on the event loop; a loop that is stuck for long makes the process unhealthy."""

    def __init__(self, monotonic: Callable[[], float]) -> None:
        self._monotonic = monotonic
        self._last = monotonic()

    async def beat(self) -> None:
        while True:
            self._last = self._monotonic()
            await asyncio.sleep(HEARTBEAT_SECONDS)

    def beats(self) -> bool:
        return self._monotonic() - self._last < UNHEALTHY_SECONDS
