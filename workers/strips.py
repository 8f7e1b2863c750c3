"""Large pictures, reduced while they are decoded: what is held at once is a strip of the picture, not the picture.

Averages over blocks need no pixel outside them, so what comes out is what reducing the whole gives, level by level.
PNG, TIFF and tiled HEIF can be entered like this, and an AVIF is turned into RGB like this; JPEG and WebP are scaled by
their own decoders, but for a progressive JPEG, of which this reads what a decoder would scale.  Runs in the sandbox.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from PIL import Image
from PIL.ExifTags import Base

from workers.avif_strips import avif_strips
from workers.heif_tiles import heif_tiles
from workers.picture_formats import HEIF, open_picture
from workers.pixels import reducible, reduction
from workers.png_passes import reduced_by_passes
from workers.png_strips import png_layout, png_strips, without_pixels
from workers.progressive_jpeg import BLOCK, block_means
from workers.tiff_strips import tiff_layout, tiff_strips
from workers.webp_scaled import webp_scaled

WHOLE_PIXELS: Final = 6 << 20
"""Of a picture that is decoded whole: 25 MB, and as many once more while it is converted."""
STRIP_PIXELS: Final = 1 << 20
"""Of a strip, as far as whole blocks allow.  With a quarter of them a TIFF takes up to 1.7 times as long, the small
files being opened more often.  Of 25 megapixels a PNG takes 0.69 s and 33 MB in a child, its file of 27 MB included,
and as a whole 0.73 s and 114 MB; a TIFF of LZW 8 MB beside its file and as a whole 84, in the same time."""
LEAST_MEANS: Final = 440
"""Blocks along the short side of a progressive JPEG that is seen as their means alone."""
LARGEST_STRIP_PIXELS: Final = 2 << 20
"""A picture whose blocks side by side have more is decoded whole: one of a few rows."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reduced:
    """A picture, not turned, of whose ``size`` = (width, height) ``scale`` = (across, down) pixels became one.

    ``told``: a file that says of itself what the picture's says; its picture is another one, or not decoded yet.
    """

    image: Image.Image
    size: tuple[int, int]
    scale: tuple[int, int]
    told: Image.Image


def reduced_by_strips(image: Image.Image, data: bytes) -> Reduced | None:
    """Decode the picture that Pillow is at in a file; None for what is small, or stored in another way.

    Raises whatever a parser does.
    """
    if image.width * image.height <= WHOLE_PIXELS:
        return None
    if image.format == "PNG":
        return _png(image, data)
    if image.format == "WEBP":
        return _webp(image, data)
    if image.format == "JPEG":
        return _jpeg(image, data)
    if image.format == HEIF:
        return _heif(image, data)
    if image.format == "AVIF":
        return _avif(image, data)
    return _tiff(image, data) if image.format == "TIFF" and image.mode not in {"I", "F"} else None


def _png(image: Image.Image, data: bytes) -> Reduced | None:
    scale = reduction(image.size)
    rows = _rows(image.width, scale[1])
    layout = png_layout(image, data) if rows else None
    if layout is None:
        return None
    if layout.interlaced:
        reduced = reduced_by_passes(image, data, layout, scale)
    else:
        reduced = _put_together(png_strips(image, data, layout, rows), image.size, scale)
    if reduced is None:
        return None
    told = open_picture(without_pixels(data, layout), "image/png")
    told.load()
    return Reduced(image=reduced, size=image.size, scale=scale, told=told)


def _webp(image: Image.Image, data: bytes) -> Reduced | None:
    scale = reduction(image.size)
    scaled = webp_scaled(data, image.size, scale)
    return None if scaled is None else Reduced(image=scaled, size=image.size, scale=scale, told=image)


def _jpeg(image: Image.Image, data: bytes) -> Reduced | None:
    if min(image.size) < LEAST_MEANS * BLOCK:
        return None
    means = block_means(image, data)
    return None if means is None else Reduced(image=means, size=image.size, scale=(BLOCK, BLOCK), told=image)


def _heif(image: Image.Image, data: bytes) -> Reduced | None:
    tiles = heif_tiles(image, data)
    if tiles is None:
        return None
    scale = reduction(tiles.size)
    reduced = _put_together(_in_blocks(tiles.strips, scale[1]), tiles.size, scale)
    told = Image.new("1", (1, 1))
    told.getexif()[Base.Orientation] = tiles.orientation
    return Reduced(image=reduced, size=tiles.size, scale=scale, told=told)


def _avif(image: Image.Image, data: bytes) -> Reduced | None:
    strips = avif_strips(data, image.size)
    if strips is None:
        return None
    scale = reduction(image.size)
    reduced = _put_together(_in_blocks(strips, scale[1]), image.size, scale)
    return Reduced(image=reduced, size=image.size, scale=scale, told=image)


def _tiff(image: Image.Image, data: bytes) -> Reduced | None:
    layout = tiff_layout(image, LARGEST_STRIP_PIXELS)
    if layout is None:
        return None
    scale = reduction(layout.size)
    blocks = scale[1] if layout.cut else math.lcm(scale[1], layout.rows)
    rows = _rows(layout.size[0], blocks) or _rows(layout.size[0], scale[1])
    if not rows:
        return None
    strips = _in_blocks(tiff_strips(data, layout, rows), scale[1])
    return Reduced(image=_put_together(strips, layout.size, scale), size=layout.size, scale=scale, told=image)


def _rows(width: int, down: int) -> int:
    """Return how many rows a strip has, whole blocks of them; 0 where these are too many."""
    return 0 if width * down > LARGEST_STRIP_PIXELS else max(1, STRIP_PIXELS // (width * down)) * down


def _in_blocks(strips: Iterator[Image.Image], down: int) -> Iterator[Image.Image]:
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


def _stacked(above: Image.Image, below: Image.Image) -> Image.Image:
    both = Image.new(above.mode, (above.width, above.height + below.height))
    both.paste(above, (0, 0))
    both.paste(below, (0, above.height))
    return both


def _put_together(strips: Iterator[Image.Image], size: tuple[int, int], scale: tuple[int, int]) -> Image.Image:
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
