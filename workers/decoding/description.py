"""From a decoded picture to what leaves the sandbox: hashes, the encoder's input, the plane.

A picture with clear parts is described as it looks on white and, where that is another picture, on black: what is drawn
in white on nothing shows on black alone.  Where both show nothing, it is described as if nothing were clear.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from PIL import Image

from shared.types import DecodedFrame
from workers.decoding.formats.frame_choice import SAME_LEVELS, difference, thumbnail
from workers.decoding.formats.frame_walk import Picture
from workers.decoding.pdq import Reduction, pdq
from workers.decoding.pixels import (
    SIDEWAYS,
    UPRIGHT,
    WHITE,
    finished,
    grey_plane,
    low_information,
    reduced,
    reduction,
    squash,
)
from workers.decoding.reference_views import squashed_views

BLACK: Final = "black"


@dataclass(frozen=True, slots=True, kw_only=True)
class Described:
    """A frame, and the canonical picture that it describes."""

    frame: DecodedFrame
    picture: Image.Image

    def with_views(self) -> DecodedFrame:
        """Return the frame as a reference is enrolled: with its views."""
        side = round((len(self.frame.pixels) / 3) ** 0.5)
        return replace(self.frame, views=tuple(view.tobytes() for view in squashed_views(self.picture, side)))


def describe(picture: Picture, plain: Image.Image, side: int, *, planes: bool = True) -> Iterator[Described]:
    """Describe a picture, ``plain`` being its image in a mode that averages correctly, on each background that tells.

    ``side`` is that of the encoder's input; ``planes``: with what local features come from.
    """
    small = reduced(plain)
    on_white = _described(picture, plain, finished(small, picture.orientation, WHITE), side, planes=planes)
    yield on_white
    if not _has_clear_parts(small):
        return
    on_black = finished(small, picture.orientation, BLACK)
    empty = on_white.frame.low_information
    if difference(thumbnail(on_white.picture), thumbnail(on_black)) >= SAME_LEVELS:
        darkened = _described(picture, plain, on_black, side, planes=planes)
        if not darkened.frame.low_information:
            yield darkened
        empty = empty and darkened.frame.low_information
    if empty:
        hidden = _described(picture, plain, finished(small, picture.orientation, None), side, planes=planes)
        if not hidden.frame.low_information:
            yield hidden


def _has_clear_parts(image: Image.Image) -> bool:
    return image.mode in {"LA", "RGBA"} and int(np.asarray(image.getchannel("A")).min()) < 255


def _described(picture: Picture, plain: Image.Image, canonical: Image.Image, side: int, *, planes: bool) -> Described:
    across, down = (scale * factor for scale, factor in zip(picture.scale, reduction(plain.size), strict=True))
    if picture.orientation in SIDEWAYS:
        across, down = down, across
    width, height = picture.size
    full = Reduction(rows=height, columns=width, down=down, across=across)
    grey = canonical.convert("L")
    hashes = pdq(np.asarray(grey), full)
    squashed = squash(canonical, side, UPRIGHT)
    empty = low_information(squashed, hashes.quality)
    plane = grey_plane(grey) if planes and not empty else None
    frame = DecodedFrame(
        index=picture.index,
        size=picture.size,
        pdq=hashes.variants,
        pdq_quality=hashes.quality,
        pixels=squashed.tobytes(),
        low_information=empty,
        plane=b"" if plane is None else plane.tobytes(),
        plane_size=(0, 0) if plane is None else plane.size,
    )
    return Described(frame=frame, picture=canonical)
