"""Multipart bodies (RFC 2046 section 5.1, RFC 7578), read as loosely as the laxest server would.

Line ends may be CRLF or LF, the last boundary may be missing, headers may be folded: what one server refuses another
stores.  Only delimiters at the start of a line count, as everywhere.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from shared.errors import ErrorCode
from shared.extract.budget import Limits, Steps
from shared.extract.fields import MAX_BOUNDARY, parse_block

FIND_WINDOW: Final = 256 * 1024
"""Bytes searched in one step; 0.05 ms."""

HITS_PER_STEP: Final = 128

_HEADER_END: Final = re.compile(rb"\r?\n\r?\n")
_AFTER_DELIMITER: Final = re.compile(rb"(--)?[ \t]{0,64}(\r\n|\n|\Z)")
_BLANK_LINE: Final = re.compile(rb"\r?\n")
_GUESSED_BOUNDARY: Final = re.compile(rb"--([^\r\n]{1,%d})\r?\nContent-[^\r\n:]{1,40}:" % MAX_BOUNDARY, re.IGNORECASE)


@dataclass(frozen=True, slots=True, kw_only=True)
class BodyPart:
    """One part: its fields and where its content lies, ``data[start:end]``.

    Where no blank line ends the head, all of the part is content.
    """

    start: int
    end: int
    headers: Mapping[str, str] = field(default_factory=dict)
    oversized_head: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Multipart:
    """The parts; ``problem`` says why there may be more, ``rest`` where the unread content begins."""

    parts: tuple[BodyPart, ...]
    problem: tuple[ErrorCode, str] | None = None
    rest: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class _Delimiter:
    content_end: int  # of the part before, where line ends are CRLF
    line_end: int  # after the delimiter line
    at: int  # of the line feed before the dashes
    closes: bool
    crlf: bool


def guess_boundary(data: bytes, start: int, end: int) -> bytes | None:
    """Return the boundary of a body that looks like multipart though its type does not say so."""
    match = _GUESSED_BOUNDARY.match(data, start, min(end, start + 2 * MAX_BOUNDARY))
    return match[1].rstrip(b" \t") if match else None


def split(data: bytes, start: int, end: int, boundary: bytes, limits: Limits) -> Steps[Multipart]:
    """Find the parts of ``data[start:end]``."""
    parts: list[BodyPart] = []
    opening = yield from _find(data, start, end, boundary)
    if opening is None:
        return Multipart(parts=(), problem=(ErrorCode.CORRUPT, "multipart without its boundary"), rest=start)
    while not opening.closes:
        if len(parts) == limits.max_multipart_parts:
            message = f"more than {limits.max_multipart_parts} parts"
            return Multipart(parts=tuple(parts), problem=(ErrorCode.OVER_BUDGET, message), rest=opening.line_end)
        closing = yield from _find(data, opening.line_end, end, boundary)
        parts.append(_part(data, opening, closing, end, limits))
        if closing is None:
            break
        opening = closing
        yield
    return Multipart(parts=tuple(parts))


def _find(data: bytes, start: int, end: int, boundary: bytes) -> Steps[_Delimiter | None]:
    dashes = b"--" + boundary
    if data.startswith(dashes, start, end):
        delimiter = _delimiter(data, start - 1, start + len(dashes), end)
        if delimiter:
            return delimiter
    needle = b"\n" + dashes
    hits, at = 0, start
    while at < end:
        until = min(at + FIND_WINDOW, end)
        hit = data.find(needle, at, min(until + len(needle) - 1, end))
        if hit < 0:
            at = until
            yield
            continue
        delimiter = _delimiter(data, hit, hit + len(needle), end)
        if delimiter:
            return delimiter
        at, hits = hit + 1, hits + 1
        if hits % HITS_PER_STEP == 0:
            yield
    return None


def _delimiter(data: bytes, at: int, after: int, end: int) -> _Delimiter | None:
    match = _AFTER_DELIMITER.match(data, after, end)
    if match is None:
        return None
    content_end = at - 1 if at > 0 and data[at - 1] == 0x0D else max(at, 0)
    return _Delimiter(
        content_end=content_end,
        line_end=match.end(),
        at=max(at, 0),
        closes=match[1] is not None,
        crlf=match[2] == b"\r\n",
    )


def _part(data: bytes, opening: _Delimiter, closing: _Delimiter | None, end: int, limits: Limits) -> BodyPart:
    start = opening.line_end
    stop = end
    if closing is not None:
        # With bare line feeds the byte before the delimiter's own belongs to the content, also when it is 0x0D.
        stop = max(closing.content_end if opening.crlf else closing.at, start)
    blank = _BLANK_LINE.match(data, start, stop)
    if blank:
        return BodyPart(start=blank.end(), end=stop)
    header_end = _HEADER_END.search(data, start, min(stop, start + limits.max_header_bytes))
    if header_end is None:
        return BodyPart(start=start, end=stop, oversized_head=stop - start > limits.max_header_bytes)
    return BodyPart(start=header_end.end(), end=stop, headers=parse_block(data[start : header_end.start()]))
