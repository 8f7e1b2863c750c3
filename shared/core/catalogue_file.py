"""The format of a catalogue file: strict, so that a slip in a rule is an error and not a hole.

    [app]
    name = "example-drive"            # what policies call it
    tags = ["storage"]                # "tag:storage" in policies
    hosts = ["drive.example.com", "*.drive.example.com"]
    written = 2026-11-21              # when the rules were written; the source is where to compare them
    source = "https://…"              # where the addresses are documented or were read
    ids = "app"                       # an object's id is unique in the app (default), at its host, or for a user

    [[rule]]                          # tried in order, the first hit wins
    activity = "share"
    direction = "outbound"            # default: inbound for download, else outbound
    methods = ["POST"]                # default: any
    hosts = ["api.example.com"]       # globs, "*" is any run of characters but "/"; default: the app's
    host = 'api\\d+\\.example\\.com'     # or a regular expression for the whole name
    path = '^/v1/items/[^/]+/share$'  # a regular expression searched in the path; default: any
    query = { action = "share" }      # regular expressions for the whole value, "" matches an empty one
    header = { x-verb = "share" }     # as query, of the request
    body = { "json:$.type" = "anyone" }  # selectors (json, xml, form, form-json, header-json): one of the values fits

    [[rule]]                          # uploads in several requests say which step a request is,
    activity = "upload"
    methods = ["PUT"]
    path = '^/v1/uploads/(?P<id>[^/]+)$'
    step = "part"                     # start, part, commit, cancel or status
    select = { session = "path:id", offset = "content-range", total = "content-range" }
    cancel = { method = "DELETE" }    # what, sent to the same address, ends the upload; may have header = {…}

``select`` says where the details are; ``selectors`` has the language.  A value is one selector or a list of which the
first that finds something counts (of ``learn``, ``object`` and ``becomes``: all).

    session   the upload that this request belongs to
    learn     of a start: what the reply calls the upload from now on, an id or an address
    offset    where the bytes belong, or
    number    the part's number or id
    length    of each piece, where one body holds pieces of several uploads (selectors with [*])
    total     size of the whole object
    data      where the bytes are; default: a part's are the body, a start or a commit brings none
    order     of a commit: the parts' numbers in the order of the object
    sources   of a commit: the uploads that are joined to one object
    object    the application's ids of the objects, from all the selectors; also for rules without a step
    becomes   the id of what a copy or a move makes of them; also for rules without a step
    name      the object's file name; also for rules without a step

``[[account]]`` tables say whose account a request goes to; ``accounts`` has their format.

Names and patterns are compared without regard to case.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from types import MappingProxyType
from typing import Any, Final

from shared.core.accounts import AccountRule, parse_account
from shared.core.selectors import check_roles, parse_condition, parse_selector
from shared.errors import ConfigError
from shared.types import Activity, Cancel, Direction, IdScope, Role, Selector, StepKind

APP_NAME: Final = re.compile(r"[a-z0-9][a-z0-9.-]{0,62}")
_APP_KEYS: Final = frozenset({"name", "tags", "hosts", "written", "source", "ids"})
_RULE_KEYS: Final = frozenset(
    {
        *("activity", "direction", "methods", "hosts", "host", "path", "query", "header", "body"),
        *("step", "select", "cancel"),
    }
)
_METHOD: Final = re.compile(r"[A-Z]+")


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """One way to recognise an activity; ``methods`` empty: any."""

    activity: Activity
    direction: Direction
    methods: frozenset[str]
    host: re.Pattern[str]
    path: re.Pattern[str]
    query: Mapping[str, re.Pattern[str]]
    header: Mapping[str, re.Pattern[str]]
    body: Mapping[Selector, re.Pattern[str]]
    step: StepKind | None
    select: Mapping[Role, tuple[Selector, ...]]
    cancel: Cancel | None


@dataclass(frozen=True, slots=True, kw_only=True)
class AppEntry:
    """One application; ``hosts`` are its own, ``all_hosts`` also those of its rules."""

    file: str
    name: str
    tags: tuple[str, ...]
    written: date
    source: str
    ids: IdScope
    hosts: re.Pattern[str]
    all_hosts: re.Pattern[str]
    rules: tuple[Rule, ...]
    accounts: tuple[AccountRule, ...] = ()


class _Table:
    """A TOML table that knows its place in the file, for errors that name it."""

    def __init__(self, place: str, value: object, known: Iterable[str]) -> None:
        self.place = place
        if not isinstance(value, dict):
            raise ConfigError(f"{place}: a table is needed")
        self._values: dict[str, Any] = value
        for key in value:
            if key not in known:
                raise ConfigError(f"{place}.{key}: unknown key; known are {', '.join(sorted(known))}")

    def __contains__(self, key: str) -> bool:
        return key in self._values

    def error(self, key: str, message: str) -> ConfigError:
        return ConfigError(f"{self.place}.{key}: {message}")

    def value[T](self, key: str, kind: type[T], default: T | None = None) -> T:
        found = self._values.get(key, default)
        if not isinstance(found, kind):
            raise self.error(key, "is missing" if key not in self._values else f"must be a {kind.__name__}")
        return found

    def strings(self, key: str) -> list[str]:
        found: list[object] = self.value(key, list, [])
        if not all(isinstance(item, str) and item for item in found):
            raise self.error(key, "must be a list of strings")
        return [str(item) for item in found]

    def patterns(self, key: str) -> dict[str, re.Pattern[str]]:
        found: dict[str, object] = self.value(key, dict, {})
        return {name.lower(): self.pattern(f"{key}.{name}", pattern) for name, pattern in found.items()}

    def pattern(self, key: str, text: object) -> re.Pattern[str]:
        if not isinstance(text, str):
            raise self.error(key, "must be a regular expression in a string")
        try:
            return re.compile(text, re.IGNORECASE)
        except re.error as error:
            raise self.error(key, f"is no regular expression: {error}") from error


def parse_app(file: str, text: str) -> AppEntry:
    """Read one file.  Raises ConfigError."""
    try:
        values = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{file}: not TOML: {error}") from error
    document = _Table(file, values, {"app", "rule", "account"})
    app = _Table(f"{file}: app", document.value("app", dict), _APP_KEYS)
    name = app.value("name", str)
    if not APP_NAME.fullmatch(name):
        raise app.error("name", "must be lower-case letters, digits, dots and dashes")
    tables = document.value("rule", list, [])
    rules = tuple(_rule(_Table(f"{file}: rule[{at}]", table, _RULE_KEYS), app) for at, table in enumerate(tables))
    hosts = _any_of([_glob(host) for host in app.strings("hosts")])
    tables = document.value("account", list, [])
    accounts = tuple(parse_account(f"{file}: account[{at}]", table, hosts) for at, table in enumerate(tables))
    tags = app.strings("tags")
    if any(not APP_NAME.fullmatch(tag) for tag in tags):
        raise app.error("tags", "must be lower-case letters, digits, dots and dashes")
    return AppEntry(
        file=file,
        name=name,
        tags=tuple(tags),
        written=app.value("written", date),
        source=app.value("source", str),
        ids=_choice(app, "ids", IdScope, IdScope.APP),
        hosts=hosts,
        all_hosts=_any_of(
            [hosts.pattern, *(each.host.pattern for each in rules), *(a.hosts.pattern for a in accounts)]
        ),
        rules=rules,
        accounts=accounts,
    )


def _rule(table: _Table, app: _Table) -> Rule:
    activity = _choice(table, "activity", Activity, None)
    default = Direction.INBOUND if activity is Activity.DOWNLOAD else Direction.OUTBOUND
    methods = table.strings("methods")
    if any(not _METHOD.fullmatch(method) for method in methods):
        raise table.error("methods", "must be upper-case")
    path = table.pattern("path", table.value("path", str, ""))
    step = _choice(table, "step", StepKind, None) if "step" in table else None
    return Rule(
        activity=activity,
        direction=_choice(table, "direction", Direction, default),
        methods=frozenset(methods),
        host=_rule_host(table, app),
        path=path,
        query=table.patterns("query"),
        header=table.patterns("header"),
        body=_conditions(table),
        step=step,
        select=_select(table, step, frozenset(path.groupindex)),
        cancel=_cancel(_Table(f"{table.place}.cancel", table.value("cancel", dict), {"method", "header"}))
        if "cancel" in table
        else None,
    )


def _cancel(table: _Table) -> Cancel:
    method = table.value("method", str)
    if not _METHOD.fullmatch(method):
        raise table.error("method", "must be upper-case")
    fields: dict[str, object] = table.value("header", dict, {})
    if not all(isinstance(value, str) for value in fields.values()):
        raise table.error("header", "must hold strings")
    return Cancel(method=method, headers=tuple((name.lower(), str(value)) for name, value in fields.items()))


def _conditions(table: _Table) -> Mapping[Selector, re.Pattern[str]]:
    conditions: dict[Selector, re.Pattern[str]] = {}
    texts: dict[str, object] = table.value("body", dict, {})
    for text, pattern in texts.items():
        try:
            conditions[parse_condition(text)] = table.pattern(f"body.{text}", pattern)
        except ValueError as error:
            raise table.error("body", str(error)) from error
    return MappingProxyType(conditions)


def _select(table: _Table, step: StepKind | None, groups: frozenset[str]) -> Mapping[Role, tuple[Selector, ...]]:
    texts = _Table(f"{table.place}.select", table.value("select", dict, {}), list(Role))
    select = {role: _selectors(texts, role) for role in Role if role in texts}
    try:
        check_roles(step, select, groups)
    except ValueError as error:
        raise ConfigError(f"{texts.place}.{error}") from error
    return MappingProxyType(select)


def _selectors(table: _Table, role: Role) -> tuple[Selector, ...]:
    value = table.value(role, object)
    texts = table.strings(role) if isinstance(value, list) else [table.value(role, str)]
    if not texts:
        raise table.error(role, "is empty")
    try:
        return tuple(parse_selector(text, role) for text in texts)
    except ValueError as error:
        raise table.error(role, str(error)) from error


def _choice[T: (Activity, Direction, StepKind, IdScope)](
    table: _Table, key: str, kind: type[T], default: T | None
) -> T:
    text = table.value(key, str, default)
    try:
        return kind(text)
    except ValueError:
        raise table.error(key, f"{text!r} is none of {', '.join(kind)}") from None


def _rule_host(table: _Table, app: _Table) -> re.Pattern[str]:
    if "host" in table:
        if "hosts" in table:
            raise table.error("host", "stands beside hosts; one of them is enough")
        return table.pattern("host", table.value("host", str))
    globs = table.strings("hosts") or app.strings("hosts")
    if not globs:
        raise table.error("hosts", "is missing, and the app has none")
    return _any_of([_glob(glob) for glob in globs])


def _glob(text: str) -> str:
    return "[^/]*".join(re.escape(piece) for piece in text.split("*"))


def _any_of(patterns: list[str]) -> re.Pattern[str]:
    return re.compile("|".join(f"(?:{pattern})" for pattern in patterns if pattern) or "(?!)", re.IGNORECASE)
