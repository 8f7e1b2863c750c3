"""A web-socket server for tests: says the SHA-256 of every message back, and remembers the messages."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from hashlib import sha256

from wsproto import ConnectionType, WSConnection
from wsproto.events import AcceptConnection, CloseConnection, Event, Message, Ping, Request, TextMessage
from wsproto.extensions import PerMessageDeflate


@dataclass
class WebSocketOrigin:
    """A running server; ``messages`` are those that came whole, text as UTF-8."""

    port: int = 0
    messages: list[bytes] = field(default_factory=list)
    _tasks: set[asyncio.Task[None]] = field(default_factory=set)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one connection."""
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        wire = WSConnection(ConnectionType.SERVER)
        whole = bytearray()
        try:
            while data := await reader.read(65536):
                wire.receive_data(data)
                for event in wire.events():
                    writer.write(self._take(wire, event, whole))
                await writer.drain()
        except (ConnectionError, asyncio.CancelledError):
            pass
        finally:
            self._tasks.discard(task)
            writer.close()

    def _take(self, wire: WSConnection, event: Event, whole: bytearray) -> bytes:
        if isinstance(event, Request):
            return wire.send(AcceptConnection(extensions=[PerMessageDeflate()]))
        if isinstance(event, Ping | CloseConnection):
            return wire.send(event.response())
        if not isinstance(event, Message):
            return b""
        whole += event.data.encode() if isinstance(event.data, str) else event.data
        if not event.message_finished:
            return b""
        self.messages.append(bytes(whole))
        whole.clear()
        return wire.send(TextMessage(data=sha256(self.messages[-1]).hexdigest()))

    async def end(self) -> None:
        """Cut what is still connected."""
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)


@asynccontextmanager
async def serve_websocket(tls: ssl.SSLContext) -> AsyncIterator[WebSocketOrigin]:
    """Serve on a free loopback port."""
    origin = WebSocketOrigin()
    server = await asyncio.start_server(origin.serve, "127.0.0.1", 0, ssl=tls)
    origin.port = server.sockets[0].getsockname()[1]
    try:
        yield origin
    finally:
        server.close()
        await origin.end()
