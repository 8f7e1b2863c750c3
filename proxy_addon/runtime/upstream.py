"""Connects elsewhere: ``proxy.resolve``, a resolver for names and ports.

Only the connection goes elsewhere.  The Host header, SNI and the name that the origin's certificate is verified for
stay what the client asked for.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from mitmproxy.proxy.server_hooks import ServerConnectionHookData

from shared.errors import ConfigError

Address = tuple[str, int]
_ADDRESS: Final = re.compile(r"(?:\[(?P<v6>[0-9A-Fa-f:.]+)\]|(?P<host>[^\s:\[\]]+)):(?P<port>\d{1,5})")


class Resolve:
    """Puts the address in just for the connection attempt.

    mitmproxy finds a connection to use again by the address asked for; left changed, it would never find one.
    """

    def __init__(self, resolve: Mapping[str, str]) -> None:
        self._table = {parse_address(name): parse_address(place) for name, place in resolve.items()}
        self._asked: dict[str, Address] = {}  # id of a server connection -> the address asked for

    def server_connect(self, data: ServerConnectionHookData) -> None:
        """Connect to the other address."""
        address = data.server.address
        place = self._table.get((address[0].lower(), address[1])) if address else None
        if address and place:
            self._asked[data.server.id] = (address[0], address[1])
            data.server.address = place

    def server_connected(self, data: ServerConnectionHookData) -> None:
        """Put the address asked for back."""
        self._restore(data)

    def server_connect_error(self, data: ServerConnectionHookData) -> None:
        """Put the address asked for back."""
        self._restore(data)

    def _restore(self, data: ServerConnectionHookData) -> None:
        asked = self._asked.pop(data.server.id, None)
        if asked is not None:
            # The class refuses to change an open connection's address; here it gets the one that it was opened for.
            object.__setattr__(data.server, "address", asked)


def parse_address(text: str) -> Address:
    """Return host (lower case) and port; raises ConfigError."""
    match = _ADDRESS.fullmatch(text)
    if match is None or int(match["port"]) > 65535:
        raise ConfigError(f"{text!r} is not host:port")
    return (match["v6"] or match["host"]).lower(), int(match["port"])
