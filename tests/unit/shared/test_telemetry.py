"""One table of metrics, named by the conventions."""

import pytest

from shared.telemetry import METRICS, Metrics, Readiness
from shared.types import Direction


def test_names_follow_the_conventions() -> None:
    assert len({metric.name for metric in METRICS}) == len(METRICS)
    for metric in METRICS:
        assert metric.name.startswith("safelight_")
        assert metric.name.endswith("_total") == (metric.kind == "counter"), metric.name
        assert metric.help


def test_each_kind_counts() -> None:
    metrics = Metrics()
    metrics.count("safelight_proxy_images_total", 2, direction="outbound")
    metrics.set("safelight_index_position", 7)
    metrics.observe("safelight_proxy_verdict_seconds", 0.004)
    assert metrics.value("safelight_proxy_images_total", direction="outbound") == 2
    assert metrics.value("safelight_proxy_images_total", direction="inbound") == 0
    assert metrics.value("safelight_index_position") == 7
    assert metrics.value("safelight_proxy_verdict_seconds") == 1
    assert b'safelight_proxy_images_total{direction="outbound"} 2.0' in metrics.exposition()


def test_a_label_counts_by_its_text_wherever_it_stands() -> None:
    metrics = Metrics()
    metrics.count("safelight_proxy_messages_total", direction=Direction.OUTBOUND, outcome="passed")
    metrics.count("safelight_proxy_messages_total", outcome="passed", direction="outbound")
    metrics.count("safelight_proxy_messages_total", direction="passed", outcome="outbound")
    assert metrics.value("safelight_proxy_messages_total", direction="outbound", outcome="passed") == 2


def test_a_metric_that_is_not_in_the_table_is_a_mistake() -> None:
    with pytest.raises(KeyError):
        Metrics().count("safelight_unknown_total")


def test_readiness_names_what_is_missing() -> None:
    state = {"bus": False}
    readiness = Readiness({"bus": lambda: state["bus"]})
    readiness.add("index", lambda: True)
    assert readiness.waiting_for() == ("bus",)
    state["bus"] = True
    assert readiness.waiting_for() == ()
