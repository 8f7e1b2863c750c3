"""The frames of a GIF (CompuServe 1990), each decoded as indices of its palette and coloured in strips.

Pillow composes them at four bytes a pixel, four times: the canvas, what it was before, the frame and its colours; an
index takes one.  What a frame is drawn on, and what becomes of it, is as Pillow has it; of a frame that reaches beyond
the canvas that is drawn which is on it, as browsers do.  Runs in the sandbox.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import Final

from PIL import Image

from workers.decoding.formats.film_canvas import CLEAR, After, Colour, Film, Frame

_IMAGE: Final = 0x2C
_EXTENSION: Final = 0x21
_CONTROL: Final = 0xF9
_AFTER: Final = {2: After.FILLED, 3: After.RESTORED}
_GREYS: Final = bytes(level for level in range(256) for _ in range(3))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Stored:
    """A frame as it is stored: its compressed indices are from ``start`` to ``end`` of the file."""

    box: tuple[int, int, int, int]
    interlaced: bool
    palette: bytes
    clear: int | None
    disposal: int
    bits: int
    start: int
    end: int

    def colour(self, index: int) -> tuple[int, int, int]:
        """Return a colour of the palette, the first for one that it does not have."""
        place = 3 * index if 3 * index + 3 <= len(self.palette) else 0
        red, green, blue = self.palette[place : place + 3]
        return red, green, blue


def gif_film(image: Image.Image, data: bytes, count: int) -> Film | None:
    """Return up to ``count`` frames of a GIF that Pillow opened, on a canvas of the size it says; None without any."""
    stored = tuple(_until_broken(data, count))
    if not stored:
        return None
    first = stored[0]
    background: Colour = CLEAR if first.clear is not None else (*first.colour(0), 255)
    shared = data[11] if data[10] & 0x80 else 0
    frames = tuple(
        _frame(data, each, place, image.size, shared, clears=first.clear is not None)
        for place, each in enumerate(stored)
    )
    return Film(size=image.size, frames=frames, background=background)


def _frame(data: bytes, stored: _Stored, place: int, size: tuple[int, int], background: int, *, clears: bool) -> Frame:
    """Return a frame; ``clears``: what is filled with a clear colour is clear, since the first frame has one."""
    left, top, right, bottom = stored.box
    after = _AFTER.get(stored.disposal, After.KEPT)
    fill: Colour = (*stored.colour(background if stored.clear is None else stored.clear), 255)
    if stored.clear is not None and clears:
        fill = CLEAR
    if place == 0 and after is After.RESTORED:  # to what was before the first
        after = After.KEPT if stored.clear is None else After.FILLED
    box = (min(left, size[0]), min(top, size[1]), min(right, size[0]), min(bottom, size[1]))
    return Frame(
        box=box,
        over=stored.clear is not None and place > 0,
        after=after,
        fill=fill,
        strips=partial(_strips, data, stored, (box[2] - box[0], box[3] - box[1]), size[0] * size[1]),
    )


def _strips(data: bytes, stored: _Stored, seen: tuple[int, int], most_pixels: int, rows: int) -> Iterator[Image.Image]:
    """Yield what is ``seen`` = (width, height) of a frame; raises OSError and ValueError."""
    left, top, right, bottom = stored.box
    size = (right - left, bottom - top)
    if size[0] * size[1] > most_pixels:
        raise OSError(f"a frame of {size[0]} x {size[1]} pixels is larger than its canvas")
    indices = Image.frombytes(
        "L", size, memoryview(data)[stored.start : stored.end], "gif", stored.bits, int(stored.interlaced), -1
    )
    for start in range(0, seen[1], rows):
        strip = indices.crop((0, start, seen[0], min(start + rows, seen[1])))
        strip.putpalette(stored.palette)
        if stored.clear is not None:
            strip.info["transparency"] = stored.clear
        yield strip


def _until_broken(data: bytes, count: int) -> Iterator[_Stored]:
    try:
        yield from _stored(data, count)
    except (struct.error, IndexError):
        return


def _stored(data: bytes, count: int) -> Iterator[_Stored]:
    position = 13 + _table_bytes(data[10])
    shared = data[13:position] or _GREYS
    clear, disposal = None, 0
    while count:
        kind = data[position]
        if kind == _IMAGE:
            left, top, width, height, flags = struct.unpack_from("<4HB", data, position + 1)
            table = position + 10
            position = table + _table_bytes(flags)
            start = position + 1
            end = _end_of_blocks(data, start)
            yield _Stored(
                box=(left, top, left + width, top + height),
                interlaced=flags & 0x40 != 0,
                palette=data[table:position] or shared,
                clear=clear,
                disposal=disposal,
                bits=data[position],
                start=start,
                end=end,
            )
            count -= 1
            clear, position = None, end
        elif kind == _EXTENSION:
            if data[position + 1] == _CONTROL and data[position + 2] >= 4:
                flags = data[position + 3]
                disposal = flags >> 2 & 7 or disposal  # where it says nothing, Pillow does what it did before
                clear = data[position + 6] if flags & 1 else None
            position = _end_of_blocks(data, position + 2)
        else:
            return


def _table_bytes(flags: int) -> int:
    return 3 << ((flags & 7) + 1) if flags & 0x80 else 0


def _end_of_blocks(data: bytes, position: int) -> int:
    """Return where sub-blocks end that begin at a position: behind one of no length, or where the file does."""
    while position < len(data) and (size := data[position]):
        position += size + 1
    return position + 1


__all__ = ["gif_film"]
