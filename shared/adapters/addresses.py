"""``host:port`` as in the configuration."""

from __future__ import annotations

import errno


def split_address(address: str) -> tuple[str, int]:
    """Return host and port of ``host:port`` or ``[v6]:port``."""
    host, _, port = address.rpartition(":")
    return host.strip("[]"), int(port)


def listen_error(key: str, address: str, error: OSError) -> str:
    """Return the sentence for an address that cannot be bound."""
    if error.errno == errno.EADDRINUSE:
        return f"{address} is in use: stop what listens there, or set {key} to another address"
    return f"cannot listen on {address} ({key}): {error.strerror or error}"
