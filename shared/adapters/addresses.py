"""``host:port`` as in the configuration."""

from __future__ import annotations

import errno
from typing import Final

from shared.errors import ConfigError

MAX_PORT: Final = 65_535


def split_address(address: str) -> tuple[str, int]:
    """Return host and port of ``host:port`` or ``[v6]:port``; raises ConfigError for a port beyond 65535."""
    host, _, port = address.rpartition(":")
    if int(port) > MAX_PORT:
        raise ConfigError(f"{address}: a port is at most {MAX_PORT}")
    return host.strip("[]"), int(port)


def join_address(host: object, port: object) -> str:
    """Return ``host:port``, the host in brackets where it is an IPv6 address."""
    return f"[{host}]:{port}" if ":" in str(host) else f"{host}:{port}"


def listen_error(key: str, address: str, error: OSError) -> str:
    """Return the sentence for an address that cannot be bound."""
    if error.errno == errno.EADDRINUSE:
        return f"{address} is in use: stop what listens there, or set {key} to another address"
    return f"cannot listen on {address} ({key}): {error.strerror or error}"
