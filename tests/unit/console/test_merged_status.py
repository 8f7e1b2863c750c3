"""Several processes, one exposition."""

from collections.abc import Iterator
from functools import partial

import pytest

from console.merged_status import RoleStatus, merge_expositions, merged_waiting_for
from shared.adapters.status_server import StatusServer, StatusSource
from shared.telemetry import Metrics


@pytest.fixture
def servers() -> Iterator[list[StatusServer]]:
    started = []
    for waiting in ((), ("index",)):
        metrics = Metrics()
        metrics.set("safelight_up", 1)
        metrics.count("safelight_store_errors_total", 2, operation="get")
        metrics.observe("safelight_worker_search_seconds", 0.001)
        source = StatusSource(
            exposition=metrics.exposition, waiting_for=partial(tuple[str, ...], waiting), healthy=lambda: True
        )
        started.append(StatusServer("127.0.0.1:0", source))
        started[-1].start()
    yield started
    for server in started:
        server.stop()


def roles(servers: list[StatusServer]) -> list[RoleStatus]:
    return [
        RoleStatus(role="proxy", address=servers[0].address),
        RoleStatus(role="worker", address=servers[1].address),
        RoleStatus(role="alerts", address=None),
        RoleStatus(role="console", address="127.0.0.1:1"),
    ]


def test_each_sample_carries_its_role_and_each_family_stands_once(servers: list[StatusServer]) -> None:
    text = merge_expositions(roles(servers)).decode()
    assert 'safelight_up{role="proxy"} 1.0' in text
    assert 'safelight_up{role="worker"} 1.0' in text
    assert 'safelight_store_errors_total{operation="get",role="worker"} 2.0' in text
    assert 'safelight_worker_search_seconds_count{role="proxy"} 1.0' in text
    assert text.count("# TYPE safelight_store_errors_total counter") == 1


def test_what_is_missing_is_named_by_role(servers: list[StatusServer]) -> None:
    assert merged_waiting_for(roles(servers)) == ("worker:index", "alerts", "console")
