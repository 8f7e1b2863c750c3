"""Puts other bytes in the place of an image, wherever it stands in a body, and leaves every other byte as it is.

The image is looked for by its own bytes, in each way it can be written: raw, and as base64 in any alphabet, with any
of the escapes that JSON and forms put into it, in lines or not; inside base64 of something larger, too.  What takes its
place is written in the same way.  All occurrences go.  Whoever calls extracts again to see that nothing is left: what
is written in a way that is not known here stays, and must not pass.
"""

from __future__ import annotations

import base64
import binascii
import io
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from shared.extract.base64_text import find_runs
from shared.extract.budget import Limits, Steps

MAX_NESTED: Final = 3
"""Base64 inside base64: a mail in JSON holds its pictures two deep."""
FIND_WINDOW: Final = 256 * 1024
PATTERN_WINDOW: Final = 16 * 1024  # the patterns are tried at every character: 0.5 ms
COMPARE_WINDOW: Final = 1 << 20
ENCODE_WINDOW: Final = 24 * 1024  # a multiple of three
DECODE_WINDOW: Final = 16 * 1024
TOKENS_PER_STEP: Final = 512
PREFIX_BYTES: Final = 45
"""Bytes of an image that are looked for: 60 characters of base64, less than a line of a mail."""
MAX_PART_HEAD: Final = 8 * 1024

_SLASH: Final = rb"(?:(?:\\|%5[cC])*(?:/|%2[fF])|(?:\\|%5[cC])+u002[fF]|_)"
_PLUS: Final = rb"(?:(?:\\|%5[cC])*(?:\+|%2[bB])|(?:\\|%5[cC])+u002[bB]|-)"
_BREAK: Final = rb"(?:\r\n|\r|\n|(?:\\|%5[cC])+[nr]|%0[aAdD])"
_PAD: Final = rb"(?:=|%3[dD]|(?:\\|%5[cC])+u003[dD])"
_TOKEN: Final = re.compile(
    rb"(?P<bare>[A-Za-z0-9+/_-]{1,16384})|(?P<slash>%b)|(?P<plus>%b)|(?P<breaks>%b+)" % (_SLASH, _PLUS, _BREAK)
)
_PADDING: Final = re.compile(rb"(?:%b)*(?P<pad>%b)(?:(?:%b)*%b)?" % (_BREAK, _PAD, _BREAK, _PAD))
_GOES_ON: Final = re.compile(rb"(?:[A-Za-z0-9]|%b|%b)" % (_SLASH, _PLUS))
_GOES_ON_IN_LINES: Final = re.compile(rb"%b{0,2}(?!--)(?:[A-Za-z0-9]|%b|%b)" % (_BREAK, _SLASH, _PLUS))
_STANDARD: Final = bytes.maketrans(b"-_", b"+/")  # base64url (RFC 4648 section 5) to base64
_CUT: Final = re.compile(rb"\n--|\n\r?\n")
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
        return (yield from _apply(data, changes)) if changes else data

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
            walk = _Walk(match.start(), len(data), -(-len(replacement.original) * 4 // 3))
            if (yield from _is_encoded_at(data, walk, replacement.original)):
                new = yield from _write(replacement.new, walk.style)
                changes.append(_Change(start=match.start(), end=walk.at, new=new))
                at = walk.at
            else:
                at = match.start() + 1
        return changes

    def _nested(self, data: bytes, replacements: Sequence[Replacement], depth: int) -> Steps[list[_Change]]:
        changes: list[_Change] = []
        smallest = min(len(each.original) for each in replacements)
        for run in find_runs(data, 0, len(data)):
            for start, end in [] if run is None else (yield from _paragraphs(data, *run)):
                if (end - start) * 3 // 4 < smallest:
                    continue
                walk = _Walk(start, end)
                sink = _sink((end - start) * 3 // 4)
                for raw in walk.decode(data):
                    sink.write(raw)
                    yield
                if not self._spend(sink.tell()):
                    return changes
                sink.truncate()
                inner = sink.getvalue()
                new = yield from self.rewrite(inner, replacements, depth + 1)
                if new != inner:
                    changes.append(_Change(start=start, end=walk.at, new=(yield from _write(new, walk.style))))
            yield
        return changes

    def _spend(self, size: int) -> bool:
        self._left -= size
        return self._left >= 0


class _Walk:
    """Reads base64 from ``at`` on and notes how it is written: ``wanted`` characters of it, or all up to ``end``."""

    def __init__(self, at: int, end: int, wanted: int | None = None) -> None:
        self.at = at
        self.style = _Style()
        self.count = 0
        self._end = end
        self._wanted = wanted
        self._break: re.Match[bytes] | None = None  # the last token, where it was one

    def decode(self, data: bytes) -> Iterator[bytes]:
        """Yield what it stands for in pieces, some of them empty."""
        text = bytearray()
        tokens = 0
        while not self._is_full and (token := _TOKEN.match(data, self.at, self._end)) is not None:
            text += self._take(token)
            tokens += 1
            if len(text) >= DECODE_WINDOW or tokens % TOKENS_PER_STEP == 0:
                usable = len(text) // 4 * 4
                yield binascii.a2b_base64(text[:usable])
                del text[:usable]
        if self.count % 4:
            padding = _PADDING.match(data, self.at, self._end)
            self.style.pad = padding["pad"] if padding else b""
            self.at = padding.end() if padding else self.at
        if self._break is not None and self.at == self._break.end():
            self.at = self._break.start()  # it belongs to what comes after
        spare = len(text) % 4
        yield binascii.a2b_base64(bytes(text[:-1]) if spare == 1 else bytes(text) + b"=" * (-spare % 4))

    @property
    def _is_full(self) -> bool:
        return self._wanted is not None and self.count >= self._wanted

    def _take(self, token: re.Match[bytes]) -> bytes:
        """Return the characters that a token stands for, in the standard alphabet."""
        text, style = token[0], self.style
        self.at = token.end()
        if token["breaks"] is not None:
            self._break = token
            return b""
        if self._break is not None and self.count and not style.line_end:
            style.line_length, style.line_end = self.count, self._break[0]
        self._break = None
        if token["slash"] is not None or token["plus"] is not None:
            self.count += 1
            if token["slash"] is not None:
                style.slash = style.slash or text
                return b"/"
            style.plus = style.plus or text
            return b"+"
        if self._wanted is not None and len(text) > self._wanted - self.count:
            text = text[: self._wanted - self.count]
            self.at = token.start() + len(text)
        self.count += len(text)
        style.slash = style.slash or next((each for each in (b"/", b"_") if each in text), None)
        style.plus = style.plus or next((each for each in (b"+", b"-") if each in text), None)
        return text.translate(_STANDARD)


def _is_encoded_at(data: bytes, walk: _Walk, original: bytes) -> Steps[bool]:
    """Tell whether the base64 under ``walk`` stands for ``original`` and ends with it; the walk then is at its end.

    Base64 that goes on is that of something larger, in which the image happens to begin with a group of four.
    """
    at = 0
    for raw in walk.decode(data):
        if raw != original[at : at + len(raw)]:
            return False
        at += len(raw)
        yield
    goes_on = _GOES_ON_IN_LINES if walk.style.line_end else _GOES_ON
    return at == len(original) and (bool(walk.style.pad) or goes_on.match(data, walk.at) is None)


def _paragraphs(data: bytes, start: int, end: int) -> Steps[list[tuple[int, int]]]:
    """Cut a run where a head ends and where the next boundary of a mail begins: both are letters and line ends."""
    cuts, at = [start], start
    while at < end:
        match = _CUT.search(data, at, min(at + FIND_WINDOW + 3, end))
        if match is None:
            at += FIND_WINDOW
            yield
            continue
        cuts += [match.start(), match.end()]
        at = match.end()
        if len(cuts) % TOKENS_PER_STEP == 0:
            yield
    return list(zip(cuts[::2], [*cuts[1::2], end], strict=True))


def _pattern(prefix: bytes) -> tuple[re.Pattern[bytes] | None, int]:
    """Return what finds the base64 of ``prefix`` however it is written, and how long that can be."""
    text = base64.b64encode(prefix[: len(prefix) // 3 * 3])
    if not text:
        return None, 0
    known = {ord("/"): _SLASH, ord("+"): _PLUS}
    parts = [known.get(char, re.escape(bytes((char,)))) for char in text]
    return re.compile((rb"%b{0,2}" % _BREAK).join(parts)), len(text) * 12


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
    slash = style.slash or (b"_" if url_safe else _like(style.plus, b"/"))
    plus = style.plus or (b"-" if url_safe else _like(style.slash, b"+"))
    pad = style.pad if style.pad is not None else b"" if url_safe else _like(style.plus or style.slash, b"=")
    sink, rest = _sink(len(raw) * 3 // 2), b""
    for at in range(0, len(raw), ENCODE_WINDOW):
        text = rest + base64.b64encode(raw[at : at + ENCODE_WINDOW])
        length = style.line_length if style.line_end else len(text)
        is_last = at + ENCODE_WINDOW >= len(raw)
        end = len(text) if is_last else len(text) // length * length
        for start in range(0, end, length):
            line = text[start : min(start + length, end)]
            sink.write(line.replace(b"=", pad).replace(b"/", slash).replace(b"+", plus))
            if style.line_end and not (is_last and start + length >= end):
                sink.write(style.line_end)
        rest = text[end:]
        yield
    sink.truncate()
    return sink.getvalue()


def _sink(size: int) -> io.BytesIO:
    """Return a buffer of about the size that will be needed: one that grows moves megabytes at once."""
    return io.BytesIO(bytes(size))


def _like(other: bytes | None, char: bytes) -> bytes:
    """Return how a character is written where another one is written as ``other``."""
    escape, found, _ = (other or b"").partition(b"u00")
    if found:
        return escape + b"u%04x" % char[0]
    return b"%%%02X" % char[0] if escape.startswith(b"%") else char


def _apply(data: bytes, changes: list[_Change]) -> Steps[bytes]:
    size = len(data) + sum(len(change.new) for change in changes)
    view, sink, at = memoryview(data), _sink(size), 0
    for change in [*sorted(changes, key=lambda each: each.start), _Change(start=len(data), end=len(data), new=b"")]:
        if change.start < at:  # of two that overlap the first counts
            continue
        for piece in (view[at : change.start], memoryview(change.new)):
            for start in range(0, len(piece), COMPARE_WINDOW):
                sink.write(piece[start : start + COMPARE_WINDOW])
                yield
        at = change.end
    sink.truncate()
    return sink.getvalue()
