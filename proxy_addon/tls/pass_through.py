"""mitmproxy's hooks for TLS that is not decrypted: listed hosts, and clients that are pinned.

Only inside a tunnel whose CONNECT and whose SNI name the same host: a client that says one and means the other would
choose for itself what is inspected.  What is never let through (the catalogue's applications, by default) stays so,
pinned or not.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import Final
from uuid import uuid4

from mitmproxy.connection import Client
from mitmproxy.http import HTTPFlow
from mitmproxy.proxy.context import Context
from mitmproxy.tls import ClientHelloData, TlsData

from proxy_addon import flows
from proxy_addon.reporting.operation_alerts import operation_alert
from proxy_addon.tls.do_not_decrypt import Exceptions
from proxy_addon.tls.pinning import PinnedClients, Step
from proxy_addon.tls.tunnels import Tunnels
from shared.core.coverage import DO_NOT_DECRYPT, PINNED
from shared.ports import Clock
from shared.telemetry import Metrics
from shared.types import Alert, Severity

UNUSED_SECONDS: Final = 2.0
"""A client that checks the key after the handshake hangs up at once; a browser's spare connection waits longer."""
_NOT_ABOUT_TRUST: Final = ("Cannot parse ClientHello", "unsupported protocol", "no shared cipher", "does not speak TLS")
_log = logging.getLogger(__name__)
Record = Callable[[Sequence[Alert]], Awaitable[None]]


class PassThrough:
    """The addon."""

    def __init__(
        self,
        exceptions: Exceptions,
        pinned: PinnedClients,
        never: Callable[[str], bool],
        tunnels: Tunnels,
        clock: Clock,
        metrics: Metrics,
        record: Record,
    ) -> None:
        self._exceptions = exceptions
        self._pinned = pinned
        self._never = never
        self._tunnels = tunnels
        self._clock = clock
        self._metrics = metrics
        self._record = record
        self._unused: dict[str, tuple[str, str, float]] = {}  # client connection -> client, host, handshake's time

    def tls_clienthello(self, data: ClientHelloData) -> None:
        """Decide before anything is decrypted."""
        host = _host(data.context, data.client_hello.sni)
        if not host or self._never(host):
            return
        client = data.context.client
        if self._exceptions.category(host) is not None:
            self._let_through(data, DO_NOT_DECRYPT)
        elif self._pinned.passes(flows.client_ip(client), host, self._clock.monotonic()):
            self._let_through(data, PINNED)

    async def tls_failed_client(self, data: TlsData) -> None:
        """Count a client that does not trust this proxy's certificate."""
        host, error = _host(data.context, data.context.client.sni), data.conn.error or ""
        if host and not any(words in error for words in _NOT_ABOUT_TRUST):
            await self._failed(flows.client_ip(data.context.client), host)

    def tls_established_client(self, data: TlsData) -> None:
        """Wait for the first request: only then the client trusts the certificate."""
        client = data.context.client
        host = _host(data.context, client.sni)
        if host:
            self._unused[client.id] = flows.client_ip(client), host, self._clock.monotonic()

    def requestheaders(self, flow: HTTPFlow) -> None:
        """Take note of a client that trusts the certificate."""
        used = self._unused.pop(flow.client_conn.id, None) if self._unused else None
        if used is not None:
            self._pinned.worked(used[0], used[1])

    async def client_disconnected(self, client: Client) -> None:
        """Count a client that hung up right after the handshake."""
        unused = self._unused.pop(client.id, None)
        if unused is not None and self._clock.monotonic() - unused[2] < UNUSED_SECONDS:
            await self._failed(unused[0], unused[1])

    def _let_through(self, data: ClientHelloData, reason: str) -> None:
        data.ignore_connection = True
        self._tunnels.let_through(data.context.client, data.context.server, reason)
        self._metrics.count("safelight_proxy_let_through_total", reason=reason)

    async def _failed(self, client: str, host: str) -> None:
        if self._never(host):
            return
        step = self._pinned.failed(client, host, self._clock.monotonic())
        if step is Step.COUNTED:
            return
        if step is Step.LET_THROUGH:
            title, severity = "A pinned client is let through", Severity.MEDIUM
            detail = f"{client} does not trust our certificate for {host}: its TLS with it is not decrypted for a while"
        else:
            title, severity = "A client does not trust our CA", Severity.LOW
            detail = f"{client} fails with one host after another, the last was {host}: nothing more is let through"
        _log.warning("%s: %s", title, detail)
        alert = operation_alert(
            incident=uuid4().hex,
            time=self._clock.wall(),
            policy="safelight:pass-through",
            title=title,
            detail=detail,
            severity=severity,
            host=host,
            ip=client,
        )
        await self._record([alert])


def _host(context: Context, sni: str | None) -> str:
    """Return the host that CONNECT and SNI agree on; empty where they do not, and for TLS with the proxy itself."""
    address = context.server.address
    if not address:
        return ""
    host = str(address[0]).lower().rstrip(".")
    return host if sni is None or sni.lower().rstrip(".") == host else ""


class StayOnHttp:
    """Keeps clients from moving where this proxy is not: takes the advertisements of other services out."""

    def responseheaders(self, flow: HTTPFlow) -> None:
        """Remove Alt-Svc (RFC 7838), by which an origin invites to HTTP/3."""
        if flow.response is not None and flows.has_field(flow.response.headers, b"alt-svc"):
            del flow.response.headers["alt-svc"]
