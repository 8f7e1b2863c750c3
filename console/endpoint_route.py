"""The way that endpoints are told to take, from the settings: for commands and for the console's listener."""

from __future__ import annotations

import socket
from collections.abc import Sequence
from typing import Final

from console.services.endpoints import Route, distinct
from proxy_addon.tls.do_not_decrypt import load_exceptions
from shared.adapters.addresses import join_address, split_address
from shared.adapters.run_files import read_run_file
from shared.config import Settings

UPDATES: Final = "updates"
_EVERYWHERE: Final = frozenset({"0.0.0.0", "::", ""})  # noqa: S104 - what is replaced by the machine's name


def endpoint_route(settings: Settings, proxies: Sequence[str] = (), *, fail_open: bool = False) -> Route:
    """Return the way; ``proxies`` replaces the configured addresses.  Raises ConfigError."""
    chosen = settings.pass_through
    categories = [UPDATES] if UPDATES in chosen.do_not_decrypt else []
    updates = [host for category in load_exceptions(categories).categories for host in category.hosts]
    return Route(
        proxies=tuple(proxies or settings.endpoint.proxies) or (_own_address(settings),),
        direct=distinct([*settings.endpoint.direct, *updates]),
        fail_open=fail_open or settings.endpoint.fail_open,
    )


def _own_address(settings: Settings) -> str:
    """Return where this machine's proxy listens, by the machine's name where it listens everywhere."""
    bound = str(read_run_file(settings.run_dir, "proxy").get("proxy") or settings.proxy.listen)
    host, port = split_address(bound)
    return join_address(socket.getfqdn(), port) if host in _EVERYWHERE else bound
