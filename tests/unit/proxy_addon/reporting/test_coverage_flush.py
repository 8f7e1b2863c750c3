import pytest

from proxy_addon.reporting.coverage_flush import CoverageFlush
from proxy_addon.reporting.ledger import Ledger
from shared.adapters.coverage_store import CoverageStore
from shared.core.coverage import Count, Row
from shared.sealing import Sealer
from shared.telemetry import Metrics
from shared.types import Direction
from tests.memory_store import MemoryStore

OUT = Direction.OUTBOUND
ROW = Row("a.example", OUT, "opaque")


class Clock:
    now = 3600.0

    def monotonic(self) -> float:
        return self.now

    def wall(self) -> float:
        return self.now


async def test_hours_are_written_as_they_grow_and_let_go_when_over(caplog: pytest.LogCaptureFixture) -> None:
    store, clock, metrics = MemoryStore(), Clock(), Metrics()
    board, ledger = CoverageStore(store, Sealer(bytes(32))), Ledger(clock, metrics)
    flush = CoverageFlush(ledger, board, clock, metrics, instance=3)
    await flush.flush()
    assert store.keys == {}
    ledger.book("a.example", OUT, "opaque", 10)
    await flush.flush()
    versions = {key: held.version for key, held in store.keys.items()}
    await flush.flush()  # nothing new: nothing written
    assert {key: held.version for key, held in store.keys.items()} == versions
    ledger.book("a.example", OUT, "opaque", 5)
    store.down = True
    await flush.flush()
    await flush.flush()
    assert len(caplog.records) == 1
    clock.now += 3600
    store.down = False
    await flush.flush()
    assert (await board.read(1, 1)).rows == {ROW: Count(2, 15)}
    assert ledger.hours() == {}
    assert metrics.value("safelight_store_errors_total", operation="coverage") == 2
