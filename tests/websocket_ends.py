"""Two ends of a web socket with a proxy between them, for tests that look at single messages and frames."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from wsproto import ConnectionType, WSConnection
from wsproto.events import (
    AcceptConnection,
    BytesMessage,
    CloseConnection,
    Event,
    Message,
    Request,
    TextMessage,
)
from wsproto.extensions import PerMessageDeflate

from tests.proxies import RunningProxy, Setup, serve_proxy


def png(text: bytes) -> bytes:
    """A PNG whose structure holds, so that its end is known; what marks it comes late."""
    chunks = [(b"IHDR", bytes(13)), (b"IDAT", bytes(range(256)) * 40), (b"tEXt", text), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(len(data).to_bytes(4) + kind + data + bytes(4) for kind, data in chunks)


@dataclass
class End:
    """One end of a connection, over its own two streams."""

    wire: WSConnection
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    waiting: list[Event] = field(default_factory=list)

    def send(self, *messages: str | bytes) -> None:
        for message in messages:
            event = TextMessage(data=message) if isinstance(message, str) else BytesMessage(data=message)
            self.writer.write(self.wire.send(event))

    def send_fragments(self, *fragments: bytes) -> None:
        for number, data in enumerate(fragments, start=1):
            self.writer.write(self.wire.send(BytesMessage(data=data, message_finished=number == len(fragments))))

    async def event(self) -> Event:
        while not self.waiting:
            data = await self.reader.read(65536)
            self.wire.receive_data(data or None)
            self.waiting += self.wire.events()
        return self.waiting.pop(0)

    async def message(self) -> str | bytes:
        """Return the next message, or raise what ended the connection."""
        whole: list[str | bytes] = []
        while True:
            event = await self.event()
            if isinstance(event, CloseConnection):
                raise Closed(int(event.code), event.reason or "")
            if isinstance(event, Message):
                whole.append(event.data if isinstance(event.data, str) else bytes(event.data))
                if event.message_finished:
                    return "".join(map(str, whole)) if isinstance(whole[0], str) else b"".join(map(raw, whole))

    async def close_code(self) -> tuple[int, str]:
        with pytest.raises(Closed) as closed:
            await self.message()
        return closed.value.code, closed.value.reason


class Closed(Exception):
    """The other end, or the proxy, has closed."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(f"{code} {reason}")
        self.code, self.reason = code, reason


def raw(data: str | bytes) -> bytes:
    """A message as it is sent."""
    return data if isinstance(data, bytes) else data.encode()


@dataclass
class Connected:
    """A client and the server that it has reached through the proxy."""

    client: End
    server: End
    proxy: RunningProxy


@asynccontextmanager
async def connected(setup: Setup, tmp_path: Path, *, deflate: bool = False) -> AsyncIterator[Connected]:
    """Both ends, once the handshake is over."""
    arrived: asyncio.Future[End] = asyncio.get_running_loop().create_future()

    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        end = End(WSConnection(ConnectionType.SERVER), reader, writer)
        assert isinstance(await end.event(), Request)
        writer.write(end.wire.send(AcceptConnection(extensions=[PerMessageDeflate()] if deflate else [])))
        arrived.set_result(end)

    server = await asyncio.start_server(accept, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with asyncio.timeout(20), server, serve_proxy(setup, tmp_path) as proxy:
        host, own_port = proxy.address.split(":")
        reader, writer = await asyncio.open_connection(host, int(own_port))
        wire = WSConnection(ConnectionType.CLIENT)
        extensions = [PerMessageDeflate()] if deflate else []
        handshake = wire.send(Request(host=f"127.0.0.1:{port}", target="/chat", extensions=list(extensions)))
        # To a proxy the target is the whole address.
        writer.write(handshake.replace(b"GET /chat", b"GET http://127.0.0.1:%d/chat" % port, 1))
        client = End(wire, reader, writer)
        try:
            assert isinstance(await client.event(), AcceptConnection)
            yield Connected(client, await arrived, proxy)
        finally:
            writer.close()
            if arrived.done():
                arrived.result().writer.close()
