"""Alerts on their way: durable when committed, in order, once they are in the log gone from here."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from proxy_addon.reporting.outbox import FORWARD_BATCH, GROUP_COMMIT, Outbox
from shared.errors import ConfigError, StoreError
from shared.sealing import Sealer
from shared.telemetry import Metrics
from shared.types import Alert
from tests.factories import make_alert

SEALER = Sealer(bytes(32))


class ListLog:
    """The store's log; ``down`` refuses."""

    def __init__(self) -> None:
        self.alerts: list[Alert] = []
        self.down = False
        self.arrived = asyncio.Event()
        self.refused = asyncio.Event()

    async def append(self, alerts: Sequence[Alert]) -> int:
        if self.down:
            self.refused.set()
            raise StoreError("the store is down")
        self.alerts += alerts
        self.arrived.set()
        return len(self.alerts)

    def incidents(self) -> list[str]:
        return [alert.incident for alert in self.alerts]


@asynccontextmanager
async def opened(path: Path, metrics: Metrics | None = None) -> AsyncIterator[Outbox]:
    outbox = Outbox(path, SEALER, metrics or Metrics())
    await outbox.start()
    try:
        yield outbox
    finally:
        await outbox.stop()


def make_alerts(*incidents: str) -> list[Alert]:
    return [make_alert(incident=incident) for incident in incidents]


async def test_alerts_move_on_in_order_and_leave_nothing(tmp_path: Path) -> None:
    log, metrics = ListLog(), Metrics()
    async with opened(tmp_path / "outbox.db", metrics) as outbox:
        await outbox.commit(make_alerts("a", "b"))
        await outbox.commit(make_alerts("c"))
        assert metrics.value("safelight_proxy_outbox_alerts") == 3
        assert not outbox.is_empty()
        assert await outbox.forward_once(log)
        assert not await outbox.forward_once(log)
        assert outbox.is_empty()
    assert log.alerts == make_alerts("a", "b", "c")


async def test_what_was_committed_survives(tmp_path: Path) -> None:
    """The file is read while the first outbox is still open: nothing of it is in the process only."""
    log = ListLog()
    async with opened(tmp_path / "outbox.db") as first:
        await first.commit(make_alerts("a"))
        async with opened(tmp_path / "outbox.db") as second:
            assert not second.is_empty()
            await second.forward_once(log)
    assert log.incidents() == ["a"]


async def test_a_log_that_refuses_loses_nothing(tmp_path: Path) -> None:
    log = ListLog()
    log.down = True
    async with opened(tmp_path / "outbox.db") as outbox:
        await outbox.commit(make_alerts("a"))
        with pytest.raises(StoreError):
            await outbox.forward_once(log)
        log.down = False
        await outbox.commit(make_alerts("b"))
        await outbox.forward_once(log)
    assert log.incidents() == ["a", "b"]


async def test_the_forwarder_tries_for_ever(tmp_path: Path) -> None:
    log, metrics = ListLog(), Metrics()
    log.down = True
    async with opened(tmp_path / "outbox.db", metrics) as outbox:
        forwarding = asyncio.get_running_loop().create_task(outbox.forward(log))
        await outbox.commit(make_alerts("a"))
        await log.refused.wait()
        log.down = False
        await log.arrived.wait()
        log.arrived.clear()
        await outbox.commit(make_alerts("b"))
        await log.arrived.wait()
        forwarding.cancel()
        await asyncio.gather(forwarding, return_exceptions=True)
    assert log.incidents()[:2] == ["a", "b"]
    assert metrics.value("safelight_store_errors_total", operation="append") >= 1


async def test_many_commits_at_once_and_many_batches(tmp_path: Path) -> None:
    log = ListLog()
    count = FORWARD_BATCH + GROUP_COMMIT
    async with opened(tmp_path / "outbox.db") as outbox:
        await asyncio.gather(*(outbox.commit(make_alerts(str(number))) for number in range(count)))
        while await outbox.forward_once(log):
            pass
    assert log.incidents() == [str(number) for number in range(count)]


async def test_alerts_are_sealed_on_disk(tmp_path: Path) -> None:
    path = tmp_path / "outbox.db"
    async with opened(path) as outbox:
        await outbox.commit([make_alert(url="https://files.vendor.example/very-secret")])
        content = b"".join(file.read_bytes() for file in tmp_path.iterdir())
    assert b"very-secret" not in content
    assert path.stat().st_mode & 0o777 == 0o600


@pytest.mark.error_logs("cannot be read")
async def test_a_row_of_another_key_does_not_stop_the_rest(tmp_path: Path) -> None:
    log = ListLog()
    other = Outbox(tmp_path / "outbox.db", Sealer(bytes(range(32))), Metrics())
    await other.start()
    await other.commit(make_alerts("unreadable"))
    await other.stop()
    async with opened(tmp_path / "outbox.db") as outbox:
        await outbox.commit(make_alerts("a"))
        await outbox.forward_once(log)
    assert log.incidents() == ["a"]


async def test_a_closed_outbox_refuses(tmp_path: Path) -> None:
    outbox = Outbox(tmp_path / "outbox.db", SEALER, Metrics())
    with pytest.raises(sqlite3.OperationalError):
        await outbox.commit(make_alerts("a"))
    await outbox.stop()


async def test_a_file_that_cannot_be_opened_is_said_in_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "outbox.db").mkdir()
    with pytest.raises(ConfigError, match=r"outbox\.db"):
        await Outbox(tmp_path / "outbox.db", SEALER, Metrics()).start()
