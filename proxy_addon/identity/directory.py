"""Who uses which address, and who is in which group: a file that is written by whatever knows (DHCP, VPN, an export).

    [[network]]                            # the most specific one that holds an address applies
    networks = ["10.1.2.0/24", "10.1.3.7"]
    user = "alice@corp.example"            # optional, as are the others
    groups = ["design"]
    device = "laptop-17"

    [groups]                               # in addition, wherever the user comes from
    finance = ["bob@corp.example", "carol@corp.example"]

TOML, or JSON with the same keys where the file's name ends in ``.json``.
"""

from __future__ import annotations

import ipaddress
import json
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final

from shared.errors import ConfigError

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network
_KEYS: Final = frozenset({"networks", "user", "groups", "device"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """What is known of whoever has an address; empty where nothing is."""

    user: str = ""
    groups: tuple[str, ...] = ()
    device: str = ""


_NOBODY: Final = Entry()


@dataclass(frozen=True, kw_only=True)
class Directory:
    """Networks, and the groups of users; names are compared without regard to case."""

    networks: Mapping[Network, Entry]
    groups: Mapping[str, tuple[str, ...]]  # user in lower case -> groups

    @cached_property
    def _by_size(self) -> tuple[tuple[int, int, Mapping[int, Entry]], ...]:
        """(IP version, prefix length, network number -> entry), the longest prefix first: a look-up per length."""
        tables: dict[tuple[int, int], dict[int, Entry]] = {}
        for network, entry in self.networks.items():
            shift = network.max_prefixlen - network.prefixlen
            number = int(network.network_address) >> shift
            tables.setdefault((network.version, network.prefixlen), {})[number] = entry
        return tuple((version, length, tables[version, length]) for version, length in sorted(tables, reverse=True))

    def at(self, ip: str) -> Entry:
        """Return what is known of an address; nothing for what is none."""
        address = parse_address(ip)
        if address is None:
            return _NOBODY
        for version, length, table in self._by_size:
            if version == address.version:
                entry = table.get(int(address) >> (address.max_prefixlen - length))
                if entry is not None:
                    return entry
        return _NOBODY

    def groups_of(self, user: str) -> tuple[str, ...]:
        """Return the groups that list a user."""
        return self.groups.get(user.lower(), ())


def parse_address(text: str) -> Address | None:
    """Return an address, an IPv4 one where IPv6 only carries it; None for what is none."""
    try:
        address = ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return None
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return mapped or address


def parse_directory(text: str, *, is_json: bool = False) -> Directory:
    """Read a file.  Raises ConfigError naming the key."""
    try:
        document = json.loads(text) if is_json else tomllib.loads(text)
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"not {'JSON' if is_json else 'TOML'}: {error}") from error
    _known("", document, {"network", "groups"})
    tables = document.get("network", [])
    if not isinstance(tables, list):
        raise ConfigError("network: a list of tables is needed ([[network]])")
    networks: dict[Network, Entry] = {}
    for at, table in enumerate(tables):
        place = f"network[{at}]"
        entry = _entry(place, table)
        for name in _strings(f"{place}.networks", table.get("networks")):
            network = _network(f"{place}.networks", name)
            if network in networks:
                raise ConfigError(f"{place}.networks: {name} is listed twice")
            networks[network] = entry
    return Directory(networks=networks, groups=_members(document.get("groups", {})))


def _entry(place: str, table: object) -> Entry:
    values = _known(place, table, _KEYS)
    return Entry(
        user=_text(f"{place}.user", values.get("user", "")),
        groups=_strings(f"{place}.groups", values.get("groups", [])),
        device=_text(f"{place}.device", values.get("device", "")),
    )


def _members(value: object) -> Mapping[str, tuple[str, ...]]:
    groups: dict[str, list[str]] = {}
    for group, users in _known("groups", value, None).items():
        for user in _strings(f"groups.{group}", users):
            groups.setdefault(user.lower(), []).append(group)
    return {user: tuple(names) for user, names in groups.items()}


def _known(place: str, value: object, keys: Iterable[str] | None) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise ConfigError(f"{place or 'the file'}: a table is needed")
    for key in value:
        if keys is not None and key not in keys:
            raise ConfigError(f"{f'{place}.{key}'.lstrip('.')}: unknown key; known are {', '.join(sorted(keys))}")
    return value


def _text(place: str, value: object) -> str:
    if not isinstance(value, str):
        raise ConfigError(f"{place}: must be a string")
    return value


def _strings(place: str, value: object) -> tuple[str, ...]:
    if not isinstance(value, list) or not all(isinstance(item, str) and item for item in value):
        raise ConfigError(f"{place}: must be a list of strings")
    return tuple(value)


def _network(place: str, text: str) -> Network:
    try:
        return ipaddress.ip_network(text, strict=False)
    except ValueError as error:
        raise ConfigError(f"{place}: {error}") from error
