import asyncio

import pytest

from proxy_addon.identity.addon import read_proxy_header
from proxy_addon.identity.proxy_header import SIGNATURE, ProxyHeaderError, Source

LINE = b"PROXY TCP4 192.0.2.7 192.0.2.1 50000 8080\r\n"
BINARY = SIGNATURE + b"\x21\x11\x00\x0c\xc0\x00\x02\x07\xc0\x00\x02\x01\xc3\x50\x1f\x90"


def fed(data: bytes) -> asyncio.StreamReader:
    reader = asyncio.StreamReader()
    reader.feed_data(data)
    reader.feed_eof()
    return reader


@pytest.mark.parametrize("header", [LINE, BINARY])
async def test_what_follows_the_header_is_left(header: bytes) -> None:
    reader = fed(header + b"GET /")
    assert await read_proxy_header(reader) == Source("192.0.2.7", 50000)
    assert await reader.read() == b"GET /"


async def test_the_shortest_header_is_read_without_waiting_for_more() -> None:
    reader = asyncio.StreamReader()
    reader.feed_data(b"PROXY UNKNOWN\r\n")
    assert await asyncio.wait_for(read_proxy_header(reader), 5) is None


async def test_a_line_that_ends_too_early_is_malformed() -> None:
    with pytest.raises(ProxyHeaderError):
        await read_proxy_header(fed(b"PROXY TCP4\r\nGET / HTTP/1.1\r\n"))


@pytest.mark.parametrize("header", [LINE, BINARY])
async def test_a_connection_that_ends_before_its_header_does(header: bytes) -> None:
    for end in range(len(header)):
        with pytest.raises(EOFError):
            await read_proxy_header(fed(header[:end]))
