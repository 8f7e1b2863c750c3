"""Puts other bytes in the place of an image, wherever it stands in a body, and leaves every other byte as it is.

The image is looked for by its own bytes, in each way it can be written: raw, and as base64 in any alphabet, with any
of the escapes that JSON and forms put into it, in lines or not; inside base64 of something larger, too.  What takes its
place is written in the same way.  All occurrences go.  Whoever calls extracts again to see that nothing is left: what
is written in a way that is not known here stays, and must not pass.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from shared.extract.base64_text import find_runs, plain
from shared.extract.budget import Limits, Steps

MAX_NESTED: Final = 3
"""Base64 inside base64: a mail in JSON holds its pictures two deep."""
FIND_WINDOW: Final = 256 * 1024
PATTERN_WINDOW: Final = 16 * 1024  # the patterns are tried at every character: 0.5 ms
COMPARE_WINDOW: Final = 1 << 20
ENCODE_WINDOW: Final = 48 * 1024
TOKENS_PER_STEP: Final = 512
PREFIX_BYTES: Final = 45
"""Bytes of an image that are looked for: 60 characters of base64, less than a line of a mail."""
MAX_PART_HEAD: Final = 8 * 1024

_SLASH: Final = rb"(?:(?:\\|%5[cC])*(?:/|%2[fF])|(?:\\|%5[cC])+u002[fF]|_)"
_PLUS: Final = rb"(?:(?:\\|%5[cC])*(?:\+|%2[bB])|(?:\\|%5[cC])+u002[bB]|-)"
_BREAK: Final = rb"(?:\r\n|\r|\n|(?:\\|%5[cC])+[nr]|%0[aAdD])"
_PAD: Final = rb"(?:=|%3[dD]|(?:\\|%5[cC])+u003[dD])"
_TOKEN: Final = re.compile(
    rb"(?P<plain>[A-Za-z0-9]+)|(?P<slash>%b)|(?P<plus>%b)|(?P<breaks>%b+)" % (_SLASH, _PLUS, _BREAK)
)
_PADDING: Final = re.compile(rb"(?:%b)*(?P<pad>%b)(?:%b)*(?:%b)?" % (_BREAK, _PAD, _BREAK, _PAD))
_PART_END: Final = re.compile(rb"\n--|\n\r?\n")
_PART_LENGTH: Final = re.compile(rb"(?:\A|\n)content-length[ \t]*:[ \t]*([0-9]{1,19})[ \t]*(?=\r?\n)", re.IGNORECASE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Replacement:
    """An image and what takes its place."""

    original: bytes
    new: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class _Change:
    start: int
    end: int
    new: bytes


@dataclass(slots=True)
class _Style:
    """How a piece of base64 is written; None where it does not show."""

    slash: bytes | None = None
    plus: bytes | None = None
    pad: bytes | None = None
    line_end: bytes = b""
    line_length: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class _Encoded:
    """``data[start:end]`` stands for ``raw``."""

    end: int
    raw: bytes
    style: _Style


def splice_steps(body: bytes, replacements: Sequence[Replacement], limits: Limits) -> Steps[bytes]:
    """Return ``body`` with every original replaced, as far as it is found.  Never raises."""
    return (yield from _Splicer(limits).rewrite(body, [each for each in replacements if each.original], 0))


class _Splicer:
    def __init__(self, limits: Limits) -> None:
        self._left = limits.max_base64_bytes

    def rewrite(self, data: bytes, replacements: Sequence[Replacement], depth: int) -> Steps[bytes]:
        changes: list[_Change] = []
        missing: list[Replacement] = []
        for each in replacements:
            found = yield from self._raw(data, each)
            found += yield from self._encoded(data, each)
            changes += found
            if not found:
                missing.append(each)
        if missing and depth < MAX_NESTED:
            changes += yield from self._nested(data, missing, depth)
        return _apply(data, changes)

    def _raw(self, data: bytes, replacement: Replacement) -> Steps[list[_Change]]:
        changes: list[_Change] = []
        original, prefix, at = replacement.original, replacement.original[:PREFIX_BYTES], 0
        while at < len(data):
            until = min(at + FIND_WINDOW, len(data))
            hit = data.find(prefix, at, until + len(prefix) - 1)
            if hit < 0:
                at = until
                yield
            elif (yield from _stands_at(data, hit, original)):
                changes += _part_length(data, hit, replacement)
                changes.append(_Change(start=hit, end=hit + len(original), new=replacement.new))
                at = hit + len(original)
            else:
                at = hit + 1
        return changes

    def _encoded(self, data: bytes, replacement: Replacement) -> Steps[list[_Change]]:
        changes: list[_Change] = []
        pattern, reach = _pattern(replacement.original[:PREFIX_BYTES])
        at = 0
        while pattern is not None and at < len(data):
            match = pattern.search(data, at, min(at + PATTERN_WINDOW + reach, len(data)))
            yield
            if match is None or match.start() >= at + PATTERN_WINDOW:
                at += PATTERN_WINDOW
                continue
            found = yield from self._read(data, match.start(), len(replacement.original))
            if found is not None and found.raw == replacement.original:
                new = yield from _write(replacement.new, found.style)
                changes.append(_Change(start=match.start(), end=found.end, new=new))
                at = found.end
            else:
                at = match.start() + 1
        return changes

    def _nested(self, data: bytes, replacements: Sequence[Replacement], depth: int) -> Steps[list[_Change]]:
        changes: list[_Change] = []
        smallest = min(len(each.original) for each in replacements)
        for run in find_runs(data, 0, len(data)):
            if run is None:
                yield
                continue
            start, end = run
            if (end - start) * 3 // 4 < smallest:
                continue
            found = yield from self._read(data, start, None, end)
            if found is None or len(found.raw) < smallest:
                continue
            raw = yield from self.rewrite(found.raw, replacements, depth + 1)
            if raw != found.raw:
                new = yield from _write(raw, found.style)
                changes.append(_Change(start=start, end=found.end, new=new))
        return changes

    def _read(self, data: bytes, start: int, size: int | None, end: int | None = None) -> Steps[_Encoded | None]:
        """Read base64 at ``start``: ``size`` bytes of it, or all there is up to ``end``; None past the budget."""
        wanted = None if size is None else -(-size * 4 // 3)
        limit = len(data) if end is None else end
        if end is not None and (stop := _PART_END.search(data, start, end)) is not None:
            limit = stop.start()
        walk = _Walk(wanted)
        at = start
        while not walk.full and (token := _TOKEN.match(data, at, limit)) is not None:
            at = walk.take(token)
            if walk.tokens % TOKENS_PER_STEP == 0:
                yield
        text = plain(b"".join(walk.pieces))
        self._left -= len(text)
        if self._left < 0 or (wanted is not None and walk.count < wanted):
            return None
        padding = _PADDING.match(data, at)
        if padding is not None and walk.count % 4:
            walk.style.pad, at = padding["pad"], padding.end()
        elif walk.count % 4:
            walk.style.pad = b""
        yield
        raw = binascii.a2b_base64(text[: len(text) - (len(text) % 4 == 1)] + b"=" * (-len(text) % 4))
        yield
        return _Encoded(end=at, raw=raw, style=walk.style)


class _Walk:
    """Goes through base64 token by token and notes how it is written."""

    def __init__(self, wanted: int | None) -> None:
        self.pieces: list[bytes] = []
        self.style = _Style()
        self.count = 0
        self.tokens = 0
        self._wanted = wanted
        self._breaks: tuple[int, bytes] | None = None  # after how many characters the last one stood

    @property
    def full(self) -> bool:
        return self._wanted is not None and self.count >= self._wanted

    def take(self, token: re.Match[bytes]) -> int:
        """Take a token in; return where the next one begins."""
        self.tokens += 1
        self._settle()
        text, style = token[0], self.style
        if token["breaks"] is not None:
            self._breaks = (self.count, text)
            return token.end()
        if token["plain"] is not None:
            text = text if self._wanted is None else text[: self._wanted - self.count]
            self.count += len(text)
        else:
            self.count += 1
            if token["slash"] is not None:
                style.slash = style.slash or text
                text = b"/"
            else:
                style.plus = style.plus or text
                text = b"+"
        self.pieces.append(text)
        return token.start() + len(text) if token["plain"] is not None else token.end()

    def _settle(self) -> None:
        # A break counts once something follows: the one at the end belongs to what comes after.
        if self._breaks is not None and not self.style.line_end and self._breaks[0]:
            self.style.line_length, self.style.line_end = self._breaks
        self._breaks = None


def _pattern(prefix: bytes) -> tuple[re.Pattern[bytes] | None, int]:
    """Return what finds the base64 of ``prefix`` however it is written, and how long that can be."""
    text = base64.b64encode(prefix[: len(prefix) // 3 * 3])
    if not text:
        return None, 0
    known = {ord("/"): _SLASH, ord("+"): _PLUS}
    parts = [known.get(char, re.escape(bytes((char,)))) for char in text]
    return re.compile(rb"(?:%b){0,2}" .replace(b"%b", _BREAK).join(parts)), len(text) * 12


def _stands_at(data: bytes, at: int, original: bytes) -> Steps[bool]:
    if at + len(original) > len(data):
        return False
    view, wanted = memoryview(data), memoryview(original)
    for start in range(0, len(original), COMPARE_WINDOW):
        if view[at + start : at + min(start + COMPARE_WINDOW, len(original))] != wanted[start : start + COMPARE_WINDOW]:
            return False
        yield
    return True


def _part_length(data: bytes, at: int, replacement: Replacement) -> list[_Change]:
    """Return the change to the Content-Length of the part that the image is the content of, where it has one."""
    head_end = next((at - len(blank) for blank in (b"\r\n\r\n", b"\n\n") if data.endswith(blank, 0, at)), None)
    if head_end is None:
        return []
    start = max(0, head_end - MAX_PART_HEAD)
    start = max(start, data.rfind(b"\n--", start, head_end))
    match = _PART_LENGTH.search(data, start, head_end + 2)
    if match is None or int(match[1]) != len(replacement.original):
        return []
    return [_Change(start=match.start(1), end=match.end(1), new=str(len(replacement.new)).encode())]


def _write(raw: bytes, style: _Style) -> Steps[bytes]:
    """Return ``raw`` as base64 in a style."""
    url_safe = style.slash == b"_" or style.plus == b"-"
    slash = style.slash or (b"_" if url_safe else _like(style.plus, b"/", b"%2F", b"/"))
    plus = style.plus or (b"-" if url_safe else _like(style.slash, b"+", b"%2B", b"+"))
    pad = style.pad if style.pad is not None else b"" if url_safe else _like(style.plus or style.slash, b"=", b"%3D", b"=")
    pieces: list[bytes] = []
    for at in range(0, len(raw), ENCODE_WINDOW):
        pieces.append(base64.b64encode(raw[at : at + ENCODE_WINDOW]))
        yield
    text = b"".join(pieces)
    length = style.line_length if style.line_end else len(text) or 1
    lines: list[bytes] = []
    for at in range(0, len(text), length):
        line = text[at : at + length].replace(b"=", pad).replace(b"/", slash).replace(b"+", plus)
        lines.append(line)
        if len(lines) % TOKENS_PER_STEP == 0:
            yield
    return style.line_end.join(lines)


def _like(other: bytes | None, bare: bytes, percent: bytes, otherwise: bytes) -> bytes:
    """Return how a character is written where another one is written as ``other``."""
    if other is None:
        return otherwise
    return percent if other.startswith(b"%") else bare


def _apply(data: bytes, changes: list[_Change]) -> bytes:
    pieces: list[bytes] = []
    at = 0
    for change in sorted(changes, key=lambda each: each.start):
        if change.start >= at:  # of two that overlap the first counts
            pieces += [data[at : change.start], change.new]
            at = change.end
    return b"".join([*pieces, data[at:]]) if pieces else data
