"""Selectors of the catalogue: where in a request or its reply a value stands.

    path:NAME                 a named group of the rule's path pattern, (?P<NAME>…)
    query:KEY                 a parameter of the query
    header:NAME               a header field
    json:$.a.b[0].c[*].d      a value in a JSON body; [*] is every element
    xml:TAG                   the text of every element of that local name in an XML body; xml:A|B of both names
    form:NAME                 a field of a form, urlencoded or form-data
    header-json:NAME:$.a      a value in a JSON text that a header field holds
    form-json:NAME:$.a        the same for a form's field
    url                       the address without what only numbers its parts
    content-range             offset or total of Content-Range (RFC 9110, section 14.4)
    body                      the body itself

A selector that begins with ``reply.`` looks into the reply: header, json, xml and header-json can.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from shared.types.uploads import Role, Selector, Source, StepKind

REPLY: Final = "reply."
_JSON_PATH: Final = re.compile(r"\$((?:\.[^.\[\]]+|\[(?:\d{1,6}|\*)\])*)")
_JSON_KEY: Final = re.compile(r"\.([^.\[\]]+)|\[(\d+)\]|(\[\*\])")
_IN_REPLY: Final = frozenset({Source.HEADER, Source.JSON, Source.XML, Source.HEADER_JSON})
_NAMELESS: Final = frozenset({Source.URL, Source.CONTENT_RANGE, Source.BODY})
_IN_BODY: Final = frozenset({Source.JSON, Source.XML, Source.FORM, Source.FORM_JSON})
_CONDITIONS: Final = _IN_BODY | {Source.HEADER_JSON}
_ANY_STEP: Final = frozenset({Role.SESSION, Role.OBJECT, Role.NAME})
_BYTES: Final = frozenset({Role.OFFSET, Role.NUMBER, Role.LENGTH, Role.TOTAL, Role.DATA})
_ROLES_OF: Final[Mapping[StepKind | None, frozenset[Role]]] = MappingProxyType(
    {
        None: frozenset({Role.OBJECT, Role.BECOMES, Role.NAME}),
        StepKind.START: _ANY_STEP | _BYTES | {Role.LEARN},
        StepKind.PART: _ANY_STEP | _BYTES,
        StepKind.COMMIT: _ANY_STEP | _BYTES | {Role.ORDER, Role.SOURCES, Role.BECOMES},
        StepKind.CANCEL: _ANY_STEP,
        StepKind.STATUS: _ANY_STEP,
    }
)
_IN_REPLY_ROLES: Final = frozenset({Role.LEARN, Role.OBJECT, Role.BECOMES, Role.NAME, Role.NUMBER})


def parse_selector(text: str, role: Role) -> Selector:
    """Read one selector for one role.  Raises ValueError with a message that continues "KEY "."""
    reply = text.startswith(REPLY)
    kind, _, rest = text.removeprefix(REPLY).partition(":")
    try:
        source = Source(kind)
    except ValueError:
        raise ValueError(f"{text!r}: {kind!r} is none of {', '.join(Source)}") from None
    if reply and source not in _IN_REPLY:
        raise ValueError(f"{text!r}: in a reply only {', '.join(sorted(_IN_REPLY))} can be selected")
    if not _gives(source, role):
        raise ValueError(f"{text!r}: {source} gives no {role}")
    if reply != (role is Role.LEARN) and role not in _IN_REPLY_ROLES - {Role.LEARN}:
        raise ValueError(f"{text!r}: {role} is read from the {'request' if reply else 'reply'}")
    name, keys = _name_and_keys(text, source, rest)
    return Selector(source=source, reply=reply, name=name, keys=keys)


def parse_condition(text: str) -> Selector:
    """Read the selector of a condition on a request's body.  Raises ValueError as ``parse_selector``."""
    selector = parse_selector(text, Role.NAME)
    if selector.reply or selector.source not in _CONDITIONS:
        raise ValueError(f"{text!r}: a condition is one of {', '.join(sorted(_CONDITIONS))}")
    return selector


def reads_body(selector: Selector) -> bool:
    """Tell whether a selector looks into the body of the request."""
    return not selector.reply and selector.source in _IN_BODY


def _gives(source: Source, role: Role) -> bool:
    match source:
        case Source.BODY:
            return role is Role.DATA
        case Source.CONTENT_RANGE:
            return role in {Role.OFFSET, Role.TOTAL}
        case Source.URL:
            return role in {Role.SESSION, Role.SOURCES, Role.OBJECT, Role.BECOMES}
        case Source.FORM:
            return True
        case _:
            return role is not Role.DATA


def _name_and_keys(text: str, source: Source, rest: str) -> tuple[str, tuple[str | int | None, ...]]:
    if source in _NAMELESS:
        if rest:
            raise ValueError(f"{text!r}: {source} takes no name")
        return "", ()
    name, colon, path = rest.partition(":")
    if source is Source.JSON:
        return "", _json_keys(text, rest)
    if not name:
        raise ValueError(f"{text!r}: a name is missing")
    # Header fields and parameters are compared without regard to case, as the conditions of rules are.
    name = name.lower() if source in {Source.HEADER, Source.HEADER_JSON, Source.QUERY} else name
    if source in {Source.HEADER_JSON, Source.FORM_JSON}:
        return name, _json_keys(text, path)
    if colon and source in {Source.PATH, Source.XML, Source.HEADER}:
        raise ValueError(f"{text!r}: a name has no colon")
    return (rest.lower() if source is Source.QUERY else name + colon + path), ()


def _json_keys(text: str, path: str) -> tuple[str | int | None, ...]:
    if not _JSON_PATH.fullmatch(path):
        raise ValueError(f"{text!r}: {path!r} is no path such as $.a.b[0].c[*]")
    return tuple(_json_key(match) for match in _JSON_KEY.finditer(path))


def _json_key(match: re.Match[str]) -> str | int | None:
    name, index, _ = match.groups()
    return name if name is not None else int(index) if index is not None else None


def check_roles(step: StepKind | None, select: Mapping[Role, tuple[Selector, ...]], groups: frozenset[str]) -> None:
    """Check that the roles fit the step.  Raises ValueError with a message that begins with the key."""
    for role, selectors in select.items():
        if role not in _ROLES_OF[step]:
            raise ValueError(f"{role}: a {step or 'rule without a step'} has none")
        for each in selectors:
            if each.source is Source.PATH and each.name not in groups:
                raise ValueError(f"{role}: the path has no group {each.name!r}")
    if step is StepKind.START and not {Role.LEARN, Role.SESSION} & select.keys():
        raise ValueError(f"{Role.LEARN}: is missing, and there is no {Role.SESSION} either")
    if step not in {None, StepKind.START} and not {Role.SESSION, Role.SOURCES} & select.keys():
        raise ValueError(f"{Role.SESSION}: is missing")
