"""Large pictures, reduced while they are decoded: what is held at once is a strip of the picture, not the picture.

Averages over blocks need no pixel outside them, so what comes out is what reducing the whole gives, level by level.
Runs in the sandbox.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from PIL import Image

from workers.picture_formats import open_picture
from workers.pixels import reducible, reduction
from workers.png_strips import png_layout, png_strips, without_pixels

WHOLE_PIXELS: Final = 6 << 20
"""Of a picture that is decoded whole: 25 MB, and as many once more while it is converted."""
STRIP_PIXELS: Final = 1 << 18
"""Of a strip, as far as whole blocks allow.  12 megapixels of PNG take 335 ms then, 320 with four times as many, 275 as
a whole, which takes 110 MB for 25 megapixels where strips take 19, file included."""
LARGEST_STRIP_PIXELS: Final = 1 << 20
"""A picture whose blocks side by side have more is decoded whole: one of a few rows."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reduced:
    """A picture of which ``scale`` = (across, down) pixels became one; ``told``: a file that says the same of itself.

    The latter's picture is another one.
    """

    image: Image.Image
    scale: tuple[int, int]
    told: Image.Image


def reduced_by_strips(image: Image.Image, data: bytes) -> Reduced | None:
    """Decode the one picture of a file that Pillow opened; None for what is small, or stored in another way.

    Raises whatever a parser does.
    """
    scale = across, down = reduction(image.size)
    width, height = image.size
    if width * height <= WHOLE_PIXELS or width * down > LARGEST_STRIP_PIXELS or image.format != "PNG":
        return None
    layout = png_layout(image, data)
    if layout is None:
        return None
    rows = max(1, STRIP_PIXELS // (width * down)) * down
    size = (-(-width // across), -(-height // down))
    reduced = _put_together(png_strips(image, data, layout, rows), size, scale)
    told = open_picture(without_pixels(data, layout), "image/png")
    told.load()
    return Reduced(image=reduced, scale=scale, told=told)


def _put_together(strips: Iterator[Image.Image], size: tuple[int, int], scale: tuple[int, int]) -> Image.Image:
    """Return the reduced picture of ``size``; all strips but the last have whole blocks."""
    top = 0
    picture: Image.Image | None = None
    for strip in strips:
        small = reducible(strip).reduce(scale)
        if picture is None:
            picture = Image.new(small.mode, size)
        picture.paste(small, (0, top))
        top += small.height
    assert picture is not None  # noqa: S101 - a picture has rows
    return picture
