"""Which processes a command runs: one for each role, or several proxies behind one port.

The kernel deals connections out to the sockets that listen on a port with SO_REUSEPORT (socket(7)); one that is only
bound gets none, and keeps the port for the others from before the first listens until after the last has ended.
"""

from __future__ import annotations

import socket
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from shared.adapters.addresses import listen_error, split_address
from shared.config import Settings
from shared.errors import ConfigError

OTHER_ROLES: Final = ("worker", "alerts", "console")
STOP_SECONDS: Final[Mapping[str, float]] = {"proxy": 6.5, "worker": 2.5, "console": 2.5, "alerts": 2.5}
"""Together less than the 10 seconds within which ``up`` must have ended."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RoleProcess:
    """One process to run: its name in the run files and metrics, its role, and what its environment has besides."""

    name: str
    role: str
    environment: Mapping[str, str] = field(default_factory=dict)

    @property
    def stop_seconds(self) -> float:
        """How long it may take to end."""
        return STOP_SECONDS[self.role]


def other_processes() -> tuple[RoleProcess, ...]:
    """All but the proxies."""
    return tuple(RoleProcess(name=role, role=role) for role in OTHER_ROLES)


def process_name(role: str, settings: Settings) -> str:
    """Return what a role's process is called: proxies that share a port are told apart by their instance."""
    if role == "proxy" and settings.proxy.shared_port:
        return f"proxy-{settings.proxy.instance}"
    return role


class Proxies:
    """The processes of ``proxy.processes``; holds their port between ``open`` and ``close``."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._holder: socket.socket | None = None

    def open(self) -> tuple[RoleProcess, ...]:
        """Return the processes; raises ConfigError where their port is in use."""
        settings = self._settings.proxy
        if settings.processes == 1:
            return (RoleProcess(name="proxy", role="proxy"),)
        listen = self._hold(settings.listen)
        return tuple(
            RoleProcess(
                name=f"proxy-{instance}",
                role="proxy",
                environment={
                    "SAFELIGHT_PROXY__LISTEN": listen,
                    "SAFELIGHT_PROXY__INSTANCE": str(instance),
                    "SAFELIGHT_PROXY__SHARED_PORT": "true",
                    "SAFELIGHT_PROXY__PROCESSES": "1",
                },
            )
            for instance in range(settings.instance, settings.instance + settings.processes)
        )

    def close(self) -> None:
        """Let go of the port; idempotent."""
        if self._holder is not None:
            self._holder.close()
            self._holder = None

    def _hold(self, listen: str) -> str:
        host, port = split_address(listen)
        try:
            family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
            self._holder = socket.socket(family, kind, protocol)
            self._holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            self._holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            self._holder.bind(address)
        except OSError as error:
            self.close()
            raise ConfigError(listen_error("proxy.listen", listen, error)) from error
        bound = self._holder.getsockname()
        return f"[{bound[0]}]:{bound[1]}" if ":" in bound[0] else f"{bound[0]}:{bound[1]}"
