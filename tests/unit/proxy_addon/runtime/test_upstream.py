"""Connecting elsewhere."""

from __future__ import annotations

import pytest
from mitmproxy.connection import Client, ConnectionState, Server
from mitmproxy.proxy.server_hooks import ServerConnectionHookData

from proxy_addon.runtime.upstream import Resolve, parse_address
from shared.errors import ConfigError


def make_data(host: str, port: int) -> ServerConnectionHookData:
    client = Client(peername=("192.0.2.7", 5000), sockname=("192.0.2.1", 8080), timestamp_start=0.0)
    return ServerConnectionHookData(server=Server(address=(host, port)), client=client)


def test_the_other_address_is_there_for_the_attempt_only() -> None:
    resolve = Resolve({"www.Example.com:443": "127.0.0.1:9443"})
    data = make_data("WWW.example.com", 443)
    data.server.sni = "www.example.com"
    resolve.server_connect(data)
    assert data.server.address == ("127.0.0.1", 9443)
    data.server.state = ConnectionState.OPEN
    resolve.server_connected(data)
    assert data.server.address == ("WWW.example.com", 443)
    assert data.server.sni == "www.example.com"


def test_an_attempt_that_fails_puts_it_back_too() -> None:
    resolve = Resolve({"www.example.com:443": "[::1]:9443"})
    data = make_data("www.example.com", 443)
    resolve.server_connect(data)
    assert data.server.address == ("::1", 9443)
    resolve.server_connect_error(data)
    assert data.server.address == ("www.example.com", 443)


@pytest.mark.parametrize("address", [("www.example.com", 80), ("example.com", 443)])
def test_other_addresses_are_left_alone(address: tuple[str, int]) -> None:
    resolve = Resolve({"www.example.com:443": "127.0.0.1:9443"})
    data = make_data(*address)
    resolve.server_connect(data)
    resolve.server_connected(data)
    assert data.server.address == address


@pytest.mark.parametrize("text", ["example.com", "example.com:", ":80", "a:b:80", "example.com:65536", "x:80 "])
def test_what_is_no_address_is_said_in_a_sentence(text: str) -> None:
    with pytest.raises(ConfigError, match="not host:port"):
        parse_address(text)
