"""Pictures for tests, drawn from a seed, and the files that hold them."""

from __future__ import annotations

import io
from typing import Any, Final

import numpy as np
from PIL import Image

EXIF_ORIENTATION: Final = 0x0112


def make_picture(width: int = 320, height: int = 200, *, seed: int = 1) -> Image.Image:
    """Return smooth coloured structure, as rich as a photograph to a perceptual hash."""
    coarse = np.random.default_rng(seed).integers(0, 256, (9, 13, 3), dtype=np.uint8)
    return Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC)


def make_file(image: Image.Image | None = None, image_format: str = "PNG", **options: Any) -> bytes:
    """Return the file of a picture."""
    file = io.BytesIO()
    (image or make_picture()).save(file, image_format, **options)
    return file.getvalue()


def make_exif(orientation: int) -> Image.Exif:
    """Return EXIF data with an orientation, 1..8."""
    exif = Image.Exif()
    exif[EXIF_ORIENTATION] = orientation
    return exif
