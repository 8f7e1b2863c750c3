"""What a request or its reply says about an upload in several requests: pure, from the catalogue's selectors.

The key of an upload is an application's id, ``APP ID``, or the address that the bytes go to, ``//HOST/PATH?QUERY``:
addresses hold on any host and for any application, since the reply to a start may name one that is somebody else's.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

from shared.extract.budget import Limits, Steps
from shared.extract.ranges import ContentRange, address_in, content_range
from shared.extract.selecting import Message, first, open_message, select
from shared.types import HttpHead, HttpMessage, Role, Selection, Selector, Source, StepKind, UploadStep

MAX_KEY: Final = 8192
"""Characters of a key."""
_SEPARATORS: Final = re.compile(r"[\s;,]+")
_LIMITS: Final = Limits(max_inflated_bytes=1 << 20)


@dataclass(frozen=True, slots=True, kw_only=True)
class Taken:
    """The steps that a request takes, several where one body holds pieces of several uploads.

    ``body`` is what their spans lie in: the request's with its codings undone.
    """

    steps: tuple[UploadStep, ...] = ()
    body: bytes = b""


@dataclass(frozen=True, slots=True, kw_only=True)
class Learned:
    """What the reply to a step tells: further keys of the upload, the number of the part, the object's id and name."""

    sessions: tuple[str, ...] = ()
    number: str = ""
    objects: tuple[str, ...] = ()
    name: str = ""


def read_steps(selection: Selection, request: HttpMessage, limits: Limits) -> Steps[Taken]:
    """Return the steps that a request takes.

    None where the rule has no step, or where a request other than a start does not say which upload it belongs to.
    """
    if selection.step is None:
        return Taken()
    message = yield from open_message(request, selection.groups, limits)
    sessions = [
        _key(selection, selector, value, request.head)
        for selector, value in _with_selector(message, selection.select.get(Role.SESSION, ()))
    ]
    sources = tuple(
        _key(selection, selector, each, request.head)
        for selector, value in _with_selector(message, selection.select.get(Role.SOURCES, ()))
        for each in _listed(selector, value)
    )
    if not sessions and not sources and selection.step is not StepKind.START:
        return Taken()
    return Taken(steps=tuple(_steps(selection, message, sessions or [""], sources)), body=message.body)


def read_reply(selection: Selection, request: HttpMessage, reply: HttpMessage) -> Steps[Learned]:
    """Return what a reply tells."""
    asked = yield from open_message(request, selection.groups, _LIMITS)
    answer = yield from open_message(reply, {}, _LIMITS)
    learn = selection.select.get(Role.LEARN, ())
    keys = [_key(selection, each, value, request.head) for each in learn for value in answer.values(each)]
    numbers = [value for each in selection.select.get(Role.NUMBER, ()) if each.reply for value in answer.values(each)]
    return Learned(
        sessions=tuple(dict.fromkeys(keys)),
        number=next(iter(numbers), ""),
        objects=tuple(select(selection, Role.OBJECT, asked, answer)),
        name=next(iter(select(selection, Role.NAME, asked, answer)), ""),
    )


def _with_selector(message: Message, selectors: Sequence[Selector]) -> list[tuple[Selector, str]]:
    for each in selectors:
        values = message.values(each)
        if values:
            return [(each, value) for value in values if value]
    return []


def _listed(selector: Selector, value: str) -> list[str]:
    """Return the items of a value: a header field holds a list of addresses, as in ``final;/files/a /files/b``."""
    if selector.source is not Source.HEADER:
        return [value]
    return [item for item in _SEPARATORS.split(value) if item.startswith(("/", "http://", "https://"))]


def _key(selection: Selection, selector: Selector, value: str, head: HttpHead) -> str:
    if selector.source is Source.URL:
        return f"//{value}"[:MAX_KEY]
    address = address_in(value, head)
    return f"{selection.app} {value}"[:MAX_KEY] if address is None else f"//{address}"[:MAX_KEY]


def _steps(
    selection: Selection, message: Message, sessions: Sequence[str], sources: tuple[str, ...]
) -> list[UploadStep]:
    spans = _spans(selection, message, len(sessions))
    offsets = _numbers(selection, message, Role.OFFSET)
    totals = _numbers(selection, message, Role.TOTAL)
    numbers = select(selection, Role.NUMBER, message)
    names = select(selection, Role.NAME, message)
    return [
        UploadStep(
            kind=selection.step or StepKind.PART,
            session=session,
            offset=_at(offsets, at),
            number=_at(numbers, at) or "",
            total=_at(totals, at),
            span=_at(spans, at),
            order=tuple(select(selection, Role.ORDER, message)),
            sources=sources,
            name=_at(names, at) or "",
        )
        for at, session in enumerate(sessions)
    ]


def _at[T](values: Sequence[T], at: int) -> T | None:
    return values[at] if at < len(values) else None


def _numbers(selection: Selection, message: Message, role: Role) -> list[int | None]:
    selectors = selection.select.get(role, ())
    ranges = [content_range(message.message.head.header("content-range"))]
    if any(each.source is Source.CONTENT_RANGE for each in selectors) and ranges[0] is not None:
        return [_of_range(ranges[0], role)]
    return [_whole_number(value) for value in first(message, selectors)]


def _of_range(found: ContentRange, role: Role) -> int | None:
    return found.start if role is Role.OFFSET else found.total


def _whole_number(text: str) -> int | None:
    text = text.strip()
    return int(text) if text.isascii() and text.isdigit() and len(text) <= 18 else None


def _spans(selection: Selection, message: Message, count: int) -> list[tuple[int, int]]:
    """Return where the bytes of each step are; empty where it brings none."""
    whole = _data(selection, message)
    if whole is None:
        return []
    lengths = [length or 0 for length in _numbers(selection, message, Role.LENGTH)]
    if not lengths or count == 1:
        return [whole]
    ends = [whole[0]]
    for length in lengths[:count]:
        ends.append(min(ends[-1] + length, whole[1]))
    return list(pairwise(ends))


def _data(selection: Selection, message: Message) -> tuple[int, int] | None:
    selectors = selection.select.get(Role.DATA, ())
    if not selectors and selection.step is not StepKind.PART:
        return None
    if not selectors or not message.body:
        return (0, len(message.body)) if message.body else None
    for each in selectors:
        if each.source is Source.BODY:
            return 0, len(message.body)
        if each.name in message.form:
            return message.form[each.name]
    return None
