"""Pictures written as percent-encoded bytes (RFC 3986, section 2.1): form fields, and data URIs without ``;base64``.

An SVG written that way is text: the raster pictures inside it are found as base64, its drawing is no picture here.
"""

from __future__ import annotations

import re
from typing import Final
from urllib.parse import unquote_to_bytes

from shared.extract.budget import Findings, ImageSink, Steps
from shared.extract.embedded import SMALLEST, find_any
from shared.extract.sniff import sniff

DECODE_WINDOW: Final = 8 * 1024
"""Characters decoded in one step: 2,700 escapes take 1 ms."""
HEAD_WINDOW: Final = 192

_SIGNATURES: Final[tuple[tuple[bytes, int], ...]] = (
    (b"%89PNG", 0),
    (b"%FF%D8%FF", 0),
    (b"%ff%d8%ff", 0),
    (b"%89%50%4E%47", 0),
    (b"%89%50%4e%47", 0),
    (b"GIF8", 0),
    (b"%47%49%46%38", 0),
    (b"RIFF", 0),
    (b"%52%49%46%46", 0),
)
_FORM_END: Final = re.compile(rb"[&\s]")
_TEXT_END: Final = re.compile(rb"[&\s\"'<>()\\]")
_CUT_ESCAPE: Final = re.compile(rb"%[0-9A-Fa-f]?\Z")


def scan(data: bytes, start: int, end: int, findings: Findings, locator: str, *, is_form: bool) -> Steps[None]:
    """Add every picture in ``data[start:end]`` as ``{locator}percent@{offset in data}``.

    ``is_form``: of type application/x-www-form-urlencoded, where ``+`` is a space and only ``&`` ends a value.
    """
    after = start
    for hit in find_any(data, start, end, _SIGNATURES, needed=b"%"):
        if hit is None:
            yield
        elif hit >= after and not findings.full:
            after = yield from _take(data, (hit, end), findings, locator, is_form=is_form)
            if after >= end:
                return


def _take(data: bytes, span: tuple[int, int], findings: Findings, locator: str, *, is_form: bool) -> Steps[int]:
    (at, end), ends = span, _FORM_END if is_form else _TEXT_END
    window = data[at : min(at + HEAD_WINDOW, end)]
    stop = ends.search(window)
    head = _decode(window[: stop.start()] if stop else window, is_form=is_form)
    media_type = sniff(head) if b"%" in window else None
    if media_type is None or not findings.has_room(locator, end - at):
        return at
    place = f"{locator}percent@{at}"
    found = yield from _find_end(data, at, end, ends)
    sink = ImageSink(found - at)
    while at < found:
        raw = data[at : min(at + DECODE_WINDOW, found)]
        if at + len(raw) < found and (cut := _CUT_ESCAPE.search(raw)):
            raw = raw[: cut.start()]
        decoded = _decode(raw, is_form=is_form)
        if not findings.spend_embedded(len(decoded), place):
            return end
        sink.write(decoded)
        at += len(raw)
        yield
    image, sha256 = sink.finish()
    if len(image) >= SMALLEST:
        findings.add(image, sha256, media_type, place, "")
    return found


def _find_end(data: bytes, at: int, end: int, ends: re.Pattern[bytes]) -> Steps[int]:
    while at < end:
        until = min(at + DECODE_WINDOW * 8, end)
        stop = ends.search(data, at, until)
        if stop:
            return stop.start()
        at = until
        yield
    return end


def _decode(text: bytes, *, is_form: bool) -> bytes:
    return unquote_to_bytes(text.replace(b"+", b" ") if is_form else text)
