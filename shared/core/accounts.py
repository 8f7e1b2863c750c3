"""Whose account a transfer goes to: the company's own or any other, as far as a request's head tells.

A catalogue file says where an application names its tenants; which tenants are the company's is configuration:

    [[account]]                       # tried in order, the first that finds something counts
    hosts = ["*.example.com"]         # default: the app's
    from = "host"                     # or path, query:KEY, header:NAME, bearer:CLAIM (of a JSON web token, RFC 7519)
    pattern = '^(?P<account>[a-z0-9-]+)\\.example\\.com$'
    personal = true                   # no account to compare: whatever fits is a private person's

Tokens are read, not verified: one that is forged does not open an account either.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import parse_qs

from shared.errors import ConfigError
from shared.types import Account, HttpHead

GROUP: Final = "account"
TEXT_MOST: Final = 4096
"""Characters of a value that patterns see."""
TOKEN_MOST: Final = 16_384
_KEYS: Final = frozenset({"hosts", "from", "pattern", "personal"})
_NAMED: Final = frozenset({"query", "header", "bearer"})


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountRule:
    """Where a request names its account."""

    hosts: re.Pattern[str]
    source: str
    name: str
    pattern: re.Pattern[str]
    personal: bool

    def find(self, head: HttpHead) -> str | None:
        """Return the account's name in lower case, empty for somebody's private one; None: it is not named."""
        if not self.hosts.fullmatch(head.host.lower().rstrip(".")):
            return None
        match = self.pattern.search(_READERS[self.source](head, self.name)[:TEXT_MOST])
        if match is None:
            return None
        return "" if self.personal else match[GROUP].lower()


def account(rules: Sequence[AccountRule], head: HttpHead, company: re.Pattern[str] | None) -> Account:
    """Say whose account it is; ``company`` fits the company's names, None where nobody has said which they are."""
    for rule in rules:
        name = rule.find(head)
        if name == "":
            return Account.PERSONAL
        if name is not None and company is not None:
            return Account.COMPANY if company.fullmatch(name) else Account.PERSONAL
    return Account.UNKNOWN


def names_pattern(names: Sequence[str]) -> re.Pattern[str] | None:
    """Return a pattern for the company's accounts (``*``: any run of characters), None where there are none."""
    return _globs(names) if names else None


def parse_account(place: str, table: object, hosts: re.Pattern[str]) -> AccountRule:
    """Read a table; ``hosts`` are the app's.  Raises ConfigError naming the key."""
    if not isinstance(table, dict) or not set(table) <= _KEYS:
        raise ConfigError(f"{place}: a table of {', '.join(sorted(_KEYS))} is needed")
    source, _, name = _text(place, table, "from").partition(":")
    if source not in _READERS or (source in _NAMED) != bool(name):
        raise ConfigError(f"{place}.from: needed is host, path, query:KEY, header:NAME or bearer:CLAIM")
    personal = table.get("personal", False)
    try:
        pattern = re.compile(_text(place, table, "pattern"), re.IGNORECASE)
    except re.error as error:
        raise ConfigError(f"{place}.pattern: is no regular expression: {error}") from error
    if not isinstance(personal, bool) or personal == (GROUP in pattern.groupindex):
        raise ConfigError(f"{place}.pattern: needs a group (?P<account>…), or personal = true and none")
    own = table.get("hosts", [])
    if not isinstance(own, list) or not all(isinstance(host, str) and host for host in own):
        raise ConfigError(f"{place}.hosts: must be a list of strings")
    where = name if source == "bearer" else name.lower()
    return AccountRule(
        hosts=_globs(own) if own else hosts, source=source, name=where, pattern=pattern, personal=personal
    )


def _text(place: str, table: dict[str, Any], key: str) -> str:
    value = table.get(key)
    if not isinstance(value, str) or not value:
        raise ConfigError(f"{place}.{key}: must be a string")
    return value


def _globs(texts: Sequence[str]) -> re.Pattern[str]:
    return re.compile("|".join("[^/]*".join(map(re.escape, text.split("*"))) for text in texts), re.IGNORECASE)


def _host(head: HttpHead, _: str) -> str:
    return head.host.lower().rstrip(".")


def _path(head: HttpHead, _: str) -> str:
    return head.path


def _query(head: HttpHead, name: str) -> str:
    values = parse_qs(head.query[:TEXT_MOST])
    return next((found[0] for key, found in values.items() if key.lower() == name), "")


def _header(head: HttpHead, name: str) -> str:
    return head.header(name)


def _bearer(head: HttpHead, claim: str) -> str:
    scheme, _, token = head.header("authorization")[:TOKEN_MOST].partition(" ")
    parts = token.strip().split(".")
    if scheme.lower() != "bearer" or len(parts) != 3:
        return ""
    try:
        claims = json.loads(base64.urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4)))
    except (binascii.Error, ValueError, RecursionError):
        return ""
    value = claims.get(claim) if isinstance(claims, dict) else None
    return value if isinstance(value, str) else ""


_READERS: Final[dict[str, Callable[[HttpHead, str], str]]] = {
    "host": _host,
    "path": _path,
    "query": _query,
    "header": _header,
    "bearer": _bearer,
}
