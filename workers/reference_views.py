"""The views under which a reference is enrolled: one vector each, the closest one counts.

A copy that was cropped or tilted lies closer to the same crop or tilt of the reference than to the whole of it, and
a query stays one vector: it costs index entries (51 KB a reference) and nothing at inspection. Turns by quarters and
mirrors need no view: the eight variants of PDQ find them to within 2 bits.
"""

from __future__ import annotations

from typing import Final

from PIL import Image

CROP_SIDE: Final = 0.775  # a crop of 60 % of the area
CROPS_A_SIDE: Final = 4
TILT: Final = 8.0  # between the slips of a scanner (2) and a deliberate tilt (15)
# Tilting happens at this size: the vector is made from 96 px, and turning a 50 megapixel photograph costs a second.
TILT_SIDE: Final = 384
# What editors fill the corners with; a grey between them costs 2 % of the copies tilted by 7 degrees.
FILLS: Final = {"black": (0, 0, 0), "white": (255, 255, 255)}
VIEWS: Final[tuple[str, ...]] = (
    "whole",
    *(f"crop_{row}_{column}" for row in range(CROPS_A_SIDE) for column in range(CROPS_A_SIDE)),
    *(f"tilt_{side}_{frame}_{fill}" for side in ("left", "right") for frame in ("grown", "cut") for fill in FILLS),
)


def reference_views(image: Image.Image) -> list[Image.Image]:
    """The pictures to embed for one RGB reference, in the order of `VIEWS`; the whole picture is first."""
    small = _shrunk(image)
    tilts = [
        small.rotate(angle, Image.Resampling.BICUBIC, expand=grown, fillcolor=fill)
        for angle in (TILT, -TILT)
        for grown in (True, False)
        for fill in FILLS.values()
    ]
    return [image, *_crops(image), *tilts]


def _crops(image: Image.Image) -> list[Image.Image]:
    width, height = max(1, round(image.width * CROP_SIDE)), max(1, round(image.height * CROP_SIDE))
    steps = CROPS_A_SIDE - 1
    lefts = [(image.width - width) * step // steps for step in range(CROPS_A_SIDE)]
    tops = [(image.height - height) * step // steps for step in range(CROPS_A_SIDE)]
    return [image.crop((left, top, left + width, top + height)) for top in tops for left in lefts]


def _shrunk(image: Image.Image) -> Image.Image:
    scale = TILT_SIDE / max(image.size)
    if scale >= 1:
        return image
    return image.resize((max(1, round(image.width * scale)), max(1, round(image.height * scale))), Image.Resampling.BOX)


__all__ = ["VIEWS", "reference_views"]
