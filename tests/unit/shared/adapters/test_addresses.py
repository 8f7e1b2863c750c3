"""Addresses as in the configuration."""

import errno

from shared.adapters.addresses import listen_error, split_address


def test_addresses_split() -> None:
    assert split_address("127.0.0.1:80") == ("127.0.0.1", 80)
    assert split_address("[::1]:443") == ("::1", 443)


def test_a_port_in_use_says_what_to_do() -> None:
    sentence = listen_error("proxy.listen", "127.0.0.1:1", OSError(errno.EADDRINUSE, "in use"))
    assert "127.0.0.1:1 is in use" in sentence
    assert "proxy.listen" in sentence
    assert "denied" in listen_error("proxy.listen", "127.0.0.1:1", OSError(errno.EACCES, "denied"))
