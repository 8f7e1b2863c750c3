"""Where in the text messages of an application the pieces of one picture stand, in base64.

No application is known: the first piece is the base64 of a picture's beginning, and what stands before it, a JSON key
for example, stands before the pieces that follow as well.  Which upload a piece belongs to and which of its pieces it
is are read from the short members around it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import chain
from typing import Final

from shared.extract.base64_text import MIN_RUN, begins_picture, find_runs
from shared.extract.budget import WINDOW, Steps

MAX_BEFORE: Final = 64
"""Bytes before a piece that tell its place."""
AROUND: Final = 512
"""Bytes on each side of a piece in which its upload and its number are looked for."""
MAX_RUNS: Final = 64
"""Runs of base64 in one message that are looked at."""
MAX_PIECES: Final = 4096
"""Pieces of one picture in one message: lines of 76 characters, as mail has them, of 230 KB."""
MAX_DIGITS: Final = 15
PIECES_PER_STEP: Final = 32

_DATA_URI: Final = re.compile(rb"data:[\w.+;=\\/-]{0,100},\Z", re.IGNORECASE)
_KEYED: Final = re.compile(rb"""\\{0,3}["'][^"'\\]{1,48}\\{0,3}["']\s{0,4}[:,]\s{0,4}\\{0,3}["']\Z""")
_TAGGED: Final = re.compile(rb"<[\w:.-]{1,48}>\Z")
_NUMBER: Final = re.compile(rb"[0-9]+")
_CHARACTERS: Final = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/-_=%\\"
_IN_LINE: Final = bytes(byte not in _CHARACTERS for byte in range(256))
_IN_LINES: Final = bytes(byte not in _CHARACTERS + b"\r\n" for byte in range(256))
_MEMBER: Final = re.compile(
    rb"""["']([\w.-]{1,40})\\{0,3}["']\s{0,4}:\s{0,4}\\{0,3}(?:["']([^"'\\]{1,200})\\{0,3}["']|(\d{1,15})(?![\d.]))"""
)
_OWNER: Final = re.compile(rb"(?:id|name|file|key|uuid|guid|upload|transfer|stream|session)\Z", re.IGNORECASE)
_ORDER: Final = re.compile(
    rb"(?:chunk|part|piece|segment|block|packet|fragment|seq|sequence|index|idx|offset|position|order).*"
    rb"|.*(?:index|idx|no|num|number|seq|sequence|offset|pos|position|order)|[in]",
    re.IGNORECASE,
)
_OTHER_PIECE: Final = re.compile(rb"[A-Za-z0-9+/=_-]{%d,}" % MIN_RUN)
_NEXT_OBJECT: Final = re.compile(rb"\}\s*,\s*\{|\n|[A-Za-z0-9+/=_-]{%d,}" % MIN_RUN)

type Owner = frozenset[tuple[bytes, bytes]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """What stands right before a piece; ``line`` where its line begins with that, whatever numbers are in it."""

    before: bytes
    line: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Piece:
    """Base64 in ``data[start:end]``; ``media_type`` where it begins a picture."""

    data: bytes
    start: int
    end: int
    place: Place
    media_type: str = ""

    @property
    def size(self) -> int:
        """Characters."""
        return self.end - self.start

    def members(self) -> tuple[Owner, Mapping[bytes, int]]:
        """Return what tells the upload, and the numbers of which one may count its pieces."""
        owner: dict[bytes, bytes] = {}
        counts: dict[bytes, int] = {}
        after = _NEXT_OBJECT.split(self.data[self.end : self.end + AROUND], maxsplit=1)[0]
        before = _OTHER_PIECE.split(self.data[max(self.start - AROUND, 0) : self.start])[-1]
        for match in chain(_MEMBER.finditer(after), _MEMBER.finditer(before)):  # the nearest one counts
            name, text, number = match[1], match[2] or b"", match[3] or b""
            digits = number or (text if text.isdigit() and len(text) <= MAX_DIGITS else b"")
            if digits and _ORDER.fullmatch(name):
                counts[name] = int(digits)
            elif _OWNER.search(name):
                owner[name] = text or number
        return frozenset(owner.items()), counts


def pieces_in(data: bytes) -> Steps[list[Piece]]:
    """Return the pieces that begin a picture, and those with a number, which may be the middle of one."""
    found, seen = [], 0
    for run in find_runs(data, 0, len(data)):
        if run is None:
            yield
            continue
        seen += 1
        if seen > MAX_RUNS:
            break
        begun = begins_picture(data, run)
        start, media_type = (run[0], "") if begun is None else begun
        place = _place(data, start)
        if place is not None and (media_type or not place.line):
            end = yield from _end(data, start, place)
            piece = Piece(data=data, start=start, end=end, place=place, media_type=media_type)
            found += [piece] if media_type or piece.members()[1] else []
    return found


def pieces_at(data: bytes, place: Place) -> Steps[list[Piece]]:
    """Return what stands in a place; nothing may, or a few characters."""
    found: list[Piece] = []
    before = _pattern(place)
    at = 0
    while at < len(data) and len(found) < MAX_PIECES:
        until = min(at + WINDOW, len(data))
        match = before.search(data, at, min(until + 4 * MAX_BEFORE, len(data)))
        if match is None:
            at = until
            yield
            continue
        start = match.end()
        skipped = _URI_HEAD.match(data, start)
        start = skipped.end() if skipped else start
        at = yield from _end(data, start, place)
        begun = begins_picture(data, (start, at)) if at - start >= MIN_RUN else None
        found.append(Piece(data=data, start=start, end=at, place=place, media_type="" if begun is None else begun[1]))
        at = max(at, match.start() + 1)
        if len(found) % PIECES_PER_STEP == 0:
            yield
    return found


_URI_HEAD: Final = re.compile(rb"data:[\w.+;=\\/-]{0,100},", re.IGNORECASE)


def _pattern(place: Place) -> re.Pattern[bytes]:
    if not place.line:
        return re.compile(re.escape(place.before))
    return re.compile(rb"^" + rb"[0-9]+".join(map(re.escape, _NUMBER.split(place.before))), re.MULTILINE)


def _place(data: bytes, start: int) -> Place | None:
    before = data[max(start - 4 * MAX_BEFORE, 0) : start]
    uri = _DATA_URI.search(before)
    before = before[: uri.start()] if uri else before
    known = _KEYED.search(before) or _TAGGED.search(before)
    if known:
        return Place(before=known[0])
    line_start = before.rfind(b"\n") + 1
    prefix = before[line_start:]
    whole = line_start > 0 or start <= 4 * MAX_BEFORE
    return Place(before=_NUMBER.sub(b"0", prefix), line=True) if whole and len(prefix) <= MAX_BEFORE else None


def _end(data: bytes, at: int, place: Place) -> Steps[int]:
    """Return where the base64 that begins at ``at`` ends: with its line, unless lines are all there is."""
    classes = _IN_LINE if place.before else _IN_LINES
    while at < len(data):
        stop = data[at : at + WINDOW].translate(classes).find(b"\1")
        if stop >= 0:
            return at + stop
        at += WINDOW
        yield
    return len(data)
