"""mitmproxy's hooks for who is behind a flow: the PROXY header, proxy authentication, forwarded addresses.

A tunnel is asked once, at its CONNECT; what flows inside is its opener's.  Plain requests are asked one by one: a load
balancer sends those of many clients over one connection.  Credentials, and what a trusted balancer or agent adds, are
for this proxy and never reach an origin.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable
from typing import Final

from mitmproxy import ctx
from mitmproxy.connection import Client
from mitmproxy.http import HTTPFlow

from proxy_addon import flows
from proxy_addon.identity.identifiers import Asked, Challenge, Identity, TrustedProxies
from proxy_addon.identity.proxy_header import FIRST_READ, ProxyHeaderError, Source, header_length, parse
from proxy_addon.policies.failsafe import Failsafe
from proxy_addon.responses.reply import Reply
from shared.telemetry import Metrics
from shared.types import Actor

HEADER_SECONDS: Final = 5.0
"""A load balancer sends its header at once."""
_CREDENTIALS: Final = "proxy-authorization"
_CREDENTIALS_FIELD: Final = _CREDENTIALS.encode()
_FORWARDED: Final = "x-forwarded-for"
_log = logging.getLogger(__name__)


class Identification:
    """The addon; stands before the one that inspects."""

    def __init__(
        self,
        identity: Identity,
        trusted: TrustedProxies,
        failsafe: Failsafe,
        metrics: Metrics,
        *,
        proxy_protocol: bool = False,
        device_header: str = "",
    ) -> None:
        self._identity = identity
        self._trusted = trusted
        self._failsafe = failsafe
        self._metrics = metrics
        self._proxy_protocol = proxy_protocol
        self._device_header = device_header.lower()
        self._tunnels: dict[str, Actor] = {}  # id of a client connection -> who opened its tunnel

    async def client_connected(self, client: Client) -> None:
        """Read the PROXY header of a trusted load balancer; without a good one its connection is closed."""
        if not self._proxy_protocol or client.peername[0] not in self._trusted:
            return
        reader = _reader(client)
        try:
            source = await asyncio.wait_for(read_proxy_header(reader), HEADER_SECONDS)
        except (ProxyHeaderError, TimeoutError, OSError, EOFError) as error:
            client.error = str(error) or "no PROXY header in time"
            self._metrics.count("safelight_proxy_refused_connections_total", cause="proxy_header")
            _log.warning("a connection from %s is closed: %s", client.peername[0], client.error)
            return
        if source is not None:
            client.peername = (source.ip, source.port)

    def client_disconnected(self, client: Client) -> None:
        """Forget who it was."""
        self._tunnels.pop(client.id, None)

    async def http_connect(self, flow: HTTPFlow) -> None:
        """Find out who opens a tunnel."""
        actor = await self._identify(flow)
        if actor is not None:
            self._tunnels[flow.client_conn.id] = actor

    def requestheaders(self, flow: HTTPFlow) -> Awaitable[None] | None:
        """Find out who sends a request."""
        if flow.error is not None:  # refused by mitmproxy as malformed
            return None
        actor = self._tunnels.get(flow.client_conn.id) or self._by_address(flow)
        if actor is None:
            return self._identify_sender(flow)
        if flows.has_field(flow.request.headers, _CREDENTIALS_FIELD):
            del flow.request.headers[_CREDENTIALS]
        flows.set_actor(flow, actor)
        return None

    def _by_address(self, flow: HTTPFlow) -> Actor | None:
        """Return who sends a request where its address is all there is to know; that needs no task."""
        ip = flows.client_ip(flow.client_conn)
        return Actor(ip=ip) if self._identity.goes_by_address and ip not in self._trusted else None

    async def _identify_sender(self, flow: HTTPFlow) -> None:
        actor = await self._identify(flow)
        if actor is not None:
            flows.set_actor(flow, actor)

    async def _identify(self, flow: HTTPFlow) -> Actor | None:
        """Return the actor; None: the flow has its answer, which lets nothing through."""

        async def work() -> Actor | Reply:
            try:
                return await self._identity.actor(self._asked(flow))
            except Challenge as challenge:
                return _reply(407, "who are you?", ("Proxy-Authenticate", challenge.header))

        found = await self._failsafe.guard("identify", work, lambda: _reply(503, "the proxy cannot tell who you are"))
        if isinstance(found, Actor):
            return found
        flows.answer(flow, found)
        return None

    def _asked(self, flow: HTTPFlow) -> Asked:
        headers, peer = flow.request.headers, str(flow.client_conn.peername[0])
        credentials, device, ip = headers.get(_CREDENTIALS, ""), "", peer
        if credentials:
            del headers[_CREDENTIALS]
        if peer in self._trusted:
            ip = self._trusted.client(peer, headers.get_all(_FORWARDED))
            headers.pop(_FORWARDED, None)
            if self._device_header:
                device = headers.pop(self._device_header, "")[:256]
        return Asked(ip=ip, credentials=credentials, device=device)


async def read_proxy_header(reader: asyncio.StreamReader) -> Source | None:
    """Read a PROXY header and not a byte more; raises ProxyHeaderError, EOFError."""
    header = b""
    while (length := header_length(header)) is None or length > len(header):
        # One by one where the end is not known: a line may end anywhere, and what follows it is the client's.
        wanted = length - len(header) if length else (FIRST_READ if not header else 1)
        header += await reader.readexactly(wanted)
    if len(header) > length:
        raise ProxyHeaderError("a malformed PROXY line")
    return parse(header)


def _reader(client: Client) -> asyncio.StreamReader:
    reader = ctx.master.addons.get("proxyserver").connections[client.id].transports[client].reader
    if not isinstance(reader, asyncio.StreamReader):
        raise TypeError("a PROXY header comes over TCP")
    return reader


def _reply(status: int, text: str, *headers: tuple[str, str]) -> Reply:
    body = text.encode()
    fields = (("Content-Type", "text/plain"), ("Content-Length", str(len(body))), ("Cache-Control", "no-store"))
    return Reply(status=status, headers=(*fields, *headers), body=body)
