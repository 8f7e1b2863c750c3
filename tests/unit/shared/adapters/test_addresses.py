"""Addresses as in the configuration."""

import errno

import pytest

from shared.adapters.addresses import join_address, listen_error, split_address
from shared.errors import ConfigError


def test_addresses_split() -> None:
    assert split_address("127.0.0.1:80") == ("127.0.0.1", 80)
    assert split_address("[::1]:443") == ("::1", 443)


def test_split_addresses_join_again() -> None:
    for address in ("127.0.0.1:80", "[::1]:443"):
        assert join_address(*split_address(address)) == address


def test_a_port_that_cannot_be_is_a_mistake_of_the_configuration() -> None:
    with pytest.raises(ConfigError, match="65535"):
        split_address("127.0.0.1:65536")


def test_a_port_in_use_says_what_to_do() -> None:
    sentence = listen_error("proxy.listen", "127.0.0.1:1", OSError(errno.EADDRINUSE, "in use"))
    assert "127.0.0.1:1 is in use" in sentence
    assert "proxy.listen" in sentence
    assert "denied" in listen_error("proxy.listen", "127.0.0.1:1", OSError(errno.EACCES, "denied"))
