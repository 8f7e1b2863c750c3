"""Large pictures, reduced while they are decoded: what is held at once is a strip of the picture, not the picture.

PNG, TIFF and tiled HEIF can be entered like this, and an AVIF is turned into RGB like this; JPEG and WebP are scaled by
their own decoders, but for a progressive JPEG, of which this reads what a decoder would scale.  Runs in the sandbox.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

from PIL import Image
from PIL.ExifTags import Base

from workers.decoding.formats.avif_strips import avif_strips
from workers.decoding.formats.blocks import LARGEST_STRIP_PIXELS, in_blocks, put_together, rows_of_strips
from workers.decoding.formats.heif_tiles import heif_tiles
from workers.decoding.formats.picture_formats import HEIF, open_picture
from workers.decoding.formats.png_passes import reduced_by_passes
from workers.decoding.formats.png_strips import png_layout, png_strips, without_pixels
from workers.decoding.formats.progressive_jpeg import BLOCK, block_means
from workers.decoding.formats.tiff_strips import tiff_layout, tiff_strips
from workers.decoding.formats.webp_film import webp_strips
from workers.decoding.formats.webp_scaled import webp_scaled
from workers.decoding.pixels import reduction

WHOLE_PIXELS: Final = 6 << 20
"""Of a picture that is decoded whole: 25 MB, and as many once more while it is converted."""
LEAST_MEANS: Final = 440
"""Blocks along the short side of a progressive JPEG that is seen as their means alone."""


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
    rows = rows_of_strips(image.width, scale[1])
    layout = png_layout(image, data) if rows else None
    if layout is None:
        return None
    if layout.interlaced:
        reduced = reduced_by_passes(image, data, layout, scale)
    else:
        reduced = put_together(png_strips(image, data, layout, rows), image.size, scale)
    if reduced is None:
        return None
    told = open_picture(without_pixels(data, layout), "image/png")
    told.load()
    return Reduced(image=reduced, size=image.size, scale=scale, told=told)


def _webp(image: Image.Image, data: bytes) -> Reduced | None:
    scale = reduction(image.size)
    reduced = webp_scaled(data, image.size, scale)
    if reduced is None:  # it has clear parts: libwebp would average the colours of what does not show
        strips = webp_strips(data, image.size, rows_of_strips(image.width, scale[1]) or scale[1])
        if strips is None:
            return None
        reduced = put_together(in_blocks(strips, scale[1]), image.size, scale)
    return Reduced(image=reduced, size=image.size, scale=scale, told=image)


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
    reduced = put_together(in_blocks(tiles.strips, scale[1]), tiles.size, scale)
    told = Image.new("1", (1, 1))
    told.getexif()[Base.Orientation] = tiles.orientation
    return Reduced(image=reduced, size=tiles.size, scale=scale, told=told)


def _avif(image: Image.Image, data: bytes) -> Reduced | None:
    strips = avif_strips(data, image.size)
    if strips is None:
        return None
    scale = reduction(image.size)
    reduced = put_together(in_blocks(strips, scale[1]), image.size, scale)
    return Reduced(image=reduced, size=image.size, scale=scale, told=image)


def _tiff(image: Image.Image, data: bytes) -> Reduced | None:
    layout = tiff_layout(image, LARGEST_STRIP_PIXELS)
    if layout is None:
        return None
    scale = reduction(layout.size)
    blocks = scale[1] if layout.cut else math.lcm(scale[1], layout.rows)
    rows = rows_of_strips(layout.size[0], blocks) or rows_of_strips(layout.size[0], scale[1])
    if not rows:
        return None
    strips = in_blocks(tiff_strips(data, layout, rows), scale[1])
    return Reduced(image=put_together(strips, layout.size, scale), size=layout.size, scale=scale, told=image)
