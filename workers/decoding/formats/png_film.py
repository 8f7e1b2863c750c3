"""The frames of an animated PNG (W3C PNG, third edition, 4.9), each a stream of rows that is decoded in strips.

Pillow keeps the canvas, a copy of what it was before and another while a frame is drawn.  A frame is a picture of the
file's depth and colours: only its size is its own.  Unlike Pillow this draws on nothing, as the standard has it: a
picture for programs that show no animation is not what the first frame is drawn on, what is cleared is clear where the
file itself has no clear colours, and what is half clear does not make an opaque canvas so.  Runs in the sandbox.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial
from itertools import islice
from typing import Final

from PIL import Image

from workers.decoding.formats.film_canvas import After, Film, Frame
from workers.decoding.formats.frame_count import png_chunks
from workers.decoding.formats.png_strips import PngLayout, PngStream, pass_strips

_BITMAP: Final = struct.Struct(">IIBBBBB")
_CONTROL: Final = struct.Struct(">5I2H2B")
_AFTER: Final = {1: After.FILLED, 2: After.RESTORED}
_OPAQUE: Final = frozenset({0, 2})
"""Types of colour, grey and RGB, that have clear pixels only where one colour is told to be."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Stored:
    """A frame as it is stored: its first chunk of pixels is at ``first``."""

    box: tuple[int, int, int, int]
    disposal: int
    over: bool
    first: int


def png_film(image: Image.Image, data: bytes, count: int) -> Film | None:
    """Return up to ``count`` frames of a PNG that Pillow opened; None where it is not animated, or is interlaced."""
    found = _layout(data)
    if found is None or (found.width, found.height) != image.size:
        return None
    stored = tuple(islice(_stored(data, image.size), count))
    clear = found.colour not in _OPAQUE or "transparency" in image.info
    frames = tuple(_frame(image, data, found, each, place, clear=clear) for place, each in enumerate(stored))
    return Film(size=image.size, frames=frames) if frames else None


def _layout(data: bytes) -> PngLayout | None:
    first, heads, animated = 0, 0, False
    for place, kind, _ in png_chunks(data):
        heads += kind == b"IHDR"
        animated = animated or kind == b"acTL"
        if kind == b"IDAT":
            first = place
            break
    if not first or heads != 1 or not animated or data[12:16] != b"IHDR":
        return None
    width, height, depth, colour, _, _, interlaced = _BITMAP.unpack_from(data, 16)
    if interlaced:
        return None
    return PngLayout(width=width, height=height, depth=depth, colour=colour, first=first, interlaced=False)


def _frame(image: Image.Image, data: bytes, whole: PngLayout, stored: _Stored, place: int, *, clear: bool) -> Frame:
    after = _AFTER.get(stored.disposal, After.KEPT)
    if place == 0 and after is After.RESTORED:  # to what was before the first: nothing
        after = After.FILLED
    left, top, right, bottom = stored.box
    layout = replace(whole, width=right - left, height=bottom - top, first=stored.first)
    return Frame(
        box=stored.box,
        over=stored.over and clear and place > 0,
        after=after,
        strips=partial(_strips, image, data, layout, whole),
    )


def _strips(image: Image.Image, data: bytes, layout: PngLayout, whole: PngLayout, rows: int) -> Iterator[Image.Image]:
    """Yield a frame; raises OSError, ValueError and zlib.error."""
    if layout.width > whole.width or layout.height > whole.height:
        raise OSError(f"a frame of {layout.width} x {layout.height} pixels is larger than its canvas")
    return pass_strips(image, layout, PngStream(data, layout.first, layout.stored_bytes), rows)


def _stored(data: bytes, size: tuple[int, int]) -> Iterator[_Stored]:
    """Yield the frames, one of no pixels as well; they end at one that is not on the canvas."""
    whole = _Stored(box=(0, 0, *size), disposal=1, over=False, first=0)
    told: _Stored | None = None
    waiting = True
    for place, kind, _ in png_chunks(data):
        if kind == b"fcTL":
            if len(data) < place + 8 + _CONTROL.size:
                return
            _, width, height, left, top, _, _, disposal, over = _CONTROL.unpack_from(data, place + 8)
            box = (left, top, left + width, top + height)
            if box[2] > size[0] or box[3] > size[1]:
                return
            told, waiting = _Stored(box=box, disposal=disposal, over=over == 1, first=0), True
        elif kind in {b"IDAT", b"fdAT"} and waiting:
            yield replace(told or whole, first=place)
            waiting = False
        elif kind == b"IEND":
            return


__all__ = ["png_film"]
