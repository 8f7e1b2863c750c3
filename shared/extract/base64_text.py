"""Images written as base64 in text: data URIs, JSON strings, ND-JSON, form fields, XML, mail.

No grammar is parsed.  A picture in base64 is a long run of the alphabet, whatever is around it, so the scanner looks
for runs of at least MIN_RUN characters and decodes the head of each.  The alphabet includes what may be mixed in:
JSON escapes (``\\/``, ``\\u002b``, ``\\n``, also escaped twice), percent escapes and line ends.  All passes over the
body are single C calls on windows, so a 10 MB body costs about 10 ms in steps far below one.

A run that is no picture may be the base64 of something that holds one: text (a mail, JSON), compressed data, or any
long binary.  It is decoded and handed to ``inside``.
"""

from __future__ import annotations

import binascii
import re
from collections.abc import Callable, Generator
from typing import Final

from shared.extract.budget import Findings, ImageSink, Steps
from shared.extract.sniff import sniff

MIN_RUN: Final = 64
SCAN_WINDOW: Final = 64 * 1024
DECODE_WINDOW: Final = 48 * 1024
ESCAPED_WINDOW: Final = 8 * 1024  # a callback for each escape: 2,700 of "%2B" take 1 ms
HEAD_WINDOW: Final = 256
RUNS_PER_STEP: Final = 32
MIN_NESTED: Final = 88
"""Characters: the base64 of a run of MIN_RUN, which is 64 bytes."""
LONG_BINARY: Final = HEAD_WINDOW
"""Characters from which on base64 of what is no text is looked into as well: shorter ones are keys and digests."""
MOST_ESCAPES: Final = HEAD_WINDOW // 16
"""Escapes in a head: 3 of 64 characters have to be escaped in base64, and twice as many happen to be."""
GLUED: Final = 3
"""Characters that may stand right before a run and look like it: a protobuf length, the ``b4`` of engine.io."""

_ALPHABET: Final = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/-_="
_IN_RUN, _OUT_OF_RUN = b"\0", b"\1"
_CLASSES: Final = bytes(0 if byte in _ALPHABET + b"\\%\r\n" else 1 for byte in range(256))
_LONG_RUN: Final = _IN_RUN * MIN_RUN

_STANDARD: Final = bytes.maketrans(b"-_", b"+/")  # base64url (RFC 4648 section 5) to base64
_NOISE: Final = bytes(byte for byte in range(256) if byte not in _ALPHABET)

# What the base64 of a picture's first bytes begins with, or an escape.
_FIRST: Final = frozenset(b"/_AiRUQSTO\\%\r\n")

# Where, inside a run, a picture can begin: after a line end, "=" or an escape, with the base64 of a picture's first
# bytes.  The start of the run itself is tried without this list.
_START: Final = re.compile(
    rb"(?:=|\r|\n|\\[nrt]|%(?:2[Cc]|3[Dd]|22|0[Aa]))"
    rb"(?=(?:\\{0,4}/|%2[Ff]|\\{1,4}u002[fF])(?:9j|wo|0/)|iVBORw|R0lGOD|UklGR|Qk|SUk[qr]|TU0A|AAA|OEJQ)"
)
# Where a picture ends before its run does: padding, a blank line or the next boundary of a mail.
_STOP: Final = re.compile(rb"=|%3[dD]|\\u003[dD]|\n\n|\r\n\r\n|\n--")
_CUT_ESCAPE: Final = re.compile(rb"(?:\\+(?:u[0-9a-fA-F]{0,3})?|%[0-9a-fA-F]?|[\r\n]+)\Z")
_LONGEST_ESCAPE: Final = 16
# What ends the base64 of something inside a run: also escapes of characters that are not in the alphabet.
_ESCAPED_OTHER: Final = rb"(?:%|\\u00)(?:2[0-9ACEace]|3[A-Fa-f]|40|5[B-Eb-e]|60|7[B-Fb-f])"
_BREAK: Final = re.compile(rb"=|\n\n|\r\n\r\n|\n--|" + _ESCAPED_OTHER)
_BEGINNING: Final = rb"(?:[A-Za-z0-9+/_-]|%2[BbFf]|\\{1,4}(?:/|u002[bBfF])){16}"
_LONGEST_BEGINNING: Final = 16 * 9
_AFTER_BREAK: Final = re.compile(rb"(?:=|\n|" + _ESCAPED_OTHER + rb")(?=" + _BEGINNING + rb")")

_UNICODE: Final = re.compile(rb"\\u00([2-7][0-9a-fA-F])")
_PERCENT: Final = re.compile(rb"%([2-7][0-9a-fA-F])")

_TEXT: Final = re.compile(rb"[\t\r\n\x20-\x7e]{15,}")
_COMPRESSED: Final = (b"\x1f\x8b\x08", b"\x28\xb5\x2f\xfd")

type Run = tuple[int, int]
type Inside = Callable[[bytes, str], Steps[None]]
"""Looks into what a run stands for; the second argument is its locator."""


def scan(
    data: bytes, start: int, end: int, findings: Findings, locator: str, inside: Inside | None = None
) -> Steps[None]:
    """Add every picture found in ``data[start:end]`` as ``{locator}base64@{offset in data}``."""
    for run in find_runs(data, start, end):
        if run is None:
            yield
        elif not findings.full:
            found = yield from _scan_run(data, run, findings, locator)
            if not found and inside is not None:
                yield from _scan_inside(data, run, findings, locator, inside)


def has_run(data: bytes, start: int, end: int) -> bool:
    """Tell whether ``find_runs`` yields a run, at one go: for short stretches."""
    return _LONG_RUN in data[start:end].translate(_CLASSES)


def find_runs(data: bytes, start: int, end: int) -> Generator[Run | None]:
    """Yield the maximal runs of the alphabet of at least MIN_RUN bytes in ``data[start:end]``, and None to pause."""
    at = start
    while at < end:
        classes = data[at : min(at + SCAN_WINDOW, end)].translate(_CLASSES)
        yield None
        after, found = 0, 0
        while (hit := classes.find(_LONG_RUN, after)) >= 0:
            stop = classes.find(_OUT_OF_RUN, hit + MIN_RUN)
            if stop < 0:
                break
            yield at + hit, at + stop
            after, found = stop, found + 1
            if found % RUNS_PER_STEP == 0:
                yield None
        if hit >= 0:
            run_end = yield from _run_end(data, at + len(classes), end)
            yield at + hit, run_end
            at = run_end
        else:
            at += max(len(classes) - MIN_RUN + 1, after, 1) if at + len(classes) < end else len(classes)


def _run_end(data: bytes, at: int, end: int) -> Generator[None, None, int]:
    while at < end:
        classes = data[at : min(at + SCAN_WINDOW, end)].translate(_CLASSES)
        yield
        stop = classes.find(_OUT_OF_RUN)
        if stop >= 0:
            return at + stop
        at += len(classes)
    return end


def _scan_run(data: bytes, run: Run, findings: Findings, locator: str) -> Steps[bool]:
    """Keep the pictures in ``run``; return whether there were any."""
    start, end = _unglued(data, run), run[1]
    tries, found = 0, False
    while end - start >= MIN_RUN and not findings.full:
        if data[start] in _FIRST and not findings.spend_candidate(locator.rstrip("/") or "body", end - start):
            break
        media_type = _sniff_base64(data, start, end)
        if media_type and findings.has_room(locator, end - start):
            start = yield from _take(data, (start, end), media_type, findings, locator)
            found = True
        tries += 1
        if tries % RUNS_PER_STEP == 0:
            yield
        following = yield from _next_start(data, start, end)
        if following is None:
            break
        start = following
    return found


def begins_picture(data: bytes, run: Run) -> tuple[int, str] | None:
    """Return where in ``run`` a picture begins, within its first characters, and its media type."""
    start = _unglued(data, run)
    media_type = _sniff_base64(data, start, run[1]) if run[1] - start >= MIN_RUN else None
    return None if media_type is None else (start, media_type)


def _unglued(data: bytes, run: Run) -> int:
    """Return where a picture begins among the first characters of ``run``, else where the run does."""
    start, end = run
    places = range(start, min(start + GLUED + 1, end - MIN_RUN + 1))
    return next((at for at in places if _sniff_base64(data, at, end)), start)


def _scan_inside(data: bytes, run: Run, findings: Findings, locator: str, inside: Inside) -> Steps[None]:
    start, end = run
    tries = 0
    while end - start >= MIN_NESTED and not findings.full:
        begun = _readable(data, start, end)
        if begun is None:
            start = yield from _find(_AFTER_BREAK, data, start, end)
        elif findings.spend_candidate(locator.rstrip("/") or "body", end - begun):
            place = f"{locator}base64@{begun}"
            segment = begun, (yield from _find(_BREAK, data, begun, end))
            sink = ImageSink(_decoded_size(segment))
            yield from _decode_into(sink, data, segment, findings, place)
            if not findings.full:
                yield from inside(sink.finish()[0], place + "/")
            start = segment[1]
        tries += 1
        if tries % RUNS_PER_STEP == 0:
            yield


def _find(pattern: re.Pattern[bytes], data: bytes, start: int, end: int) -> Steps[int]:
    """Return where the first match in ``data[start:end]`` ends, or ``end``."""
    while start < end:
        match = pattern.search(data, start, min(start + SCAN_WINDOW // 4, end))
        if match:
            return match.end()
        start += max(SCAN_WINDOW // 4 - _LONGEST_ESCAPE - _LONGEST_BEGINNING, 1)
        yield
    return end


def _readable(data: bytes, start: int, end: int) -> int | None:
    """Return where, at the start of a run, something begins that is worth decoding."""
    window = data[start : min(start + HEAD_WINDOW, end)]
    stop = _BREAK.search(window)
    window = window[: stop.start()] if stop else window
    if len(window) < MIN_NESTED:
        return None
    text = plain(window)[:MIN_NESTED]
    glued = next((at for at in range(GLUED) if window[at] not in _ALPHABET), GLUED)
    for skipped in range(glued + 1):
        head = binascii.a2b_base64(text[skipped : skipped + (len(text) - skipped) // 4 * 4])
        if _TEXT.match(head) or head.startswith(_COMPRESSED):
            return start + skipped
    # Percent-encoded bytes are a run as well, and no base64.
    return start if len(window) >= LONG_BINARY and window.count(b"%") <= MOST_ESCAPES else None


def _sniff_base64(data: bytes, start: int, end: int) -> str | None:
    if data[start] not in _FIRST:
        return None
    window = data[start : min(start + HEAD_WINDOW, end)]
    stop = _STOP.search(window)
    head = plain(window[: stop.start()] if stop else window)
    raw = binascii.a2b_base64(head[: len(head) // 4 * 4])
    # A bare JPEG XL codestream is known by two bytes: too few among thousands of random strings.
    return None if raw.startswith(b"\xff\x0a") else sniff(raw)


def _next_start(data: bytes, start: int, end: int) -> Steps[int | None]:
    at = start
    while at < end:
        match = _START.search(data, at, min(at + SCAN_WINDOW // 4, end))
        if match:
            return match.end()
        at += SCAN_WINDOW // 4 - _LONGEST_ESCAPE
        yield
    return None


def _take(data: bytes, run: Run, media_type: str, findings: Findings, locator: str) -> Steps[int]:
    """Keep the picture at the start of ``run``; return where to look on."""
    place = f"{locator}base64@{run[0]}"
    sink = ImageSink(_decoded_size(run))
    after = yield from _decode_into(sink, data, run, findings, place)
    if not findings.full:
        findings.add(*sink.finish(), media_type, place, "")
    return after


def decode_span(data: bytes, start: int, end: int, findings: Findings, locator: str) -> Steps[bytes]:
    """Return the bytes that ``data[start:end]``, all of it base64, stands for."""
    sink = ImageSink(_decoded_size((start, end)))
    yield from _decode_into(sink, data, (start, end), findings, locator)
    return sink.finish()[0]


def _decoded_size(run: Run) -> int:
    return (run[1] - run[0]) * 3 // 4


def _decode_into(sink: ImageSink, data: bytes, run: Run, findings: Findings, locator: str) -> Steps[int]:
    at, end = run
    kept, is_last = b"", at >= end
    while not is_last:
        raw, at, is_last = next_window(data, at, end)
        text = kept + plain(raw)
        usable = len(text) if is_last else len(text) // 4 * 4
        decoded, kept = decode(text[:usable]), text[usable:]
        if not findings.spend_base64(len(decoded), locator):
            return end
        sink.write(decoded)
        yield
    return at


def next_window(data: bytes, at: int, end: int) -> tuple[bytes, int, bool]:
    """Return the next stretch of a picture's base64, where the one after it begins, and whether it is the last.

    It ends before the first sign that ends a picture, padding for example, and the next one begins after that sign.
    """
    raw = data[at : min(at + DECODE_WINDOW, end)]
    if b"\\" in raw or b"%" in raw:
        raw = raw[:ESCAPED_WINDOW]
    stop = _STOP.search(raw)
    if stop:
        return raw[: stop.start()], at + stop.end(), True
    if at + len(raw) < end:
        cut = _CUT_ESCAPE.search(raw, max(len(raw) - _LONGEST_ESCAPE, 1))
        raw = raw[: cut.start()] if cut else raw
    return raw, at + len(raw), at + len(raw) >= end


def decode(text: bytes) -> bytes:
    """Return what base64 in the standard alphabet stands for; padding may be missing."""
    spare = len(text) % 4
    return binascii.a2b_base64(text[:-1] if spare == 1 else text + b"=" * (-spare % 4))


def plain(window: bytes) -> bytes:
    """Return the base64 characters that ``window`` stands for, in the standard alphabet, padding kept."""
    if b"\\" in window:
        while b"\\\\" in window:
            window = window.replace(b"\\\\", b"\\")
        window = window.replace(b"\\/", b"/")
        for escape in (b"\\n", b"\\r", b"\\t"):
            window = window.replace(escape, b"")
        window = _UNICODE.sub(_character, window)
    if b"%" in window:
        window = _PERCENT.sub(_character, window)
    return window.translate(_STANDARD, _NOISE)


def _character(match: re.Match[bytes]) -> bytes:
    return bytes((int(match[1], 16),))
