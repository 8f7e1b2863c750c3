"""``/metrics``, ``/healthz`` and ``/readyz`` of one process, served from a thread of its own.

A thread and the standard library on purpose: the answer must come while the event loop is busy, and a scrape must not
hold the loop that inspects traffic.
"""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Callable
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Final

from shared.adapters.addresses import join_address, listen_error, split_address
from shared.errors import ConfigError

EXPOSITION_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"
REQUEST_TIMEOUT: Final = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class StatusSource:
    """What the endpoint reports; all are called in the server's threads."""

    exposition: Callable[[], bytes]
    waiting_for: Callable[[], tuple[str, ...]]
    healthy: Callable[[], bool]
    warnings: Callable[[], tuple[str, ...]] = tuple


class StatusServer:
    """Serve a source until ``stop``."""

    def __init__(self, listen: str, source: StatusSource) -> None:
        host, port = split_address(listen)
        try:
            self._server = (_ServerV6 if ":" in host else _Server)((host, port), _handler(source))
        except OSError as error:
            raise ConfigError(listen_error("metrics.listen", listen, error)) from error
        self._thread = threading.Thread(target=self._server.serve_forever, name="status", daemon=True)

    @property
    def address(self) -> str:
        """The address that was bound."""
        return join_address(*self._server.server_address[:2])

    def start(self) -> None:
        """Begin to answer."""
        self._thread.start()

    def stop(self) -> None:
        """Close the port and end the thread."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    # SO_REUSEADDR lets a restarted role bind at once; a port that is really in use still fails.
    allow_reuse_address = True


class _ServerV6(_Server):
    address_family = socket.AF_INET6


def _handler(source: StatusSource) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        timeout = REQUEST_TIMEOUT
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            path = self.path.partition("?")[0]
            if path == "/metrics":
                self._answer(200, EXPOSITION_TYPE, source.exposition())
            elif path == "/healthz":
                healthy = source.healthy()
                self._json(200 if healthy else 503, {"healthy": healthy})
            elif path == "/readyz":
                waiting, warnings = source.waiting_for(), source.warnings()
                state = {"ready": not waiting, "waiting_for": list(waiting)}
                self._json(503 if waiting else 200, {**state, "warnings": list(warnings)} if warnings else state)
            else:
                self._json(404, {"error": "known paths: /metrics /healthz /readyz"})

        def _json(self, status: int, value: object) -> None:
            self._answer(status, "application/json", json.dumps(value).encode())

        def _answer(self, status: int, content_type: str, body: bytes) -> None:
            self.send_response(status)
            self.send_header("Content-Type", content_type)
            self.send_header("Content-Length", str(len(body)))
            self.send_header("Cache-Control", "no-store")
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class names it so
            """Scrapes are no news."""

    return Handler
