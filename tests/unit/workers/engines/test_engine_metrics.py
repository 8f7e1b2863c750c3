"""Two engines, one registry."""

from shared.telemetry import Metrics
from workers.engines.engine_metrics import EngineMetrics


def test_gauges_are_those_of_the_engine_that_answers() -> None:
    worker = Metrics()
    first, second = EngineMetrics(worker), EngineMetrics(worker)
    first.show()
    first.set("safelight_index_references", 3)
    second.set("safelight_index_references", 5)
    second.set("safelight_index_bytes", 70, kind="views")
    assert worker.value("safelight_index_references") == 3
    assert worker.value("safelight_index_bytes", kind="views") == 0
    first.hide()
    second.show()
    first.set("safelight_index_references", 4)
    assert worker.value("safelight_index_references") == 5
    assert worker.value("safelight_index_bytes", kind="views") == 70
    second.set("safelight_index_references", 6)
    assert worker.value("safelight_index_references") == 6


def test_what_is_counted_is_the_workers() -> None:
    worker = Metrics()
    engine = EngineMetrics(worker)
    engine.count("safelight_index_rejected_entries_total", cause="encoder")
    engine.observe("safelight_worker_redact_seconds", 0.1)
    assert worker.value("safelight_index_rejected_entries_total", cause="encoder") == 1
    assert worker.value("safelight_worker_redact_seconds") == 1
