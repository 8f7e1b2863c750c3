"""Every alert reaches every sink at least once, in order, whatever fails or restarts in between."""

import asyncio
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from shared import config
from shared.adapters.alert_log import LOG_NAME, AlertLog
from shared.adapters.lease import Lease
from shared.adapters.role import RoleContext, SystemClock
from shared.adapters.sqlite.store import SqliteStore
from shared.errors import BusError, ConfigError, SafelightError, StoreError
from shared.sealing import Sealer, load_or_create_key
from shared.telemetry import Metrics, Readiness
from shared.types import Alert
from tests.factories import make_alert
from tests.memory_store import MemoryStore
from workers.alert_delivery import (
    BATCH,
    KEEP_ENTRIES,
    LEASE_KEY,
    TRUNCATE_EVERY,
    SinkFeeder,
    cursor_key,
    deliver,
    run_alerts,
    truncate,
)

SEALER = Sealer(bytes(32))


class Sink:
    """Remembers what it took; fails with these errors first; calls ``then`` after each delivery."""

    def __init__(self, name: str = "sink", *errors: Exception, then: Callable[[], None] | None = None) -> None:
        self._name = name
        self.errors = list(errors)
        self.taken: list[str] = []
        self.tries = 0
        self._then = then

    @property
    def name(self) -> str:
        return self._name

    async def deliver(self, alerts: Sequence[Alert]) -> None:
        self.tries += 1
        if self.errors:
            raise self.errors.pop(0)
        self.taken += [alert.incident for alert in alerts]
        if self._then is not None:
            self._then()

    async def stop(self) -> None:
        return


class Desk:
    """A log, its store, and feeders of it."""

    def __init__(self) -> None:
        self.store = MemoryStore()
        self.log = AlertLog(self.store, SEALER)
        self.metrics = Metrics()
        self.stop = asyncio.Event()

    def feeder(self, sink: Sink) -> SinkFeeder:
        return SinkFeeder(self.store, self.log, sink, self.metrics, retry=0.001)

    async def append(self, count: int, first: int = 0) -> list[str]:
        incidents = [f"incident-{number}" for number in range(first, first + count)]
        await self.log.append([make_alert(incident=incident) for incident in incidents])
        return incidents

    def stop_when(self, condition: Callable[[], bool]) -> Callable[[], None]:
        def look() -> None:
            if condition():
                self.stop.set()

        return look


@pytest.fixture
def desk() -> Desk:
    return Desk()


async def test_the_cursor_moves_only_after_the_delivery(desk: Desk) -> None:
    incidents = await desk.append(3)
    sink = Sink("sink", BusError("away"))
    feeder = desk.feeder(sink)
    with pytest.raises(BusError):
        await feeder.step()
    assert await feeder.position() == 0
    assert await feeder.step()
    assert await feeder.position() == 3
    assert sink.taken == incidents
    assert not await feeder.step()


async def test_batches_are_bounded_and_in_order(desk: Desk) -> None:
    incidents = await desk.append(BATCH + 1)
    sink = Sink()
    feeder = desk.feeder(sink)
    assert await feeder.step()
    assert len(sink.taken) == BATCH
    assert desk.metrics.value("safelight_alerts_lag", sink="sink") == BATCH + 1
    assert await feeder.step()
    assert sink.taken == incidents
    assert not await feeder.step()
    assert desk.metrics.value("safelight_alerts_lag", sink="sink") == 0
    assert desk.metrics.value("safelight_alerts_delivered_total", sink="sink") == BATCH + 1


async def test_after_a_crash_it_is_delivered_again_rather_than_never(desk: Desk) -> None:
    """The store goes away after the sink took the batch and before the cursor moves."""
    incidents = await desk.append(2)
    sink = Sink(then=lambda: setattr(desk.store, "down", True))
    with pytest.raises(StoreError):
        await desk.feeder(sink).step()
    desk.store.down = False
    after = Sink()
    assert await desk.feeder(after).step()
    assert (sink.taken, after.taken) == (incidents, incidents)


async def test_a_restart_goes_on_where_the_cursor_stands(desk: Desk) -> None:
    await desk.append(2)
    await desk.feeder(Sink()).step()
    later = await desk.append(2, first=2)
    sink = Sink()
    await desk.feeder(sink).step()
    assert sink.taken == later


@pytest.mark.error_logs("passed over")
async def test_foreign_entries_are_passed(desk: Desk) -> None:
    await desk.store.append(LOG_NAME, [b"nonsense"] * 2)
    sink = Sink()
    feeder = desk.feeder(sink)
    assert await feeder.step()
    assert await feeder.position() == 2
    assert sink.tries == 0


@pytest.mark.parametrize("error", [BusError("away"), OSError("disk full"), StoreError("away")])
async def test_what_fails_is_tried_again(desk: Desk, error: SafelightError | OSError) -> None:
    incidents = await desk.append(2)
    sink = Sink("sink", error, error, then=desk.stop.set)
    await asyncio.wait_for(desk.feeder(sink).run(desk.stop), 10)
    assert sink.taken == incidents
    assert desk.metrics.value("safelight_alerts_failures_total", sink="sink") == 2


async def test_a_failing_sink_does_not_hold_up_the_other(desk: Desk) -> None:
    incidents = await desk.append(2)
    good = Sink("good", then=desk.stop.set)
    bad = Sink("bad", *[BusError("away")] * 10_000)
    await asyncio.wait_for(deliver(desk.log, [desk.feeder(bad), desk.feeder(good)], desk.stop), 10)
    assert good.taken == incidents
    assert bad.taken == []
    assert await desk.store.get(cursor_key("bad")) is None


async def test_alerts_are_taken_as_they_come(desk: Desk) -> None:
    sink = Sink(then=desk.stop_when(lambda: len(sink.taken) == 3))

    async def write() -> None:
        for number in range(3):
            await desk.append(1, first=number)
            await asyncio.wait_for(_until(lambda number=number: len(sink.taken) > number), 10)  # type: ignore[misc]

    async with asyncio.TaskGroup() as group:
        group.create_task(deliver(desk.log, [desk.feeder(sink)], desk.stop))
        group.create_task(write())
    assert sink.taken == ["incident-0", "incident-1", "incident-2"]


async def test_what_is_logged_at_the_stop_goes_out_before_the_end(desk: Desk) -> None:
    incidents = await desk.append(BATCH + 1)
    desk.stop.set()
    sink = Sink()
    await asyncio.wait_for(deliver(desk.log, [desk.feeder(sink)], desk.stop), 10)
    assert sink.taken == incidents


async def test_a_store_that_goes_away_is_waited_for(desk: Desk) -> None:
    await desk.append(1)
    sink = Sink()
    desk.store.down = True
    async with asyncio.TaskGroup() as group:
        group.create_task(deliver(desk.log, [desk.feeder(sink)], desk.stop))
        failures = ("safelight_alerts_failures_total", "sink")
        await asyncio.wait_for(_until(lambda: desk.metrics.value(failures[0], sink=failures[1]) > 1), 10)
        desk.store.down = False
        await asyncio.wait_for(_until(lambda: sink.taken == ["incident-0"]), 10)
        desk.stop.set()


async def test_truncation_keeps_the_newest_and_what_a_sink_still_needs(desk: Desk) -> None:
    await desk.append(KEEP_ENTRIES + TRUNCATE_EVERY)
    fast, slow = desk.feeder(Sink("fast")), desk.feeder(Sink("slow"))
    while await fast.step():
        pass
    assert await truncate(desk.log, [fast, slow]) == 0
    assert len(desk.store.logs[LOG_NAME]) == KEEP_ENTRIES + TRUNCATE_EVERY
    while await slow.step():
        pass
    assert await truncate(desk.log, [fast, slow]) == TRUNCATE_EVERY
    kept = [entry.position for entry in desk.store.logs[LOG_NAME]]
    assert kept == list(range(TRUNCATE_EVERY + 1, TRUNCATE_EVERY + KEEP_ENTRIES + 1))
    await desk.append(1)
    assert await truncate(desk.log, [fast, slow], done=TRUNCATE_EVERY) == TRUNCATE_EVERY, "not for every single one"


async def _until(condition: Callable[[], bool]) -> None:
    while not condition():
        await asyncio.get_running_loop().run_in_executor(None, lambda: None)  # lets the other tasks run


class Role:
    """The role over the embedded store in a folder."""

    def __init__(self, folder: Path, **environment: str) -> None:
        self.settings = config.load(None, {"SAFELIGHT_DATA_DIR": str(folder / "data"), **environment})
        self.readiness = Readiness()
        self.stopping = asyncio.Event()
        self.context = RoleContext(
            settings=self.settings,
            metrics=Metrics(),
            readiness=self.readiness,
            clock=SystemClock(),
            announce=lambda _name, _address: None,
            stopping=self.stopping,
        )

    @property
    def file(self) -> Path:
        return self.settings.data_dir / "alerts.jsonl"

    async def log(self) -> tuple[SqliteStore, AlertLog]:
        assert self.settings.sqlite_path is not None
        store = SqliteStore(self.settings.sqlite_path, self.settings.data_dir / "spool")
        await store.start()
        return store, AlertLog(store, Sealer(load_or_create_key(self.settings.key_file)))

    def delivered(self) -> int:
        return self.file.read_text().count("\n") if self.file.exists() else 0


async def test_the_role_delivers_and_stops(tmp_path: Path) -> None:
    role = Role(tmp_path)
    store, log = await role.log()
    await log.append([make_alert(incident="before")])
    async with asyncio.TaskGroup() as group:
        group.create_task(run_alerts(role.context))
        await asyncio.wait_for(_until(lambda: role.delivered() == 1), 10)
        assert role.readiness.waiting_for() == ()
        await log.append([make_alert(incident="during")])
        await asyncio.wait_for(_until(lambda: role.delivered() == 2), 10)
        await log.append([make_alert(incident="at the end")])
        role.stopping.set()
    assert role.delivered() == 3
    assert await store.get(LEASE_KEY) is None
    await store.stop()


async def test_a_process_without_the_lease_delivers_nothing_not_even_at_its_end(tmp_path: Path) -> None:
    role = Role(tmp_path)
    store, log = await role.log()
    await log.append([make_alert()])
    other = Lease(store, LEASE_KEY)
    await other.acquire()
    async with asyncio.TaskGroup() as group:
        standing_by = group.create_task(run_alerts(role.context))
        await asyncio.wait_for(_until(lambda: role.readiness.waiting_for() == ()), 10)
        await asyncio.wait({standing_by}, timeout=0.2)
        role.stopping.set()
    assert role.delivered() == 0
    await other.release()
    await store.stop()


async def test_without_its_store_the_role_waits_and_can_be_stopped(tmp_path: Path) -> None:
    role = Role(tmp_path, SAFELIGHT_STORE="redis://127.0.0.1:1/0")
    async with asyncio.TaskGroup() as group:
        running = group.create_task(run_alerts(role.context))
        done, _ = await asyncio.wait({running}, timeout=0.3)
        assert not done
        assert role.readiness.waiting_for() == ("store",)
        role.stopping.set()


async def test_a_wrong_configuration_ends_the_role(tmp_path: Path) -> None:
    with pytest.raises(ConfigError):
        await run_alerts(Role(tmp_path, SAFELIGHT_ALERTS__SINKS="kafka").context)
