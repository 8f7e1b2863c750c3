from proxy_addon.reporting import ledger as module
from proxy_addon.reporting.ledger import Fate, Ledger
from shared.core.coverage import ABORTED, INSPECTED, OTHER, Count, Row
from shared.telemetry import Metrics
from shared.types import Direction, UninspectedReason

OUT = Direction.OUTBOUND


class Clock:
    now = 3600.0

    def monotonic(self) -> float:
        return self.now

    def wall(self) -> float:
        return self.now


def make() -> tuple[Ledger, Clock, Metrics]:
    clock, metrics = Clock(), Metrics()
    return Ledger(clock, metrics), clock, metrics


def test_bytes_are_booked_by_hour_host_and_reason() -> None:
    ledger, clock, metrics = make()
    ledger.book("A.example", OUT, UninspectedReason.OPAQUE, 10)
    ledger.book("a.example", OUT, UninspectedReason.OPAQUE, 5, bodies=0)
    clock.now += 3600
    ledger.book("a.example", OUT, INSPECTED, 7)
    assert {hour: table.rows for hour, table in ledger.hours().items()} == {
        1: {Row("a.example", OUT, "opaque"): Count(1, 15)},
        2: {Row("a.example", OUT, "inspected"): Count(1, 7)},
    }
    assert metrics.value("safelight_proxy_body_bytes_total", direction="outbound", outcome="failed") == 15
    assert metrics.value("safelight_proxy_body_bytes_total", direction="outbound", outcome="inspected") == 7
    ledger.forget(1)
    assert list(ledger.hours()) == [2]


def test_hosts_and_hours_are_bounded() -> None:
    ledger, clock, _ = make()
    for number in range(module.HOSTS_IN_MEMORY + 10):
        ledger.book(f"host-{number}.example", OUT, INSPECTED, 1)
    rows = ledger.hours()[1].rows
    assert len(rows) == module.HOSTS_IN_MEMORY + 1
    assert rows[Row(OTHER, OUT, "inspected")] == Count(10, 10)
    for _ in range(module.HOURS_IN_MEMORY):
        clock.now += 3600
        ledger.book("a.example", OUT, INSPECTED, 1)
    assert min(ledger.hours()) == 2
    assert len(ledger.hours()) == module.HOURS_IN_MEMORY


def test_a_body_is_booked_once_whichever_is_known_first() -> None:
    ledger, _, _ = make()
    early, late, never = Fate(ABORTED), Fate(ABORTED), Fate(INSPECTED)
    early.reason = INSPECTED
    early.end(ledger, "a", OUT, 10)
    early.end(ledger, "a", OUT, 10)
    early.settle(ledger, UninspectedReason.TIMEOUT)
    late.wait()
    late.end(ledger, "b", OUT, 20)
    assert Row("b", OUT, "inspected") not in ledger.hours()[1].rows
    late.settle(ledger, INSPECTED)
    never.end(ledger, "c", OUT, 0)
    assert ledger.hours()[1].rows == {
        Row("a", OUT, "inspected"): Count(1, 10),
        Row("b", OUT, "inspected"): Count(1, 20),
    }
