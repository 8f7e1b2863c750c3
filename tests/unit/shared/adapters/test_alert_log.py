"""Alerts in the store's log: sealed, in order, and one bad entry costs itself only."""

import pytest

from shared.adapters.alert_log import LOG_NAME, AlertLog
from shared.sealing import Sealer
from tests.factories import make_alert
from tests.memory_store import MemoryStore

SEALER = Sealer(bytes(32))


@pytest.fixture
def store() -> MemoryStore:
    return MemoryStore()


@pytest.fixture
def log(store: MemoryStore) -> AlertLog:
    return AlertLog(store, SEALER)


async def test_what_is_appended_is_read_in_order(log: AlertLog) -> None:
    alerts = [make_alert(incident=f"incident-{number}") for number in range(3)]
    assert await log.append(alerts) == 3
    assert await log.last_position() == 3
    read = await log.read(1, 10)
    assert read.alerts == tuple(alerts[1:])
    assert read.last == 3


async def test_nothing_new_is_position_zero(log: AlertLog) -> None:
    assert (await log.read(0, 10)).last == 0
    assert not await log.wait(0, 0.001)


async def test_who_reads_the_store_reads_no_names(store: MemoryStore, log: AlertLog) -> None:
    await log.append([make_alert()])
    assert b"u1@corp.example" not in store.logs[LOG_NAME][0].value


@pytest.mark.error_logs("alert [23] cannot be read and is passed over")
async def test_a_foreign_entry_is_passed_over_and_said(store: MemoryStore, log: AlertLog) -> None:
    await log.append([make_alert(incident="first")])
    await store.append(LOG_NAME, [b"nonsense"])
    await AlertLog(store, Sealer(b"k" * 32)).append([make_alert(incident="foreign")])
    await log.append([make_alert(incident="last")])
    read = await log.read(0, 10)
    assert [alert.incident for alert in read.alerts] == ["first", "last"]
    assert read.last == 4


@pytest.mark.error_logs("passed over")
async def test_a_stretch_of_foreign_entries_still_has_an_end(store: MemoryStore, log: AlertLog) -> None:
    await store.append(LOG_NAME, [b"nonsense", b"more of it"])
    read = await log.read(0, 1)
    assert (read.alerts, read.last) == ((), 1)


async def test_what_is_truncated_is_gone(log: AlertLog) -> None:
    await log.append([make_alert(incident=f"incident-{number}") for number in range(3)])
    await log.truncate(2)
    read = await log.read(0, 10)
    assert [alert.incident for alert in read.alerts] == ["incident-2"]
    assert read.last == 3
