"""The canvas that a film's frames are drawn on, one after the other: one, and of a large film a reduced one.

Where every frame is the whole picture, as recorded screens are, nothing is held but what a still of it comes to.  A
canvas of up to 8 megapixels is held in full.  Of a larger one a frame is reduced to means of blocks while it is
decoded, a block that it covers in part being as clear as it leaves the block free, and laid over the canvas like that
(Porter and Duff 1984, colours premultiplied): blocks at the edge of what a frame changed are approximate, and therefore
small.  Approximate is also what single pixels of many frames make up together: of a picture that four frames draw,
every fourth pixel each, over another one, a third is still that other one; 26 to 32 of PDQ's 256 bits differ.  Pure.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from enum import Enum
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageChops

from workers.decoding.formats.blocks import Box, Pair, in_blocks, put_together, surrounded, touched
from workers.decoding.pixels import reduction

FULL_CANVAS_PIXELS: Final = 8 << 20
"""Of a canvas that is not reduced: 32 MB.  Half as many where what was there is kept to come back."""
CANVAS_PIXELS: Final = 3 << 20
"""Of one that is."""
SHOWN_PIXELS: Final = 1 << 20
"""Of the canvas, reduced at once to be shown."""

type Colour = tuple[int, int, int, int]
"""RGBA, 0..255 each."""

CLEAR: Final[Colour] = (0, 0, 0, 0)
_PREMULTIPLIED: Final = "RGBa"
_OPAQUE: Final = 255


class After(Enum):
    """What becomes of a frame's box once the frame was seen."""

    KEPT = 0
    FILLED = 1
    RESTORED = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Frame:
    """What is drawn into ``box`` of the canvas: ``over`` what is there, as far as it is clear, or instead of it.

    ``strips`` decodes it from top to bottom, about so many rows at a time as it is told.
    """

    box: Box
    over: bool
    after: After
    strips: Callable[[int], Iterable[Image.Image]]
    fill: Colour = CLEAR


@dataclass(frozen=True, slots=True, kw_only=True)
class Film:
    """Frames on a canvas of ``size`` = (width, height) that begins with a colour."""

    size: Pair
    frames: tuple[Frame, ...]
    background: Colour = CLEAR

    def is_of_wholes(self) -> bool:
        """Tell whether nothing of a frame is left in the next, nor comes back."""
        return all(frame.box == (0, 0, *self.size) and not frame.over for frame in self.frames)

    def scale(self) -> Pair:
        """Return how many pixels become one on the canvas: as many as of a still, or few."""
        most = reduction(self.size)
        if self.is_of_wholes():
            return most
        pixels = self.size[0] * self.size[1]
        if pixels <= FULL_CANVAS_PIXELS // (1 + any(frame.after is After.RESTORED for frame in self.frames)):
            return 1, 1
        factor = 2
        while pixels > CANVAS_PIXELS * factor * factor:
            factor += 2  # even: so are the places of a WebP's frames
        across, down = (min(factor, length - length % 2) or 1 for length in most)
        return across, down


def composed(film: Film, scale: Pair, rows: int) -> Iterator[Image.Image]:
    """Yield what there is after every frame, drawn with ``scale`` of its pixels as one, and reduced as a still is.

    ``rows`` are those of a strip.  Raises whatever decoding does.
    """
    if film.is_of_wholes():
        for frame in film.frames:
            yield put_together(in_blocks(frame.strips(rows), scale[1]), film.size, scale)
        return
    canvas = _Canvas(film, scale)
    for frame in film.frames:
        saved = canvas.part(frame.box) if frame.after is After.RESTORED else None
        canvas.draw(frame, rows)
        yield canvas.shown()
        if saved is not None:
            canvas.put(saved, frame.box)
        elif frame.after is After.FILLED:
            canvas.fill(frame.box, frame.fill)


def scale_shown(size: Pair, scale: Pair) -> Pair:
    """Return how many pixels are one of what ``composed`` yields: whole blocks of the canvas."""
    across, down = (max(1, most // factor) * factor for most, factor in zip(reduction(size), scale, strict=True))
    return across, down


def _is_empty(box: Box) -> bool:
    return box[0] >= box[2] or box[1] >= box[3]


class _Canvas:
    def __init__(self, film: Film, scale: Pair) -> None:
        self._size, self._scale = film.size, scale
        blocks = tuple(-(-length // factor) for length, factor in zip(film.size, scale, strict=True))
        colour = Image.new("RGBA", (1, 1), film.background).convert(_PREMULTIPLIED).getpixel((0, 0))
        self._image = Image.new(_PREMULTIPLIED, (blocks[0], blocks[1]), colour)

    def shown(self) -> Image.Image:
        """Return the canvas, RGB where nothing of it is clear."""
        across, down = (
            most // factor for most, factor in zip(scale_shown(self._size, self._scale), self._scale, strict=True)
        )
        width, height = self._image.size
        shown = Image.new(_PREMULTIPLIED, (-(-width // across), -(-height // down)))
        rows = max(1, SHOWN_PIXELS // (width * down)) * down
        for top in range(0, height, rows):
            strip = self._image.crop((0, top, width, min(top + rows, height)))
            shown.paste(strip.reduce((across, down)), (0, top // down))
        least, _ = shown.getchannel("a").getextrema()
        return shown.convert("RGB" if least == _OPAQUE else "RGBA")

    def draw(self, frame: Frame, rows: int) -> None:
        if _is_empty(frame.box):
            return
        left, top, *_ = around = touched(frame.box, self._size, self._scale)
        shares = _Shares(frame.box, self._size, self._scale)
        row = 0
        strips = surrounded(frame.strips(rows), frame.box, around)
        for strip in in_blocks(strips, self._scale[1]):
            drawn = _premultiplied(strip.reduce(self._scale))
            covered = drawn.getchannel("a") if frame.over else shares.of_rows(row, drawn.height)
            self._lay(drawn, covered, (left // self._scale[0], top // self._scale[1] + row))
            row += drawn.height

    def fill(self, box: Box, colour: Colour) -> None:
        """Fill a box, and of a block the share of it that is inside."""
        if _is_empty(box):
            return
        left, top, right, bottom = self._blocks(box)
        shares = _Shares(box, self._size, self._scale)
        rows = max(1, SHOWN_PIXELS // (right - left))
        for row in range(0, bottom - top, rows):
            covered = shares.of_rows(row, min(rows, bottom - top - row))
            flat = Image.new("RGBA", covered.size, colour)
            flat.putalpha(covered if colour[3] else Image.new("L", covered.size))
            self._lay(_premultiplied(flat), covered, (left, top + row))

    def part(self, box: Box) -> Image.Image:
        """Return the blocks that a box touches, to be ``put`` back."""
        return self._image.crop(self._blocks(box))

    def put(self, part: Image.Image, box: Box) -> None:
        self._image.paste(part, self._blocks(box)[:2])

    def _lay(self, drawn: Image.Image, covered: Image.Image, at: Pair) -> None:
        """Add what is premultiplied to what is left of the blocks that are ``covered`` to so many of 255 parts."""
        place = (*at, at[0] + drawn.width, at[1] + drawn.height)
        if covered.getextrema()[0] == _OPAQUE:
            self._image.paste(drawn, place)
            return
        left = self._image.crop(place)
        left.paste(Image.new(_PREMULTIPLIED, drawn.size), (0, 0), covered)
        self._image.paste(ImageChops.add(left, drawn), place)

    def _blocks(self, box: Box) -> Box:
        left, top, right, bottom = touched(box, self._size, self._scale)
        across, down = self._scale
        return left // across, top // down, -(-right // across), -(-bottom // down)


class _Shares:
    """Of how much of every block that a box touches it covers."""

    def __init__(self, box: Box, size: Pair, scale: Pair) -> None:
        self._across, self._down = (_shares(box[side], box[side + 2], size[side], scale[side]) for side in (0, 1))

    def of_rows(self, first: int, count: int) -> Image.Image:
        """Return that of so many rows of blocks, 0..255."""
        down = self._down[first : first + count]
        return Image.fromarray(np.rint(down[:, None] * self._across[None, :]).astype(np.uint8))


def _shares(low: int, high: int, length: int, factor: int) -> NDArray[np.float32]:
    """Return how much of each of the blocks of a line from ``low`` to ``high`` is between these, as a root of 255."""
    starts = np.arange(low // factor * factor, high, factor)
    ends = np.minimum(starts + factor, length)
    shares = (np.minimum(ends, high) - np.maximum(starts, low)) / (ends - starts)
    return np.asarray(shares * _OPAQUE**0.5, np.float32)


def _premultiplied(image: Image.Image) -> Image.Image:
    if image.mode == "L":
        image = image.convert("RGB")
    elif image.mode == "LA":
        image = image.convert("RGBA")
    return image.convert(_PREMULTIPLIED)


__all__ = ["CLEAR", "After", "Colour", "Film", "Frame", "composed", "scale_shown"]
