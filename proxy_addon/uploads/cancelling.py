"""Gives up a blocked upload at its origin, so that what has arrived there is not kept and clients stop trying.

The request is the blocked one's with another method and no body: it carries the same credentials to the same address.
It is best effort, made once behind the flow's back; the upload stays refused whatever comes of it.
"""

from __future__ import annotations

import asyncio
import http.client
import logging
import socket
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from proxy_addon.runtime.upstream import Address, parse_address
from shared.telemetry import Metrics
from shared.types import Cancel, Headers, HttpHead

TIMEOUT_SECONDS: Final = 5.0
MAX_WAITING: Final = 64
"""Requests under way at once; of more the oldest are enough."""

# Connection control (RFC 9110, section 7.6.1), what is about the body that is not sent, what makes it a part.
_LEFT_OUT: Final = frozenset(
    {
        "connection",
        "expect",
        "host",
        "keep-alive",
        "proxy-authorization",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
        "upload-offset",
        "x-http-method-override",
    }
)
_DEFAULT_PORTS: Final = {"http": 80, "https": 443}
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Cancellation:
    """A request without a body."""

    scheme: str
    host: str
    port: int
    method: str
    target: str
    headers: Headers


def cancellation(head: HttpHead, cancel: Cancel) -> Cancellation:
    """Return the request that gives up the upload which ``head`` is a part of."""
    set_here = {name for name, _ in cancel.headers}
    kept = tuple(
        (name, value)
        for name, value in head.headers
        if name not in _LEFT_OUT and name not in set_here and not name.startswith(("content-", ":"))
    )
    return Cancellation(
        scheme=head.scheme,
        host=head.host,
        port=head.port,
        method=cancel.method,
        target=f"{head.path}?{head.query}" if head.query else head.path,
        headers=(*kept, *cancel.headers),
    )


class Canceller:
    """Sends cancellations, each in a thread; connects where the proxy itself would."""

    def __init__(self, resolve: Mapping[str, str], trusted: Path, metrics: Metrics) -> None:
        self._table = {parse_address(name): parse_address(place) for name, place in resolve.items()}
        self._trusted = trusted
        self._metrics = metrics
        self._running: set[asyncio.Task[None]] = set()

    def start(self, what: Cancellation) -> None:
        """Send a request; its outcome is counted."""
        if len(self._running) >= MAX_WAITING:
            self._count("skipped")
            return
        task = asyncio.get_running_loop().create_task(self._send(what))
        self._running.add(task)
        task.add_done_callback(self._running.discard)

    async def finish(self) -> None:
        """Wait for what is under way; every request is bounded."""
        if self._running:
            await asyncio.wait(self._running)

    async def _send(self, what: Cancellation) -> None:
        place = self._table.get((what.host, what.port), (what.host, what.port))
        try:
            status = await asyncio.to_thread(_exchange, what, place, self._trusted)
        except (OSError, http.client.HTTPException, ValueError) as error:
            _log.warning("an upload was not cancelled at %s: %s", what.host, error)
            self._count("failed")
            return
        # 404 and 410: it is gone already; 499 is how Google says that it is.
        self._count("cancelled" if status < 300 or status in {404, 410, 499} else "refused")

    def _count(self, outcome: str) -> None:
        self._metrics.count("safelight_proxy_upload_cancels_total", outcome=outcome)


def _exchange(what: Cancellation, place: Address, trusted: Path) -> int:
    connection = http.client.HTTPConnection(what.host, what.port, timeout=TIMEOUT_SECONDS)
    try:
        plain = socket.create_connection(place, TIMEOUT_SECONDS)
        connection.sock = plain
        if what.scheme == "https":
            context = ssl.create_default_context(cafile=str(trusted))
            # As strict as the proxy's own connections: authorities of companies lack fields that RFC 5280 asks for.
            context.verify_flags &= ~ssl.VerifyFlags.VERIFY_X509_STRICT
            connection.sock = context.wrap_socket(plain, server_hostname=what.host)
        connection.putrequest(what.method, what.target, skip_host=True, skip_accept_encoding=True)
        connection.putheader("host", _authority(what))
        for name, value in what.headers:
            connection.putheader(name, value)
        connection.putheader("content-length", "0")
        connection.endheaders()
        return connection.getresponse().status
    finally:
        connection.close()


def _authority(what: Cancellation) -> str:
    host = f"[{what.host}]" if ":" in what.host else what.host
    return host if what.port == _DEFAULT_PORTS.get(what.scheme) else f"{host}:{what.port}"
