"""From whatever a decoder hands out to the three reductions everything else is computed from.

The *canonical* picture is RGB, upright, its short side 512 to 1023 pixels (smaller originals as they are), reduced by
whole numbers of pixels, JPEG in its transform.  PDQ is computed from it as of the original (its `pdq.Reduction`).
The *encoder* picture is a square squash of it; the *plane* is the same in grey, its long side at most 512 pixels, where
local features and block sketches come from.
"""

from __future__ import annotations

from typing import Any, Final, Protocol

import numpy as np
from numpy.typing import NDArray
from PIL import Image

WHITE: Final = "white"
CANONICAL_SIDE: Final = 512
LONGEST_SIDE: Final = 4096
"""Of the canonical picture; a banner of 1 x 1,000,000 pixels is shortened along its length alone."""
PLANE_SIDE: Final = 512
"""Longest side of the plane."""
LOW_CONTRAST_LEVELS: Final = 6
"""A picture whose encoder pixels span fewer grey levels than this shows nothing to recognise."""
LOW_INFORMATION_QUALITY: Final = 15
"""A picture of a lower PDQ quality is as good as blank.  Of 11,664 photographs and pages 14 are: blank pages, a wall.

Not 50, where the *hash* stops being usable: 5 % of charts and of objects on a plain board lie between, and the encoder
tells those apart.
"""

_TURNS: Final = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
UPRIGHT: Final = 1
"""EXIF's orientation of a picture that is as it was taken."""
SIDEWAYS: Final = frozenset({5, 6, 7, 8})
"""EXIF orientations that swap width and height."""


class HasPlane(Protocol):
    """What keeps a plane as bytes, such as a DecodedFrame; its size is (width, height)."""

    @property
    def plane(self) -> bytes:
        """Row after row."""
        ...

    @property
    def plane_size(self) -> tuple[int, int]:
        """Width and height."""
        ...


def reducible(image: Image.Image) -> Image.Image:
    """Return the picture in a mode that averages correctly: L, LA, RGB or RGBA (never a palette)."""
    if image.mode.startswith("I;16"):
        return Image.fromarray((np.asarray(image) >> 8).astype(np.uint8))
    if image.mode in {"I", "F"}:
        return Image.fromarray(_to_8_bit(np.asarray(image)))
    if image.has_transparency_data:
        return image if image.mode in {"RGBA", "LA"} else image.convert("RGBA")
    return image if image.mode in {"RGB", "L"} else image.convert("RGB")


def _to_8_bit(values: NDArray[Any]) -> NDArray[np.uint8]:
    """Map numbers without a fixed range: 0..1, 0..255 and 0..65535 as they are meant, anything else stretched."""
    finite = np.nan_to_num(values.astype(np.float32), nan=0.0, posinf=0.0, neginf=0.0)
    low, high = float(finite.min()), float(finite.max())
    if low >= 0:
        low, high = 0.0, next((top for top in (1.0, 255.0, 65535.0) if high <= top), high)
    return np.asarray(np.clip((finite - low) * (255 / max(high - low, 1e-12)), 0, 255), dtype=np.uint8)


def reduction(size: tuple[int, int]) -> tuple[int, int]:
    """Return by how much a picture of ``size`` = (width, height) is reduced: (across, down)."""
    factor = max(1, min(size) // CANONICAL_SIDE)
    width, height = size
    return max(factor, -(-width // LONGEST_SIDE)), max(factor, -(-height // LONGEST_SIDE))


def reduced(image: Image.Image) -> Image.Image:
    """Return the picture at the canonical size, its alpha kept; itself where it is no larger."""
    factors = reduction(image.size)
    return image.reduce(factors) if max(factors) > 1 else image


def finished(image: Image.Image, orientation: int, background: str | None = WHITE) -> Image.Image:
    """Return a reduced picture as it is hashed: upright, RGB, on ``background``; None: as if nothing were clear.

    ``orientation`` is EXIF's, 1..8.
    """
    image = turned(image, orientation)
    if image.mode not in {"RGBA", "LA"} or background is None:
        return image if image.mode == "RGB" else image.convert("RGB")
    flat = Image.new("RGB", image.size, background)
    flat.paste(image.convert("RGB"), mask=image.getchannel("A"))
    return flat


def canonical(image: Image.Image, orientation: int) -> Image.Image:
    """Return the picture that is hashed, on white; ``orientation`` is EXIF's, 1..8."""
    return finished(reduced(image), orientation)


def squash(image: Image.Image, side: int, orientation: int) -> Image.Image:
    """Return the encoder's picture: ``side`` x ``side``, averaged over areas where it shrinks in both directions."""
    return finished(image.resize((side, side), squash_method(image.size, side)), orientation)


def squash_method(size: tuple[int, int], side: int) -> Image.Resampling:
    """Return how a picture of ``size`` becomes the encoder's."""
    return Image.Resampling.BOX if min(size) >= side else Image.Resampling.BILINEAR


def grey_plane(picture: Image.Image) -> Image.Image:
    """Return the plane of a canonical picture: grey, averaged over areas, its long side at most ``PLANE_SIDE``."""
    grey = picture if picture.mode == "L" else picture.convert("L")
    longest = max(grey.size)
    if longest <= PLANE_SIDE:
        return grey
    width, height = (max(1, round(side * PLANE_SIDE / longest)) for side in grey.size)
    return grey.resize((width, height), Image.Resampling.BOX)


def turned(image: Image.Image, orientation: int) -> Image.Image:
    """Return the picture upright; ``orientation`` is EXIF's, 1..8."""
    return image.transpose(_TURNS[orientation]) if orientation in _TURNS else image


def low_information(squashed: Image.Image, pdq_quality: int) -> bool:
    """Tell whether a picture shows too little to be recognised by: one colour but for noise, or a blank page."""
    return pdq_quality < LOW_INFORMATION_QUALITY or _grey_levels(squashed) < LOW_CONTRAST_LEVELS


def plane_of(frame: HasPlane) -> NDArray[np.uint8]:
    """Return the plane as height x width."""
    width, height = frame.plane_size
    return np.frombuffer(frame.plane, np.uint8).reshape(height, width)


def _grey_levels(image: Image.Image) -> int:
    return int(np.ptp(np.asarray(image.convert("L"))))
