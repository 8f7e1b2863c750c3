"""The views under which a reference is enrolled: one vector each, the closest one counts.

A copy that was cropped or tilted lies closer to the same crop or tilt of the reference than to the whole of it, and
a query stays one vector: it costs index entries (51 KB a reference) and nothing at inspection. Turns by quarters and
mirrors need no view: the eight variants of PDQ find them to within 2 bits.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from PIL import Image

from workers.decoding.pixels import UPRIGHT, squash, squash_method

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
    (width, height), places = _crop_places(image.size)
    crops = [image.crop((left, top, left + width, top + height)) for top, left in places]
    return [image, *crops, *(tilt for angle in (TILT, -TILT) for tilt in _tilts(small, angle))]


def squashed_views(image: Image.Image, side: int) -> list[Image.Image]:
    """All but the whole of `reference_views`, each squashed to the encoder's ``side`` x ``side``.

    Of a picture of 800 x 600 they take 30 ms; cut out and squashed one after the other they took 85.
    """
    small = _shrunk(image)
    tilts = [tilt for angle in (TILT, -TILT) for tilt in _tilts(small, angle)]
    return [*_squashed_crops(image, side), *(squash(tilt, side, UPRIGHT) for tilt in tilts)]


def _squashed_crops(image: Image.Image, side: int) -> Iterator[Image.Image]:
    (width, height), places = _crop_places(image.size)
    columns: dict[int, Image.Image] = {}
    for top, left in places:
        if width < height:
            # Pillow 13 may squash it down before it squashes it across, and rounds in between.
            yield squash(image.crop((left, top, left + width, top + height)), side, UPRIGHT)
            continue
        # Four crops lie one below the other: all that is in their column is squashed across once.
        if left not in columns:
            column = image.crop((left, 0, left + width, image.height))
            columns[left] = column.resize((side, image.height), squash_method((width, height), side))
        yield (
            columns[left].crop((0, top, side, top + height)).resize((side, side), squash_method((width, height), side))
        )


def _crop_places(size: tuple[int, int]) -> tuple[tuple[int, int], list[tuple[int, int]]]:
    """Return the crops' size (width, height) and the places (top, left) of each."""
    width, height = (max(1, round(side * CROP_SIDE)) for side in size)
    steps = CROPS_A_SIDE - 1
    lefts, tops = (
        [(whole - part) * step // steps for step in range(CROPS_A_SIDE)]
        for whole, part in zip(size, (width, height), strict=True)
    )
    return (width, height), [(top, left) for top in tops for left in lefts]


def _tilts(small: Image.Image, angle: float) -> list[Image.Image]:
    """One turn of the picture, 5 to 8 ms, in its four forms: grown and cut, with either fill.

    What is cut is the middle of what is grown, for either keeps the picture's own middle; a fourth channel tells where
    the picture is from where the fill is.
    """
    marked = Image.merge("RGBX", (*small.split(), Image.new("L", small.size, 255)))
    grown = marked.rotate(angle, Image.Resampling.BICUBIC, expand=True, fillcolor=(0, 0, 0, 0))
    left, top = ((outer - inner) // 2 for outer, inner in zip(grown.size, small.size, strict=True))
    cut = grown.crop((left, top, left + small.width, top + small.height))
    return [_filled(turned, fill) for turned in (grown, cut) for fill in FILLS.values()]


def _filled(turned: Image.Image, fill: tuple[int, int, int]) -> Image.Image:
    flat = Image.new("RGB", turned.size, fill)
    flat.paste(turned.convert("RGB"), mask=turned.getchannel("X"))
    return flat


def _shrunk(image: Image.Image) -> Image.Image:
    scale = TILT_SIDE / max(image.size)
    if scale >= 1:
        return image
    return image.resize((max(1, round(image.width * scale)), max(1, round(image.height * scale))), Image.Resampling.BOX)


__all__ = ["VIEWS", "reference_views", "squashed_views"]
