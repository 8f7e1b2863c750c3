"""Header fields of messages and parts: values with parameters (RFC 2045, 6266, 8187)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final
from urllib.parse import unquote

MAX_FIELD: Final = 4 * 1024
"""Characters of a field value that are read."""

MAX_BOUNDARY: Final = 200
"""RFC 2046 allows 70 characters; some clients send more."""

_CHARSETS: Final = frozenset({"utf-8", "iso-8859-1", "us-ascii"})
_LINE_END: Final = re.compile(r"\r\n|\r|\n")


@dataclass(frozen=True, slots=True, kw_only=True)
class FieldValue:
    """``main`` in lower case, such as ``multipart/form-data``; parameter names in lower case."""

    main: str
    params: Mapping[str, str]


def parse_value(text: str) -> FieldValue:
    """Split a value from its parameters in one pass; a quoted string that does not end ends with the text."""
    text = text[:MAX_FIELD]
    semicolon = text.find(";")
    params: dict[str, str] = {}
    if semicolon < 0:
        return FieldValue(main=text.strip().lower(), params=params)
    at = semicolon + 1
    while at < len(text):
        name, value, at = _parameter(text, at)
        if name:
            params.setdefault(name, value)
    return FieldValue(main=text[:semicolon].strip().lower(), params=params)


def _parameter(text: str, at: int) -> tuple[str, str, int]:
    end = text.find(";", at)
    end = len(text) if end < 0 else end
    equals = text.find("=", at, end)
    if equals < 0:
        return "", "", end + 1
    name = text[at:equals].strip().lower()
    start = equals + 1
    while start < end and text[start] in " \t":
        start += 1
    if not text.startswith('"', start):
        return name, text[start:end].strip(), end + 1
    value, after = _quoted(text, start + 1)
    end = text.find(";", after)
    return name, value, len(text) if end < 0 else end + 1


def _quoted(text: str, at: int) -> tuple[str, int]:
    # Browsers write %22 for a quote and leave a backslash alone (file names of old Windows clients): only \" and \\
    # are escapes here.
    pieces: list[str] = []
    while at < len(text):
        char = text[at]
        if char == '"':
            return "".join(pieces), at + 1
        if char == "\\" and text[at + 1 : at + 2] in {'"', "\\"}:
            at += 1
            char = text[at]
        pieces.append(char)
        at += 1
    return "".join(pieces), at


def file_name(disposition: FieldValue) -> str:
    """Return the file name of a Content-Disposition; ``filename*`` wins over ``filename``."""
    charset, _, rest = disposition.params.get("filename*", "").partition("'")
    encoded = rest.partition("'")[2]
    if encoded and charset.lower() in _CHARSETS:
        return _printable(unquote(encoded, encoding=charset.lower(), errors="replace"))
    return _printable(disposition.params.get("filename", ""))


def field_name(disposition: FieldValue) -> str:
    """Return the form field's name, fit for a locator."""
    return _printable(disposition.params.get("name", "")).replace("/", "_")[:64]


def boundary_of(content_type: FieldValue) -> bytes | None:
    """Return the boundary of a multipart type, or None where there is none that can be used."""
    boundary = content_type.params.get("boundary", "").rstrip(" ")
    if not content_type.main.startswith("multipart/") or not 0 < len(boundary) <= MAX_BOUNDARY:
        return None
    return boundary.encode("utf-8", "replace")


def parse_block(block: bytes) -> dict[str, str]:
    """Return the fields of a header block, names in lower case, the first of each; folded lines are joined."""
    fields: dict[str, str] = {}
    last = ""
    for line in _LINE_END.split(block.decode("utf-8", "replace")):
        if line[:1] in {" ", "\t"} and last:
            fields[last] += " " + line.strip()
            continue
        name, colon, value = line.partition(":")
        last = name.strip().lower() if colon else ""
        if last in fields:
            last = ""
        elif last:
            fields[last] = value.strip()
    return fields


def _printable(text: str) -> str:
    return "".join(char for char in text if char.isprintable())
