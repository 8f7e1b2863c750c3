"""Content-Range, the ranges of a response, and addresses that tell objects apart."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final
from urllib.parse import urljoin, urlsplit

from shared.extract import multipart
from shared.extract.budget import Limits, Steps
from shared.extract.fields import boundary_of, parse_value
from shared.types import HttpHead, HttpMessage

MAX_ADDRESS: Final = 8192
"""Characters of an address that tell uploads apart; signed ones have up to 2,000."""

NUMBERING: Final = frozenset(
    {"partnumber", "blockid", "comp", "offset", "fileoffset", "chunk", "segment_index", "part"}
)
"""Parameters that differ from part to part of one upload."""

SIGNATURES: Final = frozenset(
    {
        "x-amz-algorithm",
        "x-amz-credential",
        "x-amz-date",
        "x-amz-expires",
        "x-amz-security-token",
        "x-amz-signature",
        "x-goog-algorithm",
        "x-goog-credential",
        "x-goog-date",
        "x-goog-expires",
        "x-goog-signature",
        "awsaccesskeyid",
        "expires",
        "signature",
        "se",
        "sig",
        "ske",
        "sks",
        "skt",
        "st",
        "tempauth",
    }
)
"""Parameters of signed addresses, new with each of them: S3's and Google's, Azure's, SharePoint's."""

_RANGE: Final = re.compile(r"bytes[ =](?:(\d{1,18})-(\d{1,18})|\*)/(?:(\d{1,18})|\*)", re.IGNORECASE)
_DEFAULT_PORTS: Final = {"http": 80, "https": 443}


@dataclass(frozen=True, slots=True, kw_only=True)
class ContentRange:
    """A field value of RFC 9110, section 14.4: bytes ``start`` to ``end`` (exclusive) of ``total`` (None: unknown).

    ``start`` and ``end`` are None where only the total is told.
    """

    start: int | None
    end: int | None
    total: int | None


def content_range(text: str) -> ContentRange | None:
    """Read a Content-Range; None for anything else, such as a range that ends before it begins."""
    match = _RANGE.fullmatch(text.strip())
    if match is None:
        return None
    first, last, total = (None if group is None else int(group) for group in match.groups())
    if first is None or last is None:
        return None if total is None else ContentRange(start=None, end=None, total=total)
    if last < first or (total is not None and last >= total):
        return None
    return ContentRange(start=first, end=last + 1, total=total)


def address_of(head: HttpHead) -> str:
    """Return a request's address without scheme, fragment and what only numbers its parts."""
    port = "" if _DEFAULT_PORTS.get(head.scheme) == head.port else f":{head.port}"
    return _address(f"{head.host}{port}", head.path, head.query)


def address_in(text: str, head: HttpHead) -> str | None:
    """Return the address that a reply to ``head`` names, absolute or relative to it; None where it names none."""
    text = text.strip()
    if not text.lower().startswith(("http://", "https://", "/")):
        return None
    try:
        parts = urlsplit(urljoin(f"{head.scheme}://{_bracketed(head.host)}:{head.port}{head.path}", text[:MAX_ADDRESS]))
        host, port = parts.hostname or "", parts.port
    except ValueError:
        return None
    if port is None or _DEFAULT_PORTS.get(parts.scheme) == port:
        return _address(host, parts.path or "/", parts.query)
    return _address(f"{host}:{port}", parts.path or "/", parts.query)


def stable_address(head: HttpHead) -> str:
    """Return a request's address without what only signs it: the same for every link to one object."""
    pairs = (pair for pair in head.query.removeprefix("?").split("&") if pair)
    kept = "&".join(pair for pair in pairs if pair.partition("=")[0].lower() not in SIGNATURES)
    return f"{head.host.lower()}:{head.port}{head.path}?{kept}"[:MAX_ADDRESS]


@dataclass(frozen=True, slots=True, kw_only=True)
class Range:
    """``body[begin:end]`` of a response is what the object has at ``offset``; ``total`` in bytes (None: unknown)."""

    begin: int
    end: int
    offset: int
    total: int | None


def ranges_of(response: HttpMessage, limits: Limits) -> Steps[tuple[Range, ...]]:
    """Return the ranges that a 206 brings: one, or several as multipart/byteranges; none that does not fit."""
    single = content_range(response.head.header("content-range"))
    if single is not None:
        return _fitting(single, 0, len(response.body))
    boundary = boundary_of(parse_value(response.head.header("content-type")))
    if boundary is None:
        return ()
    found = yield from multipart.split(response.body, 0, len(response.body), boundary, limits)
    return tuple(
        each
        for part in found.parts
        if (part_range := content_range(part.headers.get("content-range", ""))) is not None
        for each in _fitting(part_range, part.start, part.end)
    )


def _fitting(found: ContentRange, begin: int, end: int) -> tuple[Range, ...]:
    if found.start is None or found.end is None or found.end - found.start != end - begin:
        return ()
    return (Range(begin=begin, end=end, offset=found.start, total=found.total),)


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host


def _address(authority: str, path: str, query: str) -> str:
    pairs = (pair for pair in query.removeprefix("?").split("&") if pair)
    kept = "&".join(pair for pair in pairs if pair.partition("=")[0].lower() not in NUMBERING)
    return f"{authority.lower()}{path}?{kept}"[:MAX_ADDRESS]
