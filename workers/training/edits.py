"""What people do to a picture before they send it: the named edits of the demo, and how the result is encoded."""

from __future__ import annotations

import io
import math
import random
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Final

from PIL import Image, ImageDraw, ImageEnhance, ImageOps

from workers.training.drawing.canvas import SYLLABLES, font

type Edit = Callable[[Image.Image, random.Random], Image.Image]

CROP_AREA: Final = 0.6
TILT_DEGREES: Final = 7.0
LOW_QUALITY: Final = 30
USUAL_QUALITY: Final = 90
SATURATION: Final = 2.0


def crop_60(image: Image.Image, rng: random.Random) -> Image.Image:
    """60 % of the area, the ratio kept, anywhere in the picture."""
    share = math.sqrt(CROP_AREA)
    width, height = round(image.width * share), round(image.height * share)
    left, top = rng.randint(0, image.width - width), rng.randint(0, image.height - height)
    return image.crop((left, top, left + width, top + height))


def rotate_7(image: Image.Image, rng: random.Random) -> Image.Image:
    """7 degrees either way; the frame grows or the corners are cut, the rest is black or white."""
    fill = rng.choice(((0, 0, 0), (255, 255, 255)))
    angle = rng.choice((-TILT_DEGREES, TILT_DEGREES))
    return image.rotate(angle, Image.Resampling.BICUBIC, expand=rng.random() < 0.5, fillcolor=fill)


def rotate_90(image: Image.Image, rng: random.Random) -> Image.Image:
    """A quarter turn either way."""
    return image.transpose(rng.choice((Image.Transpose.ROTATE_90, Image.Transpose.ROTATE_270)))


def jpeg_30(image: Image.Image, _rng: random.Random) -> Image.Image:
    """Through JPEG at quality 30 and back."""
    with Image.open(io.BytesIO(encode(image, quality=LOW_QUALITY))) as decoded:
        return decoded.convert("RGB")


def half_size(image: Image.Image, _rng: random.Random) -> Image.Image:
    """Half as wide and half as high."""
    return image.resize((max(1, image.width // 2), max(1, image.height // 2)), Image.Resampling.LANCZOS)


def grey(image: Image.Image, _rng: random.Random) -> Image.Image:
    """Without colour."""
    return ImageOps.grayscale(image).convert("RGB")


def saturate(image: Image.Image, _rng: random.Random) -> Image.Image:
    """Colours twice as strong."""
    return ImageEnhance.Color(image).enhance(SATURATION)


def caption(image: Image.Image, rng: random.Random) -> Image.Image:
    """A line of text along the top or bottom, on a bar half of the time."""
    result = image.copy()
    pen = ImageDraw.Draw(result)
    size = max(10, round(image.height * rng.uniform(0.05, 0.09)))
    y = rng.choice((0, image.height - round(size * 1.6)))
    words = " ".join("".join(rng.choice(SYLLABLES) for _ in range(2)) for _ in range(rng.randint(2, 5)))
    ink, ground = rng.choice((("white", "black"), ("black", "white"), ("yellow", "navy")))
    if rng.random() < 0.5:
        pen.rectangle((0, y, image.width, y + round(size * 1.6)), fill=ground)
    at = (image.width / 2, y + size * 0.8)
    pen.text(at, words, fill=ink, font=font(size), anchor="mm", stroke_width=max(1, size // 12), stroke_fill=ground)
    return result


EDITS: Final[Mapping[str, Edit]] = MappingProxyType(
    {
        "crop_60": crop_60,
        "rotate_7": rotate_7,
        "rotate_90": rotate_90,
        "jpeg_30": jpeg_30,
        "half_size": half_size,
        "grey": grey,
        "saturate": saturate,
        "caption": caption,
    }
)


def encode(image: Image.Image, *, quality: int = USUAL_QUALITY) -> bytes:
    """The picture as JPEG bytes."""
    stream = io.BytesIO()
    image.save(stream, "JPEG", quality=quality)
    return stream.getvalue()


def edited(image: Image.Image, edit: str, seed: int) -> bytes:
    """JPEG bytes of `image` after the named edit, the same for the same seed; raises KeyError for an unknown name."""
    if edit == "jpeg_30":  # the file itself is what was saved at quality 30
        return encode(image, quality=LOW_QUALITY)
    return encode(EDITS[edit](image, random.Random(f"{edit}:{seed}")))


__all__ = ["EDITS", "Edit", "edited", "encode"]
