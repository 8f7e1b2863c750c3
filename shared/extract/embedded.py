"""Pictures that lie raw inside other binary data: protobuf, MessagePack, CBOR, BSON, Thrift, frames of any protocol.

No schema is known and no format is parsed: the first bytes of a picture are searched for, and what stands before them
tells how long it is, since each of these formats writes the length of a byte string right there.  So nesting costs
nothing and needs no bound.  Where no length fits, the picture reaches to the end of the data: decoders stop by
themselves at its own end.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from typing import Final

from shared.extract.budget import Findings, Steps
from shared.extract.sniff import SNIFF_BYTES, sniff

FIND_WINDOW: Final = 64 * 1024
"""Bytes searched in one step: 0.7 ms where anything may begin a picture, as in what is compressed."""
HITS_PER_STEP: Final = 64
NEEDED_WITHIN: Final = 64
SMALLEST: Final = 26
"""Bytes of the smallest picture that is looked for: a GIF of one pixel has 26 to 43."""

# Where each signature stands in its picture.
_SIGNATURES: Final[tuple[tuple[bytes, int], ...]] = (
    (b"\x89PNG\r\n\x1a\n", 0),
    (b"\xff\xd8\xff", 0),
    (b"GIF8", 0),
    (b"WEBP", 8),
    (b"ftyp", 4),
    (b"\x28\x00\x00\x00", 14),  # BMP: "BM" alone is everywhere, the size of the header that follows is not
    (b"\x6c\x00\x00\x00", 14),
    (b"\x7c\x00\x00\x00", 14),
    (b"II*\x00", 0),
    (b"II+\x00", 0),
    (b"MM\x00*", 0),
    (b"MM\x00+", 0),
    (b"8BPS\x00", 0),
    (b"\x00\x00\x00\x0cJXL \r\n\x87\n", 0),
    (b"\x00\x00\x00\x0cjP  \r\n\x87\n", 0),
)
MAX_BOXES: Final = 64
_BOXED: Final = frozenset({"image/heif", "image/avif", "image/jxl", "image/jp2"})
_END_WITHIN: Final = 16
_ENDS: Final[dict[str, tuple[bytes, ...]]] = {
    "image/png": (b"IEND\xaeB`\x82",),
    "image/jpeg": (b"\xff\xd9",),
    "image/gif": (b"\x00;",),
}


def scan(data: bytes, start: int, end: int, findings: Findings, locator: str) -> Steps[None]:
    """Add every picture inside ``data[start:end]`` as ``{locator}bytes@{offset in data}``."""
    after = start
    for hit in find_any(data, start, end, _SIGNATURES, needed=b"\0"):
        if hit is None:
            yield
        elif hit >= after and not findings.full:
            after = yield from _take(data, hit, (start, end), findings, locator)
            if after >= end:
                return


def first(data: bytes, start: int, end: int) -> Steps[int | None]:
    """Return where the first picture in ``data[start:end]`` begins, whole or not."""
    for hit in find_any(data, start, end, _SIGNATURES, needed=b"\0"):
        if hit is None:
            yield
        elif _media_type_at(data, hit, end) is not None:
            return hit
    return None


def find_any(
    data: bytes, start: int, end: int, signatures: Sequence[tuple[bytes, int]], *, needed: bytes
) -> Generator[int | None]:
    """Yield in rising order where pictures may begin in ``data[start:end]``, and None to pause.

    Windows without ``needed``, which every head of a picture holds in its first bytes, are not searched further.
    """
    longest = max(len(signature) + offset for signature, offset in signatures)
    for window in range(start, end, FIND_WINDOW):
        until = min(window + FIND_WINDOW, end)
        hits: list[int] = []
        if data.find(needed, window, min(until + NEEDED_WITHIN, end)) < 0:
            yield None
            continue
        for signature, offset in signatures:
            at = data.find(signature, window + offset, min(until + longest, end))
            while 0 <= at < until + offset:
                hits.append(at - offset)
                if len(hits) % HITS_PER_STEP == 0:
                    yield None
                at = data.find(signature, at + 1, min(until + longest, end))
        yield None
        for number, hit in enumerate(sorted(hits), start=1):
            yield hit
            if number % HITS_PER_STEP == 0:
                yield None


def _take(data: bytes, at: int, span: tuple[int, int], findings: Findings, locator: str) -> Steps[int]:
    """Keep the picture at ``at``, if there is one; return where the next one can begin."""
    start, end = span
    media_type = _media_type_at(data, at, end)
    if media_type is None:
        return at
    place = f"{locator}bytes@{at}"
    if not findings.spend_candidate(place, end - at):
        return end
    stop, is_certain = _end_of(data, at, start, end, media_type)
    if findings.has_room(place, stop - at) and findings.spend_embedded(stop - at, place):
        yield from findings.add_span(data, at, stop, media_type=media_type, locator=place, name="")
    return stop if is_certain else at + SMALLEST


def _media_type_at(data: bytes, at: int, end: int) -> str | None:
    head = data[at : min(at + SNIFF_BYTES, end)]
    # A picture's head holds sizes and counts, and zeros among them; a text that merely names a signature does not.
    return sniff(head) if end - at >= SMALLEST and b"\0" in head[:NEEDED_WITHIN] else None


def _end_of(data: bytes, at: int, start: int, end: int, media_type: str) -> tuple[int, bool]:
    """Return where the picture at ``at`` ends, and whether that is certain.

    A length that stands before it counts only where it leads to the picture's end: any byte may look like a length.
    """
    if media_type == "image/webp":
        stop = at + 8 + int.from_bytes(data[at + 4 : at + 8], "little")
    elif media_type in _BOXED:
        stop = _after_boxes(data, at, end)
    else:
        marks = _ENDS.get(media_type, ())
        stops = (at + length for length in _lengths(data, at, start) if SMALLEST <= length <= end - at)
        stop = next((each for each in stops if data[each - _END_WITHIN : each].rstrip(b"\0").endswith(marks)), end + 1)
    return (stop, True) if at + SMALLEST <= stop <= end else (end, False)


def _after_boxes(data: bytes, at: int, end: int) -> int:
    """Return where the boxes end that follow each other from ``at`` on (ISO/IEC 14496-12, section 4.2)."""
    for _ in range(MAX_BOXES):
        size = int.from_bytes(data[at : at + 4])
        head = 8
        if size == 1:
            size, head = int.from_bytes(data[at + 8 : at + 16]), 16
        if not data[at + 4 : at + 8].strip(b" ").isalnum() or not head <= size <= end - at:
            break
        at += size
    return at


def _lengths(data: bytes, at: int, start: int) -> list[int]:
    """Return the lengths that the bytes before ``at`` may mean."""
    before = data[max(start, at - 9) : at]
    lengths = [_varint(before)]
    lengths += [int.from_bytes(before[-width:]) for width in (4, 2) if len(before) >= width]
    if len(before) >= 4:
        lengths.append(int.from_bytes(before[-4:], "little"))
    if len(before) >= 5:
        lengths.append(int.from_bytes(before[-5:-1], "little"))  # BSON: a byte for the subtype stands between
    return lengths


def _varint(before: bytes) -> int:
    """Return the base-128 number that ends with ``before`` (protobuf: after the tag, whose last byte is below 128)."""
    if not before or before[-1] >= 0x80:
        return 0
    value = before[-1]
    for byte in reversed(before[-5:-1]):
        if byte < 0x80:
            break
        value = value << 7 | byte & 0x7F
    return value
