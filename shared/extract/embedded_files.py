"""Archives and PDF documents that lie raw inside other data: protobuf uploads, print jobs, self-extracting programs.

As with pictures (``embedded``) no format around them is parsed.  Where one ends it says itself, near enough: readers of
ZIP and PDF look for their directory from the end, and do not mind a few bytes too many.
"""

from __future__ import annotations

import re
import struct
from typing import Final

from shared.extract.budget import Findings, Steps
from shared.extract.embedded import find_any
from shared.extract.sniff import media_type_of

FIND_WINDOW: Final = 128 * 1024
PDF_HEAD: Final = 4 * 1024
"""Bytes within which a document defines its first object; a text that merely names the format does not."""
SMALLEST: Final = 64

_SIGNATURES: Final[tuple[tuple[bytes, int], ...]] = (
    (b"PK\x03\x04", 0),
    (b"%PDF-", 0),
    (b"7z\xbc\xaf\x27\x1c", 0),
)
_PDF: Final = re.compile(rb"%PDF-[12]\.[0-9]\s")
_OBJECT: Final = re.compile(rb"[0-9]\s+obj\b")
_ZIP_METHODS: Final = frozenset({0, 8, 9, 12, 14, 93, 95, 98, 99})
_ZIP_HEAD: Final = struct.Struct("<4s3H12xIH")
_ZIP_END: Final = struct.Struct("<4s8xII")

type Span = tuple[int, int]


def scan(data: bytes, start: int, end: int, findings: Findings, locator: str) -> Steps[list[Span]]:
    """Add every archive and document inside ``data[start:end]`` as ``{locator}bytes@{offset}``; return their places."""
    spans: list[Span] = []
    after = start
    for hit in find_any(data, start, end, _SIGNATURES, needed=b""):
        if hit is None:
            yield
        elif hit >= after and not findings.full and end - hit >= SMALLEST:
            kind = _kind(data, hit, end)
            if kind is None:
                continue
            place = f"{locator}bytes@{hit}"
            if not findings.spend_candidate(place, end - hit):
                return spans
            after = yield from _end_of(kind, data, hit, end)
            if findings.has_room(place, after - hit) and findings.spend_embedded(after - hit, place):
                media_type = media_type_of(kind)
                yield from findings.add_span(data, hit, after, media_type=media_type, locator=place, name="")
                spans.append((hit, after))
    return spans


def _kind(data: bytes, at: int, end: int) -> str | None:
    if data.startswith(b"PK", at):
        _, version, _, method, _, name = _ZIP_HEAD.unpack_from(data, at)
        plausible = version & 0xFF <= 63 and method in _ZIP_METHODS and 0 < name <= 1024
        return "zip" if plausible else None
    if data.startswith(b"%PDF", at):
        named = _PDF.match(data, at) and _OBJECT.search(data, at, min(at + PDF_HEAD, end))
        return "pdf" if named else None
    return "7z" if data[at + 6] == 0 else None  # the major version


def _end_of(kind: str, data: bytes, at: int, end: int) -> Steps[int]:
    match kind:
        case "zip":
            return (yield from _end_of_zip(data, at, end))
        case "pdf":
            return (yield from _end_of_pdf(data, at, end))
        case _:
            offset, size = (int.from_bytes(data[at + field : at + field + 8], "little") for field in (12, 20))
            return min(at + 32 + offset + size, end)


def _end_of_zip(data: bytes, at: int, end: int) -> Steps[int]:
    """Return where the first end record stands whose directory begins where it says; else the end of the data."""
    window = at
    while window < end:
        until = min(window + FIND_WINDOW, end)
        found = data.find(b"PK\x05\x06", window, min(until + 3, end))
        yield
        if found < 0:
            window = until
            continue
        window = found + 4
        if found + 22 <= end:
            _, size, _ = _ZIP_END.unpack_from(data, found)
            begins = found - size
            if begins >= at and (size == 0 or data.startswith((b"PK\x01\x02", b"PK\x06\x06"), begins)):
                comment = int.from_bytes(data[found + 20 : found + 22], "little")
                return min(found + 22 + comment, end)
    return end


def _end_of_pdf(data: bytes, at: int, end: int) -> Steps[int]:
    """Return where the last end mark stands: a document may have been added to several times."""
    until = end
    while until > at:
        window = max(at, until - FIND_WINDOW)
        found = data.rfind(b"%%EOF", window, min(until + 4, end))
        yield
        if found >= 0:
            return min(found + 7, end)
        until = window
    return end
