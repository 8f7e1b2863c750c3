"""Clients that cost little: they send one request after the other on connections that they keep, through a proxy."""

from __future__ import annotations

import asyncio
import ssl
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Literal

import h2.config
import h2.connection
import h2.events

Protocol = Literal["http/1.1", "TLS, http/1.1", "TLS, h2"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """Requests go through ``proxy`` (host, port) to ``path`` at localhost's ``port``; ``authority``: a PEM file."""

    proxy: tuple[str, int]
    port: int
    path: str
    authority: str
    body: bytes = b""
    media_type: str = "application/json"


Ask = Callable[[], Awaitable[None]]
Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


async def run(target: Target, protocol: Protocol, *, connections: int, requests: int) -> float:
    """Send ``requests`` in all over ``connections``; return the seconds it took."""
    ready = await asyncio.gather(*(connected(target, protocol) for _ in range(connections)))
    begun = time.perf_counter()
    await asyncio.gather(*(_repeat(ask, requests // connections) for ask, _ in ready))
    spent = time.perf_counter() - begun
    for _, writer in ready:
        writer.close()
    return spent


async def _repeat(ask: Ask, times: int) -> None:
    for _ in range(times):
        await ask()


async def connected(target: Target, protocol: Protocol) -> tuple[Ask, asyncio.StreamWriter]:
    """Return how to ask on a new connection, and the connection, to be closed."""
    if protocol == "http/1.1":
        reader, writer = await asyncio.open_connection(*target.proxy)
        return _http1(reader, writer, target, f"http://localhost:{target.port}{target.path}"), writer
    reader, writer = await _through_tunnel(target, "h2" if protocol == "TLS, h2" else "http/1.1")
    ask = _http2(reader, writer, target) if protocol == "TLS, h2" else _http1(reader, writer, target, target.path)
    await ask()  # what the first request of a connection costs is another question
    return ask, writer


async def _through_tunnel(target: Target, alpn: str) -> Streams:
    reader, writer = await asyncio.open_connection(*target.proxy)
    writer.write(f"CONNECT localhost:{target.port} HTTP/1.1\r\nHost: localhost:{target.port}\r\n\r\n".encode())
    head = await reader.readuntil(b"\r\n\r\n")
    if b" 200 " not in head.split(b"\r\n")[0]:
        raise ConnectionError(f"the proxy refused the tunnel: {head!r}")
    context = ssl.create_default_context(cafile=target.authority)
    context.set_alpn_protocols([alpn])
    await writer.start_tls(context, server_hostname="localhost")
    chosen = writer.get_extra_info("ssl_object").selected_alpn_protocol()
    if chosen != alpn:
        raise ConnectionError(f"the proxy speaks {chosen}, not {alpn}")
    return reader, writer


def _http1(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, target: Target, address: str) -> Ask:
    method = "POST" if target.body else "GET"
    length = f"Content-Length: {len(target.body)}\r\nContent-Type: {target.media_type}\r\n" if target.body else ""
    request = f"{method} {address} HTTP/1.1\r\nHost: localhost:{target.port}\r\n{length}\r\n".encode() + target.body

    async def ask() -> None:
        writer.write(request)
        head = (await reader.readuntil(b"\r\n\r\n")).lower()
        if not head.startswith(b"http/1.1 200"):
            raise ConnectionError(f"answered {head[:200]!r}")
        _, _, after = head.partition(b"content-length: ")
        await reader.readexactly(int(after.partition(b"\r\n")[0]))

    return ask


def _http2(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, target: Target) -> Ask:
    connection = h2.connection.H2Connection(h2.config.H2Configuration(header_encoding="utf-8"))
    connection.initiate_connection()
    fields = [
        (":method", "POST" if target.body else "GET"),
        (":scheme", "https"),
        (":authority", f"localhost:{target.port}"),
        (":path", target.path),
    ]
    if target.body:
        fields += [("content-type", target.media_type), ("content-length", str(len(target.body)))]

    async def ask() -> None:
        stream = connection.get_next_available_stream_id()
        connection.send_headers(stream, fields, end_stream=not target.body)
        if target.body:
            connection.send_data(stream, target.body, end_stream=True)
        writer.write(connection.data_to_send())
        while True:
            data = await reader.read(65536)
            if not data:
                raise ConnectionError("the proxy closed the connection")
            ended = False
            for event in connection.receive_data(data):
                if isinstance(event, h2.events.DataReceived):
                    connection.acknowledge_received_data(event.flow_controlled_length, stream)
                elif isinstance(event, h2.events.StreamReset):
                    raise ConnectionError(f"the stream was reset: {event.error_code}")
                ended = ended or isinstance(event, h2.events.StreamEnded)
            writer.write(connection.data_to_send())
            if ended:
                return

    return ask
