"""The picture that stands for one that was blocked: grey, of the same size, in a format that was asked for.

Written by hand: the proxy holds no image library, and none of these costs more than a millisecond.  The PNG carries a
no-entry sign; the others, for the few clients that take no PNG, are plain.
"""

from __future__ import annotations

import math
import struct
import zlib
from collections.abc import Callable
from functools import lru_cache
from typing import Final

MAX_PLACEHOLDER_SIDE: Final = 16_383
"""Pixels of the longer side, WebP's limit; a larger picture is replaced by a smaller one of its proportions."""
FORMATS: Final = ("image/png", "image/webp", "image/jpeg", "image/gif")
"""Media types, the one with the sign first."""

_MAX_RADIUS: Final = 128  # pixels of the sign
_RUN: Final = 64 * 1024  # zeros that are compressed once
_ADLER_MODULUS: Final = 65_521
_GREY: Final = 0xE4
_GIF_SIDE: Final = 4096  # of a GIF, whose codes are counted one by one: 3 ms
_GIF_TABLE: Final = 4095 - 6 + 2  # codes until the last entry has been used


@lru_cache(maxsize=64)
def placeholder(accept: str, width: int, height: int) -> tuple[str, bytes]:
    """Return the media type and the picture for an Accept header: a PNG unless only another format is named."""
    width, height = max(1, width), max(1, height)
    media_type = _chosen(accept)
    longest = _GIF_SIDE if media_type == "image/gif" else MAX_PLACEHOLDER_SIDE
    longer = max(width, height)
    if longer > longest:
        width, height = (max(1, side * longest // longer) for side in (width, height))
    return media_type, _MAKERS[media_type](width, height)


def _chosen(accept: str) -> str:
    named = [part.partition(";")[0].strip().lower() for part in accept.split(",")]
    if not accept.strip() or {"image/png", "image/apng", "image/*", "*/*"} & set(named):
        return FORMATS[0]
    return next((media_type for media_type in FORMATS if media_type in named), FORMATS[0])


def _png(width: int, height: int) -> bytes:
    """Draw in one bit a pixel.  Empty rows are compressed once and repeated: a big picture must not hold the loop."""
    size = (width + 7) // 8
    radius = min(width // 4, height // 4, _MAX_RADIUS)
    above = (height - 2 * radius) // 2
    mark = b"".join(_row(width, size, radius, dy) for dy in range(-radius, radius))
    stream = _Deflate()
    stream.zeros((1 + size) * above)  # a row is its filter type, 0, and its pixels, palette entry 0
    stream.data(mark)
    stream.zeros((1 + size) * (height - 2 * radius - above))
    header = struct.pack(">IIBBBBB", width, height, 1, 3, 0, 0, 0)  # one bit, palette, no interlace
    palette = bytes((0xE4, 0xE4, 0xE4, 0x8C, 0x8C, 0x8C))
    chunks = ((b"IHDR", header), (b"PLTE", palette), (b"IDAT", stream.end()), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(kind, data) for kind, data in chunks)


class _Deflate:
    """A zlib stream (RFC 1950) in which long runs of zeros cost next to nothing to make."""

    def __init__(self) -> None:
        self._out = [b"\x78\x01"]
        self._low, self._high = 1, 0  # Adler-32

    def data(self, data: bytes) -> None:
        self._out.append(_deflated(data))
        adler = zlib.adler32(data, self._high << 16 | self._low)
        self._low, self._high = adler & 0xFFFF, adler >> 16

    def zeros(self, count: int) -> None:
        self._out.append(_deflated(bytes(_RUN)) * (count // _RUN) + _deflated(bytes(count % _RUN)))
        self._high = (self._high + self._low * count) % _ADLER_MODULUS

    def end(self) -> bytes:
        return b"".join([*self._out, zlib.compressobj(1, wbits=-15).flush(), struct.pack(">HH", self._high, self._low)])


def _deflated(data: bytes) -> bytes:
    """Return blocks that neither look back nor end the stream, so that they can be put side by side."""
    deflate = zlib.compressobj(1, wbits=-15)
    return deflate.compress(data) + deflate.flush(zlib.Z_FULL_FLUSH)


def _row(width: int, size: int, radius: int, dy: int) -> bytes:
    """Return one row of the sign: a disc with a bar left out."""
    half = math.isqrt(radius * radius - dy * dy)
    bits = _run(width, half)
    if abs(dy) <= radius // 6:
        bits ^= _run(width, radius * 2 // 3)
    return b"\0" + (bits << (size * 8 - width)).to_bytes(size, "big")


def _run(width: int, half: int) -> int:
    """Return ``width`` bits with a run of 2 x ``half`` in the middle."""
    return ((1 << 2 * half) - 1) << (width // 2 - half)


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def _webp(width: int, height: int) -> bytes:
    """Lossless WebP (RFC 9649): five prefix codes of one symbol each, so that pixels take no bits at all."""
    bits = _Bits()
    bits.put(width - 1, 14)
    bits.put(height - 1, 14)
    bits.put(0, 1 + 3 + 1 + 1 + 1)  # no alpha, version, no transform, no colour cache, one set of codes
    for symbol in (_GREY, _GREY, _GREY, 0xFF, 0):  # green, red, blue, alpha, distance
        bits.put(1, 1)  # a simple code
        bits.put(0, 1)  # of one symbol
        bits.put(1, 1)  # of eight bits
        bits.put(symbol, 8)
    data = b"\x2f" + bits.bytes()
    chunk = b"VP8L" + struct.pack("<I", len(data)) + data + b"\0" * (len(data) % 2)
    return b"RIFF" + struct.pack("<I", 4 + len(chunk)) + b"WEBP" + chunk


class _Bits:
    """Bits, the least significant first."""

    def __init__(self) -> None:
        self._value = 0
        self._size = 0

    def put(self, value: int, size: int) -> None:
        self._value |= value << self._size
        self._size += size

    def bytes(self) -> bytes:
        return self._value.to_bytes((self._size + 7) // 8, "little")


def _jpeg(width: int, height: int) -> bytes:
    """Baseline JPEG (ITU-T T.81), grey: one difference in the first block, then two zero bits a block."""
    quantised = 8  # 8 x (grey - 128), divided by the table's 100
    table = bytes([8 * (_GREY - 128) // quantised] * 64)
    blocks = ((width + 7) // 8) * ((height + 7) // 8)
    # "10" is category 4, then its four bits, then "0", the end of the block; every other block is "0" and "0".
    size = 7 + 2 * (blocks - 1)
    data = bytearray((size + 7) // 8)
    data[0] = 0b10_1000_00
    data[-1] |= (1 << (-size % 8)) - 1  # padded with ones
    return b"".join(
        (
            b"\xff\xd8",
            _segment(0xE0, b"JFIF\0\1\1\0\0\1\0\1\0\0"),
            _segment(0xDB, b"\0" + table),
            _segment(0xC0, struct.pack(">BHHB", 8, height, width, 1) + b"\1\x11\0"),
            _segment(0xC4, b"\x00" + bytes((1, 1)) + bytes(14) + b"\x00\x04"),
            _segment(0xC4, b"\x10" + bytes((1,)) + bytes(15) + b"\x00"),
            _segment(0xDA, b"\1\1\0\0\x3f\0"),
            bytes(data).replace(b"\xff", b"\xff\0"),
            b"\xff\xd9",
        )
    )


def _segment(marker: int, content: bytes) -> bytes:
    return struct.pack(">BBH", 0xFF, marker, len(content) + 2) + content


def _gif(width: int, height: int) -> bytes:
    """GIF89a of one colour: LZW codes of ever longer runs, until the table is full and begins anew."""
    data = _gif_codes(width * height)
    blocks = b"".join(bytes((len(data[at : at + 255]),)) + data[at : at + 255] for at in range(0, len(data), 255))
    head = b"GIF89a" + struct.pack("<HHBBB", width, height, 0x80, 0, 0) + bytes((_GREY,) * 3) + bytes(3)
    return head + b"," + struct.pack("<HHHHB", 0, 0, width, height, 0) + b"\2" + blocks + b"\0;"


def _gif_codes(pixels: int) -> bytes:
    """Return the codes of ``pixels`` times colour 0: 4 clears the table, 5 ends, entries begin at 6."""
    out, held, size = bytearray(), 4, 3
    width, count, left = 3, 0, pixels  # bits of a code; codes since the table was cleared, each one pixel longer
    while left:
        if count == _GIF_TABLE:
            code, count = 4, -1
        else:
            take = min(count + 1, left)
            code, left = (0 if take == 1 else 4 + take), left - take
        held |= code << size
        size += width
        count += 1
        width = 3 if not count else width + (width < 12 and count >= 2 and 5 + count >= 1 << width)
        while size >= 8:
            out.append(held & 0xFF)
            held >>= 8
            size -= 8
    held |= 5 << size
    return bytes(out) + held.to_bytes((size + width + 7) // 8, "little")


_MAKERS: Final[dict[str, Callable[[int, int], bytes]]] = {
    "image/png": _png,
    "image/webp": _webp,
    "image/jpeg": _jpeg,
    "image/gif": _gif,
}
