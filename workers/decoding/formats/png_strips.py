"""A PNG decoded strip by strip, so that a picture of any size is held in a few megabytes (W3C PNG, third edition).

The stream of IDAT is inflated a little at a time and cut into rows.  What each byte of a row was filtered by are bytes
of the same place in its pixel: the same byte of the pixel before, and of both in the row above.  So a strip of rows,
below the last row of the one before, is a picture of its own with 8 bits a channel, which Pillow's decoder undoes; and
of samples of 16 bits the higher bytes alone are one.

What Pillow accepts is accepted, what it refuses is refused: neither compares the checksums of IDAT.  Of an interlaced
picture this reads one pass after the other, each of them a picture of its own.  Runs in the sandbox.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from workers.decoding.formats.frame_count import png_chunks

PIECE_BYTES: Final = 1 << 16
"""Of the file, inflated at once; what zlib leaves of it is copied."""
INFLATED_BYTES: Final = 1 << 20

_BITMAP: Final = struct.Struct(">IIBBBBB")
_CHANNELS: Final = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
"""By the type of colour: grey, RGB, palette, grey and alpha, RGBA."""
_GREY: Final = 0
_PALETTE: Final = 3
_MODES: Final = {1: "L", 2: "LA", 3: "RGB", 4: "RGBA"}
"""By the number of channels of 8 bits."""
_PIXELS: Final = frozenset({b"IDAT", b"DDAT"})
_FRAME_PIXELS: Final = frozenset({b"fdAT"})
"""Of another frame than the first, behind its number."""
_EMPTY_ROW: Final = zlib.compress(bytes(1 + 8))


@dataclass(frozen=True, slots=True, kw_only=True)
class PngLayout:
    """How the pixels of a PNG are stored, and where: ``first`` is the place of the first IDAT chunk."""

    width: int
    height: int
    depth: int
    colour: int
    first: int
    interlaced: bool

    @property
    def row_bytes(self) -> int:
        """Bytes of a row without its filter."""
        return (self.width * self.depth * _CHANNELS[self.colour] + 7) // 8

    @property
    def stored_bytes(self) -> int:
        """Bytes of all rows, filters included; a picture without columns has none."""
        return self.height * (1 + self.row_bytes) if self.width else 0


class PngStream:
    """What the IDAT or fdAT chunks from ``first`` on hold, inflated as it is taken, but no more than ``size`` bytes."""

    def __init__(self, data: bytes, first: int, size: int) -> None:
        self._held = bytearray()
        self._inflated = _inflated(data, first, size)

    def take(self, size: int) -> NDArray[np.uint8]:
        """Return the next ``size`` bytes; raises OSError and zlib.error."""
        while len(self._held) < size:
            self._held += next(self._inflated)
        with memoryview(self._held) as view:
            taken = np.frombuffer(bytes(view[:size]), np.uint8)
        del self._held[:size]
        return taken


def png_layout(image: Image.Image, data: bytes) -> PngLayout | None:
    """Return the layout of a PNG that Pillow opened; None for one that is animated or not as it says."""
    first, heads = 0, 0
    for place, kind, _ in png_chunks(data):
        if kind == b"IDAT":
            first = place
            break
        if kind == b"acTL":
            return None
        heads += kind == b"IHDR"
    if not first or heads != 1 or data[12:16] != b"IHDR":
        return None
    width, height, depth, colour, _, _, interlaced = _BITMAP.unpack_from(data, 16)
    if (width, height) != image.size:
        return None
    return PngLayout(width=width, height=height, depth=depth, colour=colour, first=first, interlaced=interlaced != 0)


def png_strips(image: Image.Image, data: bytes, layout: PngLayout, rows: int) -> Iterator[Image.Image]:
    """Yield a picture that is not interlaced from top to bottom, ``rows`` rows at a time.

    Raises OSError, ValueError and zlib.error.
    """
    return pass_strips(image, layout, PngStream(data, layout.first, layout.stored_bytes), rows)


def pass_strips(image: Image.Image, layout: PngLayout, stream: PngStream, rows: int) -> Iterator[Image.Image]:
    """Yield what a stream holds next, a picture of the ``layout``; raises as ``png_strips`` does."""
    deep = layout.depth == 16
    channels = _CHANNELS[layout.colour] if layout.depth >= 8 else 1
    mode = _MODES[channels]
    above = np.zeros(layout.row_bytes // 2 if deep else layout.row_bytes, np.uint8)
    line = 1 + layout.row_bytes
    for top in range(0, layout.height, rows):
        filtered = stream.take(min(rows, layout.height - top) * line).reshape(-1, line)
        lines = np.empty((len(filtered) + 1, 1 + above.size), np.uint8)
        lines[0, 0], lines[0, 1:] = 0, above
        lines[1:, 0], lines[1:, 1:] = filtered[:, 0], filtered[:, 1 :: 2 if deep else 1]
        size = (above.size // channels, len(lines))
        plain = Image.frombytes(mode, size, zlib.compress(lines, 0), "zip", mode)
        above = np.frombuffer(plain.crop((0, len(filtered), *size)).tobytes(), np.uint8)
        yield _as_told(image, plain.crop((0, 1, *size)), layout)


def without_pixels(data: bytes, layout: PngLayout) -> bytes:
    """Return the file with all that it tells about its picture, but for the picture: that is 1 x 1.

    Pillow looks for what a file says of itself behind the pixels too, and decodes these on its way.
    """
    head = data[16:33]
    small = b"IHDR" + struct.pack(">II", 1, 1) + head[8:13]
    parts = (data[:12], small, zlib.crc32(small).to_bytes(4), data[33 : layout.first])
    pixels = len(_EMPTY_ROW).to_bytes(4) + b"IDAT" + _EMPTY_ROW + zlib.crc32(b"IDAT" + _EMPTY_ROW).to_bytes(4)
    end = next((place for place, kind, _ in png_chunks(data, layout.first) if kind not in _PIXELS), len(data))
    return b"".join((*parts, pixels, data[end:]))


def _as_told(image: Image.Image, plain: Image.Image, layout: PngLayout) -> Image.Image:
    """Return a strip of bytes as a strip of the picture: with what its palette and its clear colour make of them."""
    if layout.colour == _PALETTE or layout.depth < 8:
        rawmode = image.tile[0].args  # type: ignore[attr-defined]
        strip = Image.frombytes(image.mode, (layout.width, plain.height), plain.tobytes(), "raw", rawmode)
        if image.palette is not None:
            strip.palette = image.palette.copy()
            strip.palette.dirty = 1
    else:
        strip = plain
    # Of 16 bits of grey a clear level is passed over with the whole picture, too.
    if "transparency" in image.info and not (layout.depth == 16 and layout.colour == _GREY):
        strip.info["transparency"] = image.info["transparency"]
    return strip


def _inflated(data: bytes, first: int, size: int) -> Iterator[bytes]:
    """Yield what the chunks hold, a little at a time, and no more than ``size`` bytes: what follows is unread."""
    inflater = zlib.decompressobj()
    kinds, head = (_FRAME_PIXELS, 12) if data[first + 4 : first + 8] in _FRAME_PIXELS else (_PIXELS, 8)
    for place, kind, length in png_chunks(data, first):
        if kind not in kinds:
            break
        chunk = memoryview(data)[place + head : place + 8 + length]
        for start in range(0, len(chunk), PIECE_BYTES):
            piece: bytes | memoryview = chunk[start : start + PIECE_BYTES]
            while piece and size and not inflater.eof:
                inflated = inflater.decompress(piece, min(INFLATED_BYTES, size))
                size -= len(inflated)
                yield inflated
                piece = inflater.unconsumed_tail
    raise OSError("image file is truncated")
