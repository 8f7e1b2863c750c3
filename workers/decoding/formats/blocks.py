"""Strips of a picture, from top to bottom, averaged over blocks as they come: what is held is a strip, not the picture.

Averages over blocks need no pixel outside them, so what comes out is what reducing the whole gives, level by level.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

from PIL import Image

from workers.decoding.pixels import reducible

STRIP_PIXELS: Final = 1 << 20
"""Of a strip, as far as whole blocks allow.  With a quarter of them a TIFF takes up to 1.7 times as long, the small
files being opened more often.  Of 25 megapixels a PNG takes 0.69 s and 33 MB in a child, its file of 27 MB included,
and as a whole 0.73 s and 114 MB; a TIFF of LZW 8 MB beside its file and as a whole 84, in the same time."""
LARGEST_STRIP_PIXELS: Final = 2 << 20
"""A picture whose blocks side by side have more is decoded whole: one of a few rows."""

type Box = tuple[int, int, int, int]
"""Left, top, right and bottom, the latter two outside."""
type Pair = tuple[int, int]
"""Across and down: a size, or how many pixels become one."""


def rows_of_strips(width: int, down: int, pixels: int = STRIP_PIXELS) -> int:
    """Return how many rows a strip of so many pixels has, whole blocks; 0 where one row of blocks is too large."""
    return 0 if width * down > LARGEST_STRIP_PIXELS else max(1, pixels // (width * down)) * down


def in_blocks(strips: Iterable[Image.Image], down: int) -> Iterator[Image.Image]:
    """Yield what the strips show in strips whose heights are multiples of ``down``, but for the last."""
    rest: Image.Image | None = None
    for strip in map(reducible, strips):
        joined = strip if rest is None else _stacked(rest, strip)
        whole = joined.height // down * down
        if whole == joined.height:
            yield joined
            rest = None
            continue
        if whole:
            yield joined.crop((0, 0, joined.width, whole))
        rest = joined.crop((0, whole, *joined.size))
    if rest is not None:
        yield rest


def put_together(strips: Iterable[Image.Image], size: Pair, scale: Pair) -> Image.Image:
    """Return the picture of ``size`` reduced; all strips but the last have whole blocks."""
    top = 0
    picture: Image.Image | None = None
    for strip in strips:
        small = reducible(strip).reduce(scale)
        if picture is None:
            picture = Image.new(small.mode, (-(-size[0] // scale[0]), -(-size[1] // scale[1])))
        picture.paste(small, (0, top))
        top += small.height
    assert picture is not None  # noqa: S101 - a picture has rows
    return picture


def touched(box: Box, size: Pair, scale: Pair) -> Box:
    """Return what the blocks that a box touches span, of a picture of ``size``, in its pixels."""
    left, top = (low // factor * factor for low, factor in zip(box[:2], scale, strict=True))
    right, bottom = (
        min(-(-high // factor) * factor, length) for high, length, factor in zip(box[2:], size, scale, strict=True)
    )
    return left, top, right, bottom


def surrounded(strips: Iterable[Image.Image], box: Box, around: Box) -> Iterator[Image.Image]:
    """Yield what the strips show, a picture at ``box``, with nothing beside it as far as ``around`` goes."""
    if box == around:
        yield from strips
        return
    width = around[2] - around[0]
    if box[1] > around[1]:
        yield Image.new("RGBA", (width, box[1] - around[1]))
    for strip in strips:
        wide = Image.new("RGBA", (width, strip.height))
        shown = reducible(strip)
        wide.paste(shown if shown.mode == "RGBA" else shown.convert("RGBA"), (box[0] - around[0], 0))
        yield wide
    if around[3] > box[3]:
        yield Image.new("RGBA", (width, around[3] - box[3]))


def _stacked(above: Image.Image, below: Image.Image) -> Image.Image:
    both = Image.new(above.mode, (above.width, above.height + below.height))
    both.paste(above, (0, 0))
    both.paste(below, (0, above.height))
    return both
