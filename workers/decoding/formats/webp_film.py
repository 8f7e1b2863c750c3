"""The frames of an animated WebP (RFC 9649), decoded row by row into memory that is given back as it is read.

Pillow has libwebp keep two canvases of RGBA and hands out a third.  This calls the same library, the one that Pillow's
own module is linked with; names are those of its src/webp/decode.h.  The rows of a frame are written into a buffer of
its whole size, as the library wants it, of which the system holds only what has been written and not yet taken.  A
frame compressed without loss the library itself holds whole, at four bytes a pixel.  Runs in the sandbox.
"""

from __future__ import annotations

import ctypes
import mmap
from collections.abc import Iterator
from functools import partial
from itertools import islice
from typing import Any, Final, Self

from PIL import Image, _webp

from workers.decoding.formats.film_canvas import After, Film, Frame

_RGBA: Final = 1
_CHANNELS: Final = 4
_OK: Final = 0
_SUSPENDED: Final = 5
_HEAD: Final = 16
"""Bytes that say where a frame is, before its pixels."""
_FILLED: Final = 1
_REPLACES: Final = 2
_ANIMATED: Final = 2
_CLEAR: Final = 16
_PIECES: Final = 256
"""Pixels are read in so many pieces: what one of them comes to is held."""
_LOSSLESS_PIECES: Final = 32
"""After each of them the library does up to eight rows again."""
_LEAST_PIECE: Final = 256


def _load() -> Any:
    """Return libwebp; None where Pillow has none, or hides its functions."""
    try:
        library = ctypes.CDLL(_webp.__file__)
        pointer, number = ctypes.c_void_p, ctypes.c_int
        library.WebPINewRGB.argtypes = (number, pointer, ctypes.c_size_t, number)
        library.WebPINewRGB.restype = pointer
        library.WebPIUpdate.argtypes = (pointer, pointer, ctypes.c_size_t)
        library.WebPIDecGetRGB.argtypes = (pointer, *([ctypes.POINTER(number)] * 4))
        library.WebPIDecGetRGB.restype = pointer
        library.WebPIDelete.argtypes = (pointer,)
        library.WebPIDelete.restype = None
    except (OSError, AttributeError):
        return None
    return library


_LIBRARY: Final = _load()
"""Loaded at once: in the sandbox no file can be opened."""


def webp_film(image: Image.Image, data: bytes, count: int) -> Film | None:
    """Return up to ``count`` frames of a WebP that Pillow opened; None for a still, or where libwebp is not reached."""
    if _LIBRARY is None or data[12:16] != b"VP8X" or not data[20] & _ANIMATED:
        return None
    clear = data[20] & _CLEAR != 0
    frames = tuple(islice(_frames(data, image.size, clear=clear), count))
    return Film(size=image.size, frames=frames) if frames else None


def webp_strips(data: bytes, size: tuple[int, int], rows: int) -> Iterator[Image.Image] | None:
    """Return a still WebP of ``size`` = (width, height) from top to bottom, RGBA, ``rows`` rows at a time.

    None for an animation, or where libwebp is not reached; the strips raise OSError.
    """
    if _LIBRARY is None or (data[12:16] == b"VP8X" and data[20] & _ANIMATED):
        return None
    return _strips(data, (0, len(data)), size, rows, clear=True)


def _frames(data: bytes, size: tuple[int, int], *, clear: bool) -> Iterator[Frame]:
    """Yield the frames; they end at one that is not on the canvas or is cut off."""
    position = 12
    while position + 8 <= len(data):
        kind, length = data[position : position + 4], int.from_bytes(data[position + 4 : position + 8], "little")
        start, end = position + 8, position + 8 + length
        if kind == b"ANMF":
            if length < _HEAD or end > len(data):
                return
            left, top, width, height = (
                int.from_bytes(data[at : at + 3], "little") for at in range(start, start + 12, 3)
            )
            box = (2 * left, 2 * top, 2 * left + width + 1, 2 * top + height + 1)
            if box[2] > size[0] or box[3] > size[1]:
                return
            flags = data[start + _HEAD - 1]
            yield Frame(
                box=box,
                over=clear and not flags & _REPLACES,
                after=After.FILLED if flags & _FILLED else After.KEPT,
                strips=partial(_strips, data, (start + _HEAD, end), (width + 1, height + 1), clear=clear),
            )
        position = end + (length & 1)


def _strips(
    data: bytes, part: tuple[int, int], size: tuple[int, int], rows: int, *, clear: bool
) -> Iterator[Image.Image]:
    """Yield a picture that is a part of the file; raises OSError."""
    width, height = size
    line = width * _CHANNELS
    with _Decoder(data, part, size) as decoder:
        for top in range(0, height, rows):
            count = min(rows, height - top)
            strip = decoder.take(top * line, (top + count) * line, upto=top + count)
            mode, raw = ("RGBA", "RGBA") if clear else ("RGB", "RGBX")
            yield Image.frombuffer(mode, (width, count), strip, "raw", raw, 0, 1)


class _Decoder:
    """libwebp at a part of a file, and the buffer that it writes to."""

    def __init__(self, data: bytes, part: tuple[int, int], size: tuple[int, int]) -> None:
        self._data, self._size = data, size
        self._length = part[1] - part[0]
        self._at = (ctypes.cast(ctypes.c_char_p(data), ctypes.c_void_p).value or 0) + part[0]
        pixels = _pixels_at(data, *part)
        pieces = _LOSSLESS_PIECES if data[pixels : pixels + 4] == b"VP8L" else _PIECES
        self._read = min(pixels - part[0], self._length)
        self._piece = max(_LEAST_PIECE, (self._length - self._read) // pieces)
        self._ready = self._given_back = 0

    def __enter__(self) -> Self:
        width, height = self._size
        line = width * _CHANNELS
        self._buffer = mmap.mmap(-1, line * height, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
        address = ctypes.addressof(ctypes.c_char.from_buffer(self._buffer))
        self._decoder = _LIBRARY.WebPINewRGB(_RGBA, address, line * height, line)
        return self

    def __exit__(self, *_: object) -> None:
        _LIBRARY.WebPIDelete(self._decoder)
        self._buffer.close()

    def take(self, start: int, end: int, *, upto: int) -> bytes:
        """Return the bytes from ``start`` to ``end``, once ``upto`` rows are there: they are read once, in order."""
        while self._ready < upto:
            self._advance()
        taken = self._buffer[start:end]
        whole = end // mmap.PAGESIZE * mmap.PAGESIZE
        if whole > self._given_back:
            self._buffer.madvise(mmap.MADV_DONTNEED, self._given_back, whole - self._given_back)
            self._given_back = whole
        return taken

    def _advance(self) -> None:
        if self._read == self._length:
            raise OSError("image file is truncated")
        self._read = min(self._read + self._piece, self._length)
        status = _LIBRARY.WebPIUpdate(self._decoder, self._at, self._read)
        if status not in {_OK, _SUSPENDED}:
            raise OSError(f"libwebp failed with status {status}")
        rows, width, height, line = (ctypes.c_int() for _ in range(4))
        if _LIBRARY.WebPIDecGetRGB(self._decoder, rows, width, height, line) and rows.value:
            if (width.value, height.value) != self._size:
                raise OSError(f"a frame of {self._size} pixels has {width.value} x {height.value}")
            self._ready = rows.value


def _pixels_at(data: bytes, start: int, end: int) -> int:
    """Return where the pixels begin, of a file or of its part: behind what says how clear they are."""
    position = start + 12 if data[start : start + 4] == b"RIFF" else start
    while position < end and data[position : position + 4] not in {b"VP8 ", b"VP8L"}:
        length = int.from_bytes(data[position + 4 : position + 8], "little")
        position += 8 + length + (length & 1)
    return position


__all__ = ["webp_film", "webp_strips"]
