from __future__ import annotations

from collections.abc import Sequence

import pytest

from proxy_addon.policies.bypass_watch import BypassWatch
from shared.core.bypass import Bypass
from shared.errors import IntegrityError, StoreError
from shared.telemetry import Metrics
from shared.types import Alert, Severity

ON = Bypass(id="b1", on=True, changed_at=100.0, until=160.0, who="root@host", reason="an outage")
OFF = Bypass(id="b2", on=False, changed_at=120.0, until=120.0, who="root@host", reason="over")


class Clock:
    now = 110.0

    def monotonic(self) -> float:
        return self.now

    def wall(self) -> float:
        return self.now


class File:
    def __init__(self, record: Bypass | None = None) -> None:
        self.record = record
        self.error: Exception | None = None

    def read(self) -> Bypass | None:
        if self.error:
            raise self.error
        return self.record

    def write(self, record: Bypass) -> None:
        self.record = record


class Shared:
    def __init__(self, record: Bypass | None = None) -> None:
        self.record = record
        self.down = False

    async def read(self) -> Bypass | None:
        if self.down:
            raise StoreError("down")
        return self.record

    async def write(self, record: Bypass) -> None:
        self.record = record


class Bench:
    def __init__(self, file: File, shared: Shared) -> None:
        self.file, self.shared, self.clock, self.metrics = file, shared, Clock(), Metrics()
        self.alerts: list[Alert] = []
        self.watch = BypassWatch(file, shared, self.clock, self.metrics, self.record, instance=3)

    async def record(self, alerts: Sequence[Alert]) -> None:
        self.alerts += alerts


async def test_either_way_switches_off_until_the_end() -> None:
    for file, shared in ((File(ON), Shared()), (File(), Shared(ON))):
        bench = Bench(file, shared)
        assert not bench.watch.active()
        assert bench.watch.warning() == ""
        await bench.watch.poll_file()
        await bench.watch.poll_store()
        assert bench.watch.active()
        assert "root@host: an outage" in bench.watch.warning()
        bench.clock.now = 160.0
        assert not bench.watch.active()
        assert bench.watch.warning() == ""


async def test_each_way_tells_the_other() -> None:
    bench = Bench(File(), Shared(ON))
    await bench.watch.poll_store()
    assert bench.file.record == ON  # holds after a restart
    bench.file.record = OFF  # written while the store was down
    await bench.watch.poll_file()
    await bench.watch.poll_store()
    assert bench.shared.record == OFF
    assert not bench.watch.active()


async def test_a_store_that_is_down_changes_nothing(caplog: pytest.LogCaptureFixture) -> None:
    bench = Bench(File(ON), Shared())
    bench.shared.down = True
    await bench.watch.poll_file()
    await bench.watch.poll_store()
    await bench.watch.poll_store()
    assert bench.watch.active()
    assert len(caplog.records) == 1
    assert bench.metrics.value("safelight_store_errors_total", operation="bypass") == 2


@pytest.mark.error_logs("cannot be read")
async def test_a_forged_file_switches_nothing_off() -> None:
    bench = Bench(File(ON), Shared())
    bench.file.error = IntegrityError("signature does not fit")
    await bench.watch.poll_file()
    assert not bench.watch.active()


async def test_start_and_end_are_told_once() -> None:
    bench = Bench(File(ON), Shared())
    for now in (110.0, 111.0, 161.0, 162.0):
        bench.clock.now = now
        await bench.watch.poll_file()
        await bench.watch.announce()
        assert bench.metrics.value("safelight_proxy_bypass") == (1 if now < 160 else 0)
    start, end = bench.alerts
    assert (start.incident, end.incident) == ("b1-on-3", "b1-off-3")
    assert (start.finding.kind, start.finding.severity, start.finding.notify) == (
        "operation",
        Severity.CRITICAL,
        ("admin",),
    )
    assert "an outage (root@host; proxy 3)" in start.finding.reason
    assert end.finding.reason.startswith("Inspection is on again")
