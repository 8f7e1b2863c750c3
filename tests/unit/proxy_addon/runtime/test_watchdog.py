"""Stalls of the event loop: late because of this process, not because of the machine."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from proxy_addon.runtime.watchdog import HEARTBEAT_SECONDS, CoreWait, Stalls, Watchdog
from shared.adapters.role import SystemClock
from shared.telemetry import Metrics


@pytest.mark.parametrize(
    ("elapsed", "starved", "stall"),
    [
        (0.005, 0.0, 0.0),
        (0.004, 0.0, 0.0),
        (0.030, 0.0, 0.025),
        (0.030, 0.020, 0.005),
        (0.030, 0.040, 0.0),
        (0.030, -1.0, 0.025),
    ],
)
def test_waiting_for_a_core_is_no_stall(elapsed: float, starved: float, stall: float) -> None:
    assert Stalls(0.005).beat(elapsed, starved) == pytest.approx(stall)


def test_the_worst_is_remembered() -> None:
    stalls = Stalls(0.005)
    for elapsed in (0.010, 0.105, 0.020):
        stalls.beat(elapsed, 0.0)
    assert stalls.worst == pytest.approx(0.1)


def test_core_wait_reads_the_second_field(tmp_path: Path) -> None:
    file = tmp_path / "schedstat"
    file.write_text("1000 2500000000 7\n")
    wait = CoreWait(file)
    assert wait.seconds() == 2.5
    wait.close()
    wait.close()
    assert wait.seconds() == 0.0
    assert CoreWait(tmp_path / "none").seconds() == 0.0


def test_this_machine_is_readable() -> None:
    wait = CoreWait()
    assert wait.seconds() >= 0.0
    wait.close()


async def test_a_step_that_holds_the_loop_is_seen() -> None:
    clock, metrics = SystemClock(), Metrics()
    watchdog = Watchdog(clock, metrics, waited=lambda: 0.0)
    watching = asyncio.get_running_loop().create_task(watchdog.run())
    name = "safelight_proxy_loop_stall_seconds"
    async with asyncio.timeout(5):
        while metrics.value(name) < 1:
            await asyncio.wait({watching}, timeout=HEARTBEAT_SECONDS)
        end = clock.monotonic() + 0.05
        while clock.monotonic() < end:
            pass
        while watchdog.worst < 0.03:
            await asyncio.wait({watching}, timeout=HEARTBEAT_SECONDS)
    watching.cancel()
    await asyncio.gather(watching, return_exceptions=True)
    assert metrics.value(name) >= 2
