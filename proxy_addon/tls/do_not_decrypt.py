"""Hosts whose TLS is not decrypted: a dated list by category that ships, and one of the operator's beside it.

[[category]]
name = "payroll"
written = 2026-11-21                 # when the hosts were last compared with their source
source = "https://…"
hosts = ["payroll.example.com", "*.payroll.example.com"]
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date
from importlib.resources import files
from pathlib import Path
from typing import Any, Final

from shared.errors import ConfigError

STALE_DAYS: Final = 365
"""Such hosts change seldom, and one that is missed shows as a pinned client."""
_KEYS: Final = frozenset({"name", "written", "source", "hosts"})
_NAME: Final = re.compile(r"[a-z0-9][a-z0-9-]{0,62}")
_HOST: Final = re.compile(r"[a-z0-9.*_-]{1,253}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Category:
    """Hosts of a kind, as patterns with ``*``."""

    name: str
    written: date
    source: str
    hosts: tuple[str, ...]


class Exceptions:
    """Tells which category a host is in."""

    def __init__(self, categories: Iterable[Category]) -> None:
        self.categories = tuple(categories)
        self._patterns = [(each.name, hosts_pattern(each.hosts)) for each in self.categories]

    def category(self, host: str) -> str | None:
        """Return the name of the first category that lists a host (lower case)."""
        return next((name for name, pattern in self._patterns if pattern.fullmatch(host)), None)

    def stale(self, today: date) -> tuple[str, ...]:
        """Return the names of the categories that are due for a look."""
        return tuple(each.name for each in self.categories if (today - each.written).days > STALE_DAYS)


def hosts_pattern(hosts: Sequence[str]) -> re.Pattern[str]:
    """Return a pattern for whole names in lower case; a ``*`` is any run of characters."""
    return re.compile("|".join(".*".join(map(re.escape, host.lower().split("*"))) for host in hosts) or "(?!)")


def load_exceptions(wanted: Sequence[str], own: Path | None = None) -> Exceptions:
    """Read the shipped categories that are wanted and all of the operator's file.  Raises ConfigError."""
    shipped = parse_categories((files("proxy_addon") / "lists" / "do_not_decrypt.toml").read_text("utf-8"))
    known = {each.name for each in shipped}
    if unknown := sorted(set(wanted) - known):
        raise ConfigError(f"pass_through.do_not_decrypt: {unknown[0]} is none of {', '.join(sorted(known))}")
    chosen = [each for each in shipped if each.name in wanted]
    if own is None:
        return Exceptions(chosen)
    try:
        return Exceptions([*chosen, *parse_categories(own.read_text("utf-8"))])
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"pass_through.do_not_decrypt_file: cannot read {own}: {error}") from error
    except ConfigError as error:
        raise ConfigError(f"pass_through.do_not_decrypt_file: {own}: {error}") from error


def parse_categories(text: str) -> tuple[Category, ...]:
    """Read a file.  Raises ConfigError naming the key."""
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"not TOML: {error}") from error
    tables = document.pop("category", [])
    if document or not isinstance(tables, list):
        raise ConfigError("only [[category]] tables are known")
    return tuple(_category(f"category[{at}]", table) for at, table in enumerate(tables))


def _category(place: str, table: Any) -> Category:
    if not isinstance(table, dict) or set(table) != _KEYS:
        raise ConfigError(f"{place}: needed are {', '.join(sorted(_KEYS))} and nothing else")
    name, written, source, hosts = table["name"], table["written"], table["source"], table["hosts"]
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise ConfigError(f"{place}.name: must be lower-case letters, digits and dashes")
    if type(written) is not date or not isinstance(source, str):
        raise ConfigError(f"{place}: written must be a date and source a string")
    if not isinstance(hosts, list) or not all(isinstance(host, str) and _HOST.fullmatch(host) for host in hosts):
        raise ConfigError(f"{place}.hosts: must be a list of lower-case names, with * where anything may stand")
    if any(not host.replace("*", "").strip(".-_") for host in hosts):
        raise ConfigError(f"{place}.hosts: a pattern for every host is a bypass, see safelight bypass")
    return Category(name=name, written=written, source=source, hosts=tuple(hosts))
