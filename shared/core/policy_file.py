"""The policy file: YAML in, policies out, or one sentence that says where it is wrong and what would be right.

Strict on purpose: a misspelt key that is skipped would be a policy that protects nothing.  What the language has and
this version cannot do is refused, not ignored.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from enum import StrEnum
from types import MappingProxyType
from typing import Final, get_args

from shared.core.policy import (
    ANY,
    DEFAULT_DEADLINE_MS,
    DEFAULT_PASS_MINUTES,
    TAG_PREFIX,
    Exemption,
    OnUninspected,
    Policy,
    Selectors,
)
from shared.core.policy_conditions import (
    OTHER,
    Condition,
    HashListCondition,
    ImageCondition,
    ImageConditions,
    LabelCondition,
    RelationChoice,
    SetCondition,
)
from shared.core.policy_yaml import TOP, Node, nearest, read_yaml, shown
from shared.errors import PolicyError, WireError
from shared.types import Account, Action, Activity, Direction, Mode, Obscuring, Severity, UninspectedReason

POLICIES_KEY: Final = "policies"
"""The store's key of the policies in force; its version is the version of the policies."""

MAX_POLICIES: Final = 500
MAX_NAME: Final = 100  # characters of a policy's name: it travels in a response header
MAX_TEXT: Final = 256  # characters of a pattern, a ticket or another name
MIN_DEADLINE_MS: Final = 50
MAX_DEADLINE_MS: Final = 300_000
MAX_PASS_MINUTES: Final = 24 * 60

_SELECTORS: Final = ("activities", "direction", "apps", "hosts", "accounts", "users", "groups", "devices")
_GROUPS: Final = ("any", "all", "none")
_CONDITIONS: Final = ("set", "label", "hash_list", "image", "feature")
_POLICY: Final = ("name", "when", "except", "then", "mode", "on_uninspected", "deadline_ms", "near_cache")
_DATE: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")  # fromisoformat takes weeks, too
_NOTIFY: Final = ("admin", "user")
_UNINSPECTED: Final = (Action.ALLOW, Action.BLOCK)


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownNames:
    """What exists in the deployment; a policy that names anything else is refused."""

    sets: frozenset[str] = frozenset()
    apps: frozenset[str] = frozenset()
    tags: frozenset[str] = frozenset()
    classifiers: frozenset[str] = frozenset()
    hash_lists: frozenset[str] = frozenset()
    labels: Mapping[str, frozenset[str]] = field(default_factory=dict)
    """By classifier; of one that is not here any label may be asked."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicyDocument:
    """What the store keeps: the file as it was applied; ``applied_at`` in seconds since 1970."""

    text: str
    applied_at: float


def pack_document(document: PolicyDocument) -> bytes:
    """Return the stored form of a document."""
    return json.dumps({"text": document.text, "applied_at": document.applied_at}).encode()


def unpack_document(data: bytes) -> PolicyDocument:
    """Return the document of a stored value; raises WireError."""
    try:
        values = json.loads(data)
        return PolicyDocument(text=str(values["text"]), applied_at=float(values["applied_at"]))
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise WireError(f"not a policy document: {error}") from error


def parse(text: str, known: KnownNames | None = None) -> tuple[Policy, ...]:
    """Return the policies of a file, in its order.

    Names are looked up in ``known``, or not at all where it is None.  Raises PolicyError at the first mistake.
    """
    root = read_yaml(text)
    if not isinstance(root.value, dict):
        root.fail("must hold the key 'policies'")
    nodes = _required(root, root.mapping(("policies",)), "policies")
    if nodes.value == ():
        return ()
    if len(nodes.items()) > MAX_POLICIES:
        nodes.fail(f"holds {len(nodes.items())} policies, more than {MAX_POLICIES}")
    policies = tuple(_Parser(known).policy(node) for node in nodes.items())
    _refuse_duplicates(nodes.items(), policies)
    return policies


def notes(policies: Iterable[Policy]) -> tuple[str, ...]:
    """Return what whoever applies these policies should be told, a sentence each."""
    return tuple(note for policy in policies if (note := _note(policy)))


def _note(policy: Policy) -> str:
    if not policy.for_transfers:
        return f"policy {policy.name!r}: {policy.action} is for scans of hosted stores; it never acts on a transfer"
    if policy.action is Action.REDACT and policy.images is None:
        return f"policy {policy.name!r}: redact without any, all or none blocks, since no image is there to obscure"
    return ""


def _refuse_duplicates(nodes: Sequence[Node], policies: Sequence[Policy]) -> None:
    first: dict[str, int] = {}
    for index, (node, policy) in enumerate(zip(nodes, policies, strict=True)):
        if policy.name in first:
            node.mapping(_POLICY)["name"].fail(f"the name {policy.name!r} is taken by policies[{first[policy.name]}]")
        first[policy.name] = index


class _Parser:
    """Reads one policy after the other; ``known`` is looked at in many places."""

    def __init__(self, known: KnownNames | None) -> None:
        self._known = known

    def policy(self, node: Node) -> Policy:
        values = node.mapping(_POLICY)
        then = _required(node, values, "then")
        effect = then.mapping(("action", "notify", "severity", "pass_minutes", "redact"))
        when = values["when"].mapping((*_SELECTORS, *_GROUPS)) if "when" in values else {}
        action = _required(then, effect, "action").choice(Action)
        images = self._images(when)
        return Policy(
            name=_name(_required(node, values, "name")),
            action=action,
            when=self._selectors(when),
            images=images,
            exemptions=tuple(map(self._exemption, values["except"].items())) if "except" in values else (),
            notify=_unique(effect["notify"], lambda each: each.choice(_NOTIFY)) if "notify" in effect else ("admin",),
            severity=effect["severity"].choice(Severity) if "severity" in effect else Severity.MEDIUM,
            mode=values["mode"].choice(Mode) if "mode" in values else Mode.ENFORCE,
            on_uninspected=_on_uninspected(values.get("on_uninspected")),
            deadline_ms=_deadline_ms(values.get("deadline_ms")),
            near_cache=values["near_cache"].flag() if "near_cache" in values else False,
            pass_minutes=_pass_minutes(effect.get("pass_minutes"), action),
            redact_how=_redact_how(effect.get("redact"), action),
        )

    def _selectors(self, values: dict[str, Node]) -> Selectors:
        def patterns(key: str, read: Callable[[Node], str]) -> tuple[str, ...]:
            return _unique(values[key], read) if key in values else ()

        return Selectors(
            activities=_choices(values.get("activities"), Activity),
            direction=_choices(values.get("direction"), Direction),
            accounts=_choices(values.get("accounts"), Account),
            apps=patterns("apps", self._app),
            hosts=patterns("hosts", _host),
            users=patterns("users", _text),
            groups=patterns("groups", _text),
            devices=patterns("devices", _text),
        )

    def _exemption(self, node: Node) -> Exemption:
        values = node.mapping((*_SELECTORS, "until", "ticket"))
        if not any(key in values for key in _SELECTORS):
            node.fail("would exempt every transfer; say which, or set mode: monitor")
        return Exemption(
            selectors=self._selectors(values),
            until=_date(values["until"]) if "until" in values else None,
            ticket=_text(values["ticket"]) if "ticket" in values else "",
        )

    def _images(self, when: dict[str, Node]) -> ImageConditions | None:
        if not any(key in when for key in _GROUPS):
            return None
        any_of, all_of, none_of = (
            tuple(map(self._condition, when[key].items())) if key in when else () for key in _GROUPS
        )
        return ImageConditions(any=any_of, all=all_of, none=none_of)

    def _condition(self, node: Node) -> Condition:
        values = node.mapping((*_CONDITIONS, "min_score", "relation"))
        kinds = [key for key in _CONDITIONS if key in values]
        if len(kinds) != 1:
            node.fail(f"must hold exactly one of {', '.join(_CONDITIONS)}")
        kind = kinds[0]
        if kind != "set":
            node.mapping((kind,))  # min_score and relation go with a set only
        if kind == "feature":
            values[kind].fail(
                "counting how often an image was seen is not available in this version; remove the condition"
            )
        if kind == "set":
            return self._set(values)
        if kind == "label":
            return self._label(values[kind])
        if kind == "hash_list":
            return HashListCondition(list=self._named(values[kind], "hash list", lambda known: known.hash_lists))
        values[kind].choice(("any",))
        return ImageCondition()

    def _set(self, values: dict[str, Node]) -> SetCondition:
        relations: tuple[RelationChoice, ...] = get_args(RelationChoice)
        return SetCondition(
            set=self._named(values["set"], "set", lambda known: known.sets),
            min_score=values["min_score"].number(0, 100) if "min_score" in values else None,
            relation=values["relation"].choice(relations) if "relation" in values else None,
        )

    def _label(self, node: Node) -> LabelCondition:
        values = node.mapping(("classifier", "is"))
        classifier = self._named(_required(node, values, "classifier"), "classifier", lambda known: known.classifiers)
        label = _required(node, values, "is")
        return LabelCondition(classifier=classifier, label=self._label_of(classifier, label))

    def _label_of(self, classifier: str, node: Node) -> str:
        label = _text(node)
        labels = None if self._known is None else self._known.labels.get(classifier)
        if labels is not None and label not in {*labels, OTHER}:
            node.fail(f"{classifier} has no label {shown(label)}; {nearest(label, {*labels, OTHER})}")
        return label

    def _app(self, node: Node) -> str:
        name = _text(node)
        if name == ANY:
            return name
        if name.startswith(TAG_PREFIX):
            self._look_up(node, name.removeprefix(TAG_PREFIX), "tag", lambda known: known.tags)
            return name
        return self._named(node, "app", lambda known: known.apps)

    def _named(self, node: Node, what: str, names: Callable[[KnownNames], Collection[str]]) -> str:
        name = _text(node)
        self._look_up(node, name, what, names)
        return name

    def _look_up(self, node: Node, name: str, what: str, names: Callable[[KnownNames], Collection[str]]) -> None:
        if self._known is not None and name not in names(self._known):
            node.fail(f"unknown {what} {shown(name)}; {nearest(name, names(self._known))}")


def _required(parent: Node, values: dict[str, Node], key: str) -> Node:
    if key not in values:
        where = key if parent.where == TOP else f"{parent.where}.{key}"
        raise PolicyError("is missing", where=where, line=parent.line)
    return values[key]


def _name(node: Node) -> str:
    name = node.text()
    if len(name) > MAX_NAME or not name.isprintable() or name != name.strip():
        node.fail(f"must be 1 to {MAX_NAME} printable characters without spaces around them")
    return name


def _text(node: Node) -> str:
    text = node.text()
    if len(text) > MAX_TEXT or not text.isprintable():
        node.fail(f"must be 1 to {MAX_TEXT} printable characters")
    return text


def _host(node: Node) -> str:
    host = _text(node).rstrip(".")
    if not host or any(each in host for each in "/@ ") or host.count(":") == 1:
        node.fail("must be a host name or pattern such as *.example.com, without scheme, port and path")
    return host


def _date(node: Node) -> date:
    text = node.value if isinstance(node.value, str) else ""
    try:
        if not _DATE.fullmatch(text):
            raise ValueError
        return date.fromisoformat(text)
    except ValueError:
        node.fail("must be a date such as 2027-01-31")


def _unique(node: Node, read: Callable[[Node], str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(map(read, node.items())))


def _choices[E: StrEnum](node: Node | None, allowed: type[E]) -> frozenset[E]:
    return frozenset() if node is None else frozenset(each.choice(allowed) for each in node.items())


def _on_uninspected(node: Node | None) -> OnUninspected:
    if node is None:
        return OnUninspected()
    if not isinstance(node.value, dict):
        return OnUninspected(default=node.choice(_UNINSPECTED))
    actions = {
        UninspectedReason(key): each.choice(_UNINSPECTED)
        for key, each in node.mapping(tuple(UninspectedReason)).items()
    }
    default = actions.get(UninspectedReason.DEFAULT, Action.ALLOW)
    return OnUninspected(default=default, by_reason=MappingProxyType(actions))


def _pass_minutes(node: Node | None, action: Action) -> int:
    if node is None:
        return DEFAULT_PASS_MINUTES
    if action is not Action.COACH:
        node.fail(f"goes with action: coach only, this one is {action}")
    return _whole(node, 1, MAX_PASS_MINUTES, "minutes")


def _redact_how(node: Node | None, action: Action) -> Obscuring:
    if node is None:
        return Obscuring.BOX
    if action is not Action.REDACT:
        node.fail(f"goes with action: redact only, this one is {action}")
    return _required(node, node.mapping(("how",)), "how").choice(Obscuring)


def _deadline_ms(node: Node | None) -> int:
    if node is None:
        return DEFAULT_DEADLINE_MS
    return _whole(node, MIN_DEADLINE_MS, MAX_DEADLINE_MS, "milliseconds")


def _whole(node: Node, low: int, high: int, unit: str) -> int:
    value = node.number(low, high)
    if value != int(value):
        node.fail(f"must be a whole number of {unit}")
    return int(value)
