"""What is not HTTP any more passes, and is counted."""

from __future__ import annotations

import asyncio
import base64
import hashlib
from pathlib import Path

from tests.factories import make_policy
from tests.proxies import Setup, serve_proxy

MAGIC = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"  # RFC 6455, section 1.3
KEY = base64.b64encode(bytes(16))
ACCEPT = base64.b64encode(hashlib.sha1(KEY + MAGIC, usedforsecurity=False).digest())
GREETING = b"\x81\x05hello"
MASKED = b"\x81\x82\x00\x00\x00\x00hi"


async def serve_websocket(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.readuntil(b"\r\n\r\n")
    writer.write(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n")
    writer.write(b"Sec-WebSocket-Accept: " + ACCEPT + b"\r\n\r\n" + GREETING)
    frame = await reader.readexactly(len(MASKED))
    mask = frame[2:6]
    text = bytes(byte ^ mask[index % 4] for index, byte in enumerate(frame[6:]))
    writer.write(b"\x81" + bytes([len(text)]) + text)
    await reader.read()
    writer.close()


async def test_websocket_messages_pass_and_are_counted(tmp_path: Path) -> None:
    server = await asyncio.start_server(serve_websocket, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    setup = Setup(policies=[make_policy()])
    async with serve_proxy(setup, tmp_path) as proxy:
        host, own_port = proxy.address.split(":")
        reader, writer = await asyncio.open_connection(host, int(own_port))
        writer.write(b"GET http://127.0.0.1:%d/chat HTTP/1.1\r\nHost: 127.0.0.1:%d\r\n" % (port, port))
        writer.write(b"Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n")
        writer.write(b"Sec-WebSocket-Key: " + KEY + b"\r\n\r\n")
        async with asyncio.timeout(10):
            assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 101 ")
            assert await reader.readexactly(len(GREETING)) == GREETING
            writer.write(MASKED)
            assert await reader.readexactly(4) == b"\x81\x02hi"
        writer.close()
        assert proxy.addon.in_flight == 0
    server.close()
    assert setup.metrics.value("safelight_proxy_uninspected_total", reason="opaque") == 1
