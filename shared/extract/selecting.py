"""Reads the values that the catalogue's selectors name out of a request or a reply.

Any bytes give values or none.  What is parsed as a whole is bounded: control messages are small, and what is larger
than MAX_JSON_BYTES or MAX_XML_BYTES gives no values.
"""

from __future__ import annotations

import codecs
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Final
from urllib.parse import unquote_plus

from shared.extract import codings, multipart
from shared.extract.budget import Limits, Steps
from shared.extract.fields import boundary_of, parse_value
from shared.extract.ranges import address_of
from shared.types import HttpMessage, Role, Selection, Selector, Source

MAX_JSON_BYTES: Final = 256 << 10
MAX_JSON_MARKS: Final = 10_000
"""Commas, colons and opening brackets of what is parsed in one call.  They, and not its bytes, are what parsing takes
time for: 256 KiB of small lists took 30 ms, of text 1 ms; 10,000 marks take 2 ms at most."""
MAX_DIGITS: Final = 18
"""Digits of a number that may be an offset or a size; the time to read one grows with the square of its digits."""
MAX_XML_BYTES: Final = 1 << 20
"""Searched in one call; the list of 10,000 parts of an S3 upload has 1.2 MB at most, most lists far less."""
MAX_TELLING_BYTES: Final = 32 << 10
"""Of a body that tells what its request does; calls about objects have hundreds."""
MAX_TELLING_MARKS: Final = 4_000
"""Each object of it is compared with itself: 2 ms at most."""
MAX_VALUES: Final = 10_000
"""Values of one selector: S3 has as many parts at most."""
MAX_VALUE: Final = 8192
"""Characters of a value."""

AWS_CHUNKED: Final = "aws-chunked"

type Form = Mapping[str, tuple[int, int]]


class Message:
    """A request or a reply with its codings undone; what is parsed is parsed once."""

    def __init__(self, message: HttpMessage, body: bytes, form: Form, groups: Mapping[str, str]) -> None:
        self.message = message
        self.body = body
        self.form = form
        self._groups = groups
        self._json: object = _UNREAD

    def values(self, selector: Selector) -> list[str]:
        """Return what ``selector`` finds, in order."""
        return [value[:MAX_VALUE] for value in self._found(selector)][:MAX_VALUES]

    def is_ambiguous(self) -> bool:
        """Tell whether the server may read other values than we do: out of codings that do not open here, more than
        ``MAX_TELLING_BYTES``, JSON that is none to us, or has a key twice."""
        encoded = any(name == "content-encoding" for name, _ in self.message.head.headers)
        if not self.body or (encoded and self.body is self.message.body):
            return bool(self.body)
        plain = self.body.removeprefix(codecs.BOM_UTF8).lstrip()
        if plain[:1] in {b"{", b"["}:
            return len(self.body) > MAX_TELLING_BYTES or not _is_plain_json(plain)
        is_form = self.message.head.header("content-type").startswith("application/x-www-form-urlencoded")
        return is_form and len(self.body) > MAX_TELLING_BYTES

    def _found(self, selector: Selector) -> Iterable[str]:
        match selector.source:
            case Source.JSON:
                return _walk(self._parsed(), selector.keys)
            case Source.XML:
                return _elements(self.body, selector.name)
            case Source.FORM:
                return [value] if (value := self._field(selector.name)) is not None else []
            case Source.FORM_JSON:
                return _walk(_loads(self._field(selector.name) or ""), selector.keys)
            case _:
                return self._in_head(selector)

    def _in_head(self, selector: Selector) -> Iterable[str]:
        head = self.message.head
        match selector.source:
            case Source.PATH:
                return [unquote_plus(self._groups[selector.name])] if selector.name in self._groups else []
            case Source.QUERY:
                return _parameters(head.query, selector.name)
            case Source.HEADER:
                return [value for name, value in head.headers if name == selector.name]
            case Source.HEADER_JSON:
                return _walk(_loads(head.header(selector.name)), selector.keys)
            case Source.URL:
                return [address_of(head)]
            case _:
                return []

    def _parsed(self) -> object:
        if self._json is _UNREAD:
            self._json = _loads(self.body)
        return self._json

    def _field(self, name: str) -> str | None:
        span = self.form.get(name)
        if span is not None:
            return self.body[span[0] : min(span[1], span[0] + MAX_JSON_BYTES)].decode("utf-8", "replace")
        if self.message.head.header("content-type").startswith("application/x-www-form-urlencoded"):
            text = self.body[:MAX_JSON_BYTES].decode("utf-8", "replace")
            return next(iter(_parameters(text, name.lower())), None)
        return None


_UNREAD: Final = object()
_MARKS: Final = b",:[{"


def open_message(message: HttpMessage, groups: Mapping[str, str], limits: Limits) -> Steps[Message]:
    """Undo a message's codings and find the fields of its form."""
    body = yield from _without_codings(message, limits)
    form = yield from _form(body, message.head.header("content-type"), limits)
    return Message(message, body, form, groups)


def _without_codings(message: HttpMessage, limits: Limits) -> Steps[bytes]:
    applied = codings.codings_of([value for name, value in message.head.headers if name == "content-encoding"])
    # A part of a compressed object cannot be decompressed alone, but its framing on the way is its own.
    for undone in (applied, tuple(coding for coding in applied if coding == AWS_CHUNKED)):
        if undone and message.body:
            inflated = yield from codings.undo(message.body, undone, limits)
            if inflated.error is None:
                return inflated.body
    return message.body


def first(message: Message, selectors: Sequence[Selector]) -> list[str]:
    """Return the values of the first selector that finds any."""
    return next((values for each in selectors if (values := message.values(each))), [])


def select(selection: Selection, role: Role, request: Message, reply: Message | None = None) -> list[str]:
    """Return the values of one role, each from where its selector says; a reply that is not there has none."""
    for selector in selection.select.get(role, ()):
        source = reply if selector.reply else request
        values = source.values(selector) if source is not None else []
        if values:
            return values
    return []


def _form(body: bytes, content_type: str, limits: Limits) -> Steps[Form]:
    boundary = boundary_of(parse_value(content_type))
    if boundary is None:
        return {}
    found = yield from multipart.split(body, 0, len(body), boundary, limits)
    form: dict[str, tuple[int, int]] = {}
    for part in found.parts:
        # The name as it was sent: a locator's is cut and cleaned.
        name = parse_value(part.headers.get("content-disposition", "")).params.get("name", "")
        form.setdefault(name, (part.start, part.end))
    return form


def _parameters(query: str, name: str) -> list[str]:
    found = []
    for pair in query.removeprefix("?").split("&")[:MAX_VALUES]:
        key, _, value = pair.partition("=")
        if unquote_plus(key).lower() == name:
            found.append(unquote_plus(value))
    return found


def _loads(text: str | bytes) -> object:
    if not text or len(text) > MAX_JSON_BYTES or _marks(text) > MAX_JSON_MARKS:
        return None
    try:
        return json.loads(text, parse_int=_integer)
    except (ValueError, RecursionError):
        return None


def _marks(text: str | bytes) -> int:
    raw = text.encode("utf-8", "replace") if isinstance(text, str) else text
    return len(raw) - len(raw.translate(None, _MARKS))


def _integer(digits: str) -> int | None:
    return int(digits) if len(digits.removeprefix("-")) <= MAX_DIGITS else None


def _is_plain_json(text: bytes) -> bool:
    if _marks(text) > MAX_TELLING_MARKS:
        return False
    try:
        json.loads(text, object_pairs_hook=_without_doubles, parse_int=_integer)
    except (ValueError, RecursionError):
        return False
    return True


def _without_doubles(pairs: list[tuple[str, object]]) -> None:
    if len({key for key, _ in pairs}) < len(pairs):
        raise ValueError("a key stands twice")


def _walk(value: object, keys: Sequence[str | int | None]) -> list[str]:
    found = [value]
    for key in keys:
        found = [inner for outer in found for inner in _step(outer, key)][:MAX_VALUES]
    return [text for each in found if (text := _text(each)) is not None]


def _step(value: object, key: str | int | None) -> list[object]:
    if isinstance(value, dict):
        return [value[key]] if isinstance(key, str) and key in value else []
    if isinstance(value, list):
        if key is None:
            return value[:MAX_VALUES]
        return [value[key]] if isinstance(key, int) and key < len(value) else []
    return []


def _text(value: object) -> str | None:
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value) if isinstance(value, int) else None


def _elements(body: bytes, name: str) -> list[str]:
    if len(body) > MAX_XML_BYTES:
        return []
    return [_unescaped(match[1]) for match in _element(name).finditer(body)]


@lru_cache(maxsize=64)
def _element(name: str) -> re.Pattern[bytes]:
    tag = b"(?:" + b"|".join(re.escape(each.encode()) for each in name.split("|")) + b")"
    # Bounded attributes and no nesting: linear in the body.
    return re.compile(rb"<(?:[\w.-]{1,64}:)?" + tag + rb"(?:\s[^<>]{0,512})?>([^<]{0,8192})</")


def _unescaped(text: bytes) -> str:
    plain = text.decode("utf-8", "replace").strip()
    for entity, character in (("&lt;", "<"), ("&gt;", ">"), ("&quot;", '"'), ("&apos;", "'"), ("&amp;", "&")):
        plain = plain.replace(entity, character)
    return plain
