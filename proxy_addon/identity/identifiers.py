"""Who is behind a transfer: a chain of identifiers, each adding what it knows.

Further ways to know a user (Kerberos, certificates, an agent) are further identifiers.  Nothing here knows mitmproxy.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from proxy_addon.identity.directory import Directory, Network, parse_address
from shared.errors import SafelightError
from shared.types import Actor


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What a request, or the tunnel it comes through, says of its sender.

    ``ip`` is the sender's address as far as it can be believed, ``device`` what a trusted agent said.
    """

    ip: str
    credentials: str = ""  # the Proxy-Authorization header
    device: str = ""


class Challenge(SafelightError):
    """The sender must say who it is: the proxy answers 407 with ``header`` as Proxy-Authenticate (RFC 9110, 11.7)."""

    def __init__(self, header: str) -> None:
        self.header = header
        super().__init__("the sender has not proved who it is")


class Identifier(Protocol):
    """Adds what it knows of a sender."""

    async def identify(self, asked: Asked, known: Actor) -> Actor:
        """Return ``known`` with what this one adds; raises Challenge."""
        ...


class DirectoryIdentifier:
    """Looks the address up."""

    def __init__(self, directory: Callable[[], Directory]) -> None:
        self._directory = directory

    async def identify(self, asked: Asked, known: Actor) -> Actor:
        """Add user, groups and device of the address, where they are not known yet."""
        entry = self._directory().at(asked.ip)
        return replace(
            known,
            user=known.user or entry.user,
            groups=(*known.groups, *entry.groups),
            device=known.device or entry.device,
        )


class GroupsIdentifier:
    """Looks the user's groups up; stands last."""

    def __init__(self, directory: Callable[[], Directory]) -> None:
        self._directory = directory

    async def identify(self, asked: Asked, known: Actor) -> Actor:
        """Add the groups that list the user, each once."""
        groups = (*known.groups, *self._directory().groups_of(known.user))
        return replace(known, groups=tuple(dict.fromkeys(groups)))


class Identity:
    """Asks every identifier in turn."""

    def __init__(self, identifiers: Sequence[Identifier]) -> None:
        self._identifiers = identifiers

    @property
    def goes_by_address(self) -> bool:
        """Whether an address, and a device that is told, are all that can be known of anybody."""
        return not self._identifiers

    async def actor(self, asked: Asked) -> Actor:
        """Return who it is; raises Challenge."""
        actor = Actor(ip=asked.ip, device=asked.device)
        for identifier in self._identifiers:
            actor = await identifier.identify(asked, actor)
        return actor


class TrustedProxies:
    """The load balancers and agents whose word on a client is believed."""

    def __init__(self, networks: Sequence[str]) -> None:
        self._networks: tuple[Network, ...] = tuple(ipaddress.ip_network(name, strict=False) for name in networks)

    def __contains__(self, ip: object) -> bool:
        address = parse_address(str(ip)) if self._networks else None
        return address is not None and any(address in network for network in self._networks)

    def client(self, peer: str, forwarded_for: Sequence[str]) -> str:
        """Return whom a trusted ``peer`` forwards for: the last hop of X-Forwarded-For that is not trusted itself.

        Hops are appended on the way, so what stands left of the first untrusted one is the client's own claim
        (https://httpwg.org/specs/rfc7239.html#rfc.section.8.1).  Where a hop is no address the one after it stands.
        """
        client = peer
        for hop in reversed([hop for line in forwarded_for for hop in line.split(",")]):
            if client not in self:
                break
            address = parse_address(_without_port(hop.strip()))
            if address is None:
                break
            client = str(address)
        return client


def _without_port(hop: str) -> str:
    if hop.startswith("["):
        return hop[1:].partition("]")[0]
    return hop.partition(":")[0] if hop.count(":") == 1 else hop
