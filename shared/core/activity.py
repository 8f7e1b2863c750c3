"""What a user does in which application, told from a request's head, and from its body where the head is not enough.

The catalogue is data: one TOML file an application, its rules tried in order, the first hit wins.  Applications share
hosts (one googleapis.com serves drive, mail and photos), so all rules of all files are tried before any file's plain
list of hosts.  Unknown hosts get the generic activities.

Of few requests only the body tells what they do (a PATCH that moves, renames or deletes).  Their rules have conditions
on it, which the head alone never fits: ``told_by_body`` says what such a request may turn out to be, and once its body
is there ``classify`` is given the values in it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from types import MappingProxyType
from typing import Final
from urllib.parse import unquote_plus

from shared.core.accounts import account, names_pattern
from shared.core.catalogue_file import AppEntry, Rule, parse_app
from shared.core.objects import NAMING
from shared.core.selectors import reads_body
from shared.errors import ConfigError
from shared.types import Account, Activity, ActivityContext, Actor, Direction, HttpHead, Role, Selection, Selector

type ReadValues = Callable[[Selector], Sequence[str]]
"""Gives the values that a selector finds in the request."""

MAX_PATH: Final = 4096
"""Characters of a path or a query that rules see."""
KNOWN_HOSTS: Final = 4096
"""Hosts whose applications are remembered; a client that asks for one new name after the other only costs time."""
KNOWN_METHODS: Final = 32
"""Methods of a host whose rules are remembered, both directions together."""
KNOWN_HEADS: Final = 64
"""Heads remembered, the latest: a request is asked about up to ten times, the last of them for its response."""


_BY_METHOD: Final[Mapping[str, Activity]] = MappingProxyType(
    {"DELETE": Activity.DELETE, "COPY": Activity.COPY, "MOVE": Activity.MOVE_WITHIN}
)
"""What a method says where no rule does; COPY and MOVE are WebDAV's (RFC 4918, sections 9.8 and 9.9)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Possible:
    """What a request may be about, and where its details are then."""

    context: ActivityContext
    selection: Selection | None = None


@dataclass(frozen=True, kw_only=True)
class Catalogue:
    """The known applications, in the order of their files' names."""

    entries: tuple[AppEntry, ...] = ()
    company_accounts: tuple[str, ...] = ()
    _by_host: dict[str, _Host] = field(default_factory=dict, init=False, repr=False, compare=False)
    _by_head: dict[int, _Asked] = field(default_factory=dict, init=False, repr=False, compare=False)

    @classmethod
    def from_toml(cls, texts: Mapping[str, str]) -> Catalogue:
        """Read files given as name to text.  Raises ConfigError naming the file and the key."""
        entries = tuple(parse_app(name, texts[name]) for name in sorted(texts))
        seen: dict[str, str] = {}
        for entry in entries:
            if entry.name in seen:
                raise ConfigError(f"{entry.file}: app.name: {entry.name!r} is in {seen[entry.name]} already")
            seen[entry.name] = entry.file
        return cls(entries=entries)

    @property
    def apps(self) -> frozenset[str]:
        """The names that a policy's ``apps`` can hold."""
        return frozenset(entry.name for entry in self.entries)

    @property
    def tags(self) -> frozenset[str]:
        """The tags that a policy's ``apps`` can hold as ``tag:NAME``."""
        return frozenset(tag for entry in self.entries for tag in entry.tags)

    def classify(
        self, head: HttpHead, direction: Direction, actor: Actor, values: ReadValues | None = None
    ) -> ActivityContext:
        """Say what a message is about; ``head`` is the request's, also for its response (``direction`` inbound)."""
        asked = self._asked(head)
        known = asked.contexts.get(direction)
        if values is None and known is not None and known.actor == actor:
            return known
        context = _context(asked, direction, actor, *self._find(asked, direction, values))
        if values is None:
            asked.contexts[direction] = context
        return context

    def told_by_body(self, head: HttpHead, actor: Actor) -> tuple[Possible, ...]:
        """Return what a request may be about; empty where its head tells and its body names no object."""
        asked = self._asked(head)
        if not asked.on.of(Direction.OUTBOUND, asked.method).any_asks_for_body:
            return ()
        found = tuple(self._possible(asked))
        if not any(rule is not None and _asks_for_body(rule) for _, rule in found):
            return ()
        return tuple(
            Possible(
                context=_context(asked, Direction.OUTBOUND, actor, entry, rule),
                selection=_selection(asked, entry, rule),
            )
            for entry, rule in found
        )

    def of_host(self, head: HttpHead, actor: Actor) -> tuple[Possible, ...]:
        """Return all that a request to a known application's host may be about, whatever its address; else empty."""
        asked = self._asked(head)
        found = tuple(
            _context(asked, Direction.OUTBOUND, actor, entry, rule)
            for entry in asked.on.entries
            for rule in entry.rules
            if rule.direction is Direction.OUTBOUND and rule.host.fullmatch(asked.host)
        )
        plain = _context(asked, Direction.OUTBOUND, actor, *self._find(asked, Direction.OUTBOUND, None))
        return tuple(Possible(context=each) for each in dict.fromkeys((*found, plain))) if found else ()

    def selection(self, head: HttpHead, direction: Direction, values: ReadValues | None = None) -> Selection | None:
        """Return what the rule for a message says about its details, None where no rule fits; ``head`` as above."""
        asked = self._asked(head)
        if not asked.on.of(direction, asked.method):
            return None
        return _selection(asked, *self._find(asked, direction, values))

    def _asked(self, head: HttpHead) -> _Asked:
        asked = self._by_head.get(id(head))  # no other head's as long as this one is kept
        if asked is None:
            asked = _Asked(head, self._host(_host_name(head)))
            if asked.on.accounts:
                asked.account = account(asked.on.accounts, head, self._company)
            if len(self._by_head) >= KNOWN_HEADS:
                del self._by_head[next(iter(self._by_head))]
            self._by_head[id(head)] = asked
        return asked

    @cached_property
    def _company(self) -> re.Pattern[str] | None:
        return names_pattern(self.company_accounts)

    def _find(
        self, asked: _Asked, direction: Direction, values: ReadValues | None
    ) -> tuple[AppEntry | None, Rule | None]:
        for entry, rule in self._fitting(asked, direction):
            if not rule.body or (values is not None and _holds(rule, values)):
                return entry, rule
        return asked.on.app, None

    def _possible(self, asked: _Asked) -> Iterator[tuple[AppEntry | None, Rule | None]]:
        for entry, rule in self._fitting(asked, Direction.OUTBOUND):
            yield entry, rule
            if not rule.body:
                return
        yield asked.on.app, None

    def _fitting(self, asked: _Asked, direction: Direction) -> Sequence[tuple[AppEntry, Rule]]:
        found = asked.fitting.get(direction)
        if found is None:
            rules, path = asked.on.of(direction, asked.method).that_may_fit(asked), asked.path
            found = asked.fitting[direction] = [
                each for each in rules if each[1].path.search(path) is not None and _fits(each[1], asked)
            ]
        return found

    def _host(self, name: str) -> _Host:
        """What there is on a host; looking through all entries takes 25 microseconds."""
        host = self._by_host.get(name)
        if host is None:
            if len(self._by_host) >= KNOWN_HOSTS:
                self._by_host.clear()
            host = self._by_host[name] = _Host(name, self.entries)
        return host


def _host_name(head: HttpHead) -> str:
    return head.host.lower().rstrip(".")[:255]


def _context(
    asked: _Asked, direction: Direction, actor: Actor, entry: AppEntry | None, rule: Rule | None
) -> ActivityContext:
    return ActivityContext(
        activity=rule.activity if rule else _generic(asked.method, direction),
        direction=direction,
        host=asked.host,
        app=entry.name if entry else "",
        tags=entry.tags if entry else (),
        account=asked.account,
        actor=actor,
    )


def _selection(asked: _Asked, entry: AppEntry | None, rule: Rule | None) -> Selection | None:
    if entry is None or rule is None:
        return None
    match = rule.path.search(asked.path)
    groups = {name: value for name, value in match.groupdict().items() if value} if match else {}
    return Selection(
        app=entry.name, ids=entry.ids, step=rule.step, select=rule.select, groups=groups, cancel=rule.cancel
    )


def _asks_for_body(rule: Rule) -> bool:
    return bool(rule.body) or (
        rule.activity in NAMING and any(reads_body(selector) for selector in rule.select.get(Role.OBJECT, ()))
    )


def _holds(rule: Rule, values: ReadValues) -> bool:
    return all(any(map(pattern.fullmatch, values(selector))) for selector, pattern in rule.body.items())


def _generic(method: str, direction: Direction) -> Activity:
    if direction is Direction.INBOUND:
        return Activity.DOWNLOAD
    return _BY_METHOD.get(method, Activity.UPLOAD)


class _Host:
    """The entries with anything on a host, and their rules by direction and method, in order."""

    def __init__(self, name: str, entries: Sequence[AppEntry]) -> None:
        self.name = name
        self.entries = tuple(entry for entry in entries if entry.all_hosts.fullmatch(name))
        self.app = next((entry for entry in self.entries if entry.hosts.fullmatch(name)), None)
        self.accounts = tuple(rule for entry in self.entries for rule in entry.accounts)
        self._rules = [(entry, rule) for entry in self.entries for rule in entry.rules if rule.host.fullmatch(name)]
        self._by_method: dict[tuple[Direction, str], _Rules] = {}

    def of(self, direction: Direction, method: str) -> _Rules:
        """Return the rules that may fit a message."""
        if not self._rules:
            return _NO_RULES
        found = self._by_method.get((direction, method))
        if found is None:
            found = _Rules(
                [
                    each
                    for each in self._rules
                    if each[1].direction is direction and (not each[1].methods or method in each[1].methods)
                ]
            )
            if len(self._by_method) >= KNOWN_METHODS:
                self._by_method.clear()
            self._by_method[direction, method] = found
        return found


class _Rules:
    """Rules in order.  Most of the protocols' ask for a field or for a key of the query that few requests have."""

    def __init__(self, rules: Sequence[tuple[AppEntry, Rule]]) -> None:
        self._rules = [(each, frozenset(each[1].header), frozenset(each[1].query)) for each in rules]
        self._plain = [each for each in rules if not each[1].header and not each[1].query]
        self._names = frozenset(name for _, names, _ in self._rules for name in names)
        self._keys = frozenset(key for _, _, keys in self._rules for key in keys)
        self.any_asks_for_body = any(_asks_for_body(rule) for _, rule in rules)

    def __len__(self) -> int:
        return len(self._rules)

    def that_may_fit(self, asked: _Asked) -> Sequence[tuple[AppEntry, Rule]]:
        """Return those whose fields and keys are all there."""
        names, given = asked.names, asked.query().keys()
        if self._names.isdisjoint(names) and self._keys.isdisjoint(given):
            return self._plain
        return [each for each, fields, keys in self._rules if fields <= names and keys <= given]


_NO_RULES: Final = _Rules(())


class _Asked:
    """A request's head in the form that rules are compared with, and what was found for it."""

    def __init__(self, head: HttpHead, on: _Host) -> None:
        self.head = head
        self.on = on
        self.method = head.method.upper()
        self.host = on.name
        self.path = head.path[:MAX_PATH]
        self.account = Account.UNKNOWN
        self.names = frozenset([name for name, _ in head.headers])
        self.fitting: dict[Direction, list[tuple[AppEntry, Rule]]] = {}
        self.contexts: dict[Direction, ActivityContext] = {}
        self._query: dict[str, str] | None = None

    def query(self) -> Mapping[str, str]:
        """The query's first value of each key, keys in lower case."""
        if self._query is None:
            self._query = {}
            for pair in self.head.query.removeprefix("?")[:MAX_PATH].split("&") if self.head.query else ():
                key, _, value = pair.partition("=")
                self._query.setdefault(unquote_plus(key).lower(), unquote_plus(value))
        return self._query


def _fits(rule: Rule, asked: _Asked) -> bool:
    """Tell whether a rule of the host, the method and the path fits the rest of a request."""
    return all(
        key in asked.query() and value.fullmatch(asked.query()[key]) for key, value in rule.query.items()
    ) and all(_has_header(asked.head, name, value) for name, value in rule.header.items())


def _has_header(head: HttpHead, name: str, value: re.Pattern[str]) -> bool:
    return any(key == name and value.fullmatch(text) for key, text in head.headers)
