"""The status endpoint as a scraper sees it."""

import http.client
import json
from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest

from shared.adapters.status_server import StatusServer, StatusSource
from shared.errors import ConfigError


@dataclass
class Role:
    """A role's state."""

    waiting: tuple[str, ...] = ()
    healthy: bool = True
    metrics: bytes = field(default=b"safelight_up 1.0\n")


@pytest.fixture
def role() -> Role:
    return Role()


@pytest.fixture
def server(role: Role) -> Iterator[StatusServer]:
    source = StatusSource(
        exposition=lambda: role.metrics, waiting_for=lambda: role.waiting, healthy=lambda: role.healthy
    )
    server = StatusServer("127.0.0.1:0", source)
    server.start()
    yield server
    server.stop()


def get(server: StatusServer, path: str) -> tuple[int, bytes]:
    connection = http.client.HTTPConnection(server.address, timeout=5)
    connection.request("GET", path)
    response = connection.getresponse()
    body = response.read()
    connection.close()
    return response.status, body


def test_metrics(server: StatusServer) -> None:
    assert get(server, "/metrics") == (200, b"safelight_up 1.0\n")


def test_ready_and_not(server: StatusServer, role: Role) -> None:
    status, body = get(server, "/readyz")
    assert (status, json.loads(body)) == (200, {"ready": True, "waiting_for": []})
    role.waiting = ("bus", "index")
    status, body = get(server, "/readyz?verbose")
    assert (status, json.loads(body)) == (503, {"ready": False, "waiting_for": ["bus", "index"]})


def test_health(server: StatusServer, role: Role) -> None:
    assert get(server, "/healthz")[0] == 200
    role.healthy = False
    assert get(server, "/healthz")[0] == 503


def test_other_paths_are_named(server: StatusServer) -> None:
    status, body = get(server, "/")
    assert status == 404
    assert b"/readyz" in body


def test_a_port_in_use_is_a_sentence(server: StatusServer, role: Role) -> None:
    source = StatusSource(exposition=lambda: b"", waiting_for=tuple, healthy=lambda: True)
    with pytest.raises(ConfigError, match="is in use"):
        StatusServer(server.address, source)


def test_it_listens_on_ipv6(role: Role) -> None:
    source = StatusSource(exposition=lambda: role.metrics, waiting_for=lambda: (), healthy=lambda: True)
    server = StatusServer("[::1]:0", source)
    server.start()
    try:
        assert server.address.startswith("[::1]:")
        assert get(server, "/metrics") == (200, role.metrics)
    finally:
        server.stop()
