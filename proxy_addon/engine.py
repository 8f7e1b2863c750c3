"""mitmproxy with the parts that a proxy needs and no more: half of its time per request goes to its stock addons.

Its own start-up prints and exits; here a port in use is an error for the caller.  Flows are not kept.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Final

from mitmproxy.addons.core import Core
from mitmproxy.addons.disable_h2c import DisableH2C
from mitmproxy.addons.next_layer import NextLayer
from mitmproxy.addons.proxyserver import Proxyserver
from mitmproxy.addons.tlsconfig import TlsConfig
from mitmproxy.connection import Client, Server
from mitmproxy.exceptions import OptionsError
from mitmproxy.http import MessageData
from mitmproxy.master import Master
from mitmproxy.net.free_port import get_free_port
from mitmproxy.options import Options
from mitmproxy.proxy.context import Context
from mitmproxy.proxy.mode_servers import ServerInstance
from mitmproxy.tls import TlsData

from proxy_addon.runtime.connection_handler import ClientHandler
from proxy_addon.runtime.dispatch import CachedDispatch
from proxy_addon.runtime.waiting import until
from shared.adapters.addresses import listen_error, split_address
from shared.errors import ConfigError

Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
CLOSE_SECONDS: Final = 1.0
BACKLOG: Final = 1024
"""Connections that wait to be accepted; mitmproxy has asyncio's 100, less than a browser farm opens at once."""


class Engine:
    """One listening proxy; with ``shared_port`` several processes listen on one port, and the kernel deals out."""

    def __init__(
        self, listen: str, ca_folder: Path, trusted: Path, addons: Sequence[object], *, shared_port: bool = False
    ) -> None:
        self._listen = listen
        self._shared_port = shared_port
        self._ca_folder = ca_folder
        self._trusted = trusted
        self._addons = addons
        self._server = Proxyserver()
        self._master: Master | None = None

    def listening(self) -> bool:
        """Tell whether clients can connect."""
        return any(server.is_running for server in self._server.servers)

    async def start(self) -> str:
        """Listen; return the address that was bound.  Raises ConfigError."""
        host, port = split_address(self._listen)
        # As mitmproxy's own start-up does: a hook that need not wait is over without a turn of the loop, which saves a
        # tenth of a request's time.
        asyncio.get_running_loop().set_task_factory(asyncio.eager_task_factory)
        # Checks the types of every message's fields, for mitmproxy's own developers: a fifth of a request's time.
        MessageData.__post_init__ = _unchecked  # type: ignore[method-assign]
        master = Master(Options())
        # Turns every log record into an event for all addons; none of them wants it.
        master._legacy_log_events.uninstall()  # noqa: SLF001
        dispatch = master.addons = CachedDispatch(master)
        tls = TlsConfig()
        master.addons.add(Core(), DisableH2C(), self._server, NextLayer(), tls, *self._addons)
        try:
            # After the addons, since each reads the options when they change.
            master.options.update(
                listen_host=host,
                listen_port=port,
                confdir=str(self._ca_folder),
                ssl_verify_upstream_trusted_ca=str(self._trusted),
                # A refused upload must not even connect.
                connection_strategy="lazy",
                http2=True,
                # Only TCP is listened to; this also keeps DNS from offering it, should DNS ever be forwarded.
                http3=False,
            )
        except OptionsError as error:
            raise ConfigError(f"the proxy cannot start: {error}") from error
        await master.running()
        _warm_up(tls, master.options)
        await self._bind(master, dispatch)
        self._master = master
        bound = self._server.listen_addrs()[0]
        return f"[{bound[0]}]:{bound[1]}" if ":" in bound[0] else f"{bound[0]}:{bound[1]}"

    async def _bind(self, master: Master, dispatch: CachedDispatch) -> None:
        instance: ServerInstance[Any] = ServerInstance.make("regular", self._server)

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            handler = ClientHandler(master, dispatch, instance, reader, writer)
            with self._server.register_connection(handler.client.id, handler):
                await handler.handle_client()

        instance.listen = partial(self._listen_at, serve)  # type: ignore[attr-defined]
        # Known to mitmproxy, which refuses to connect to its own listener.
        self._server.servers._instances[instance.mode] = instance  # noqa: SLF001
        try:
            await instance.start()
        except OSError as error:
            raise ConfigError(listen_error("proxy.listen", self._listen, error)) from error

    async def _listen_at(self, serve: Serve, host: str, port: int) -> list[asyncio.Server]:
        """Listen as mitmproxy would, with a backlog for bursts and, where asked for, beside others on the port."""
        server = await asyncio.start_server(
            serve,
            host,
            port or get_free_port(),
            reuse_port=self._shared_port or None,
            backlog=BACKLOG,
        )
        return [server]

    async def stop_listening(self) -> None:
        """Accept no more connections."""
        if self.listening():
            await self._server.servers.update([])

    async def close(self) -> None:
        """Close the connections that are left."""
        for handler in list(self._server.connections.values()):
            transport = handler.transports.get(handler.client)
            if transport is not None and transport.handler is not None:
                transport.handler.cancel("the proxy stops")
        await until(lambda: not self._server.connections, CLOSE_SECONDS)
        if self._master is not None:
            await self._master.done()


def _unchecked(_: MessageData) -> None:
    """Let the fields of a message be what the layers have put into them."""


def _warm_up(tls: TlsConfig, options: Options) -> None:
    """Read the trusted authorities before the first connection: 150 certificates hold the event loop for 20 ms."""
    client = Client(peername=("127.0.0.1", 0), sockname=("127.0.0.1", 0), timestamp_start=0.0)
    server = Server(address=("localhost", 443))
    tls.tls_start_server(TlsData(conn=server, context=Context(client, options)))
