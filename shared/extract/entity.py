"""Messages inside messages: a mail (RFC 5322), a MIME part, or an HTTP message of a batch (``application/http``)."""

from __future__ import annotations

import binascii
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from shared.extract.budget import ImageSink, Steps
from shared.extract.fields import parse_block

MAX_HEAD: Final = 64 * 1024
"""Bytes of a head that is looked for; mails that went through several relays have up to 20 KiB."""

QUOTED_WINDOW: Final = 16 * 1024

_FIRST_LINE: Final = re.compile(
    rb"\s{0,8}(?:(?:[A-Z]{3,10} [^\s]{1,4096} HTTP/\d(?:\.\d)?|HTTP/\d(?:\.\d)? \d{3}[^\r\n]{0,200})\r?\n)?"
    rb"(?=[A-Za-z][A-Za-z0-9-]{0,63}:[ \t]?[^\r\n])"
)
_HEAD_END: Final = re.compile(rb"\r?\n\r?\n")
_TELLING: Final = frozenset({"content-type", "content-transfer-encoding", "mime-version", "content-encoding"})
_SPLIT_ESCAPE: Final = re.compile(rb"=[^=]?\Z")


@dataclass(frozen=True, slots=True, kw_only=True)
class Entity:
    """A head, and where the content behind it begins."""

    headers: Mapping[str, str]
    start: int


def inner_entity(data: bytes, start: int, end: int) -> Entity | None:
    """Return the head that ``data[start:end]`` begins with, or None where it begins with something else."""
    first = _FIRST_LINE.match(data, start, min(start + MAX_HEAD, end))
    if first is None:
        return None
    blank = _HEAD_END.search(data, first.end(), min(start + MAX_HEAD, end))
    if blank is None:
        return None
    headers = parse_block(data[first.end() : blank.start()])
    return Entity(headers=headers, start=blank.end()) if _TELLING & headers.keys() else None


def unquote(data: bytes, start: int, end: int) -> Steps[bytes]:
    """Return what ``data[start:end]`` stands for in quoted-printable (RFC 2045, section 6.7)."""
    sink = ImageSink(end - start)
    while start < end:
        raw = data[start : min(start + QUOTED_WINDOW, end)]
        if start + len(raw) < end:
            raw = raw[: _whole_lines(raw)]
        sink.write(binascii.a2b_qp(raw))
        start += len(raw)
        yield
    return sink.finish()[0]


def _whole_lines(window: bytes) -> int:
    """Return how much of the window can be decoded by itself: whole lines, or all but an escape that is cut."""
    newline = window.rfind(b"\n")
    if newline >= 0:
        return newline + 1
    cut = _SPLIT_ESCAPE.search(window)
    return cut.start() if cut and cut.start() else len(window)
