"""The 24 transformations of the recall benchmark, applied to pictures whose long side is 512 px."""

from __future__ import annotations

import io
import math
import random
from collections.abc import Callable, Mapping
from typing import Final

import numpy as np
from PIL import Image, ImageDraw, ImageEnhance, ImageFilter, ImageFont, ImageOps

type Transform = Callable[[Image.Image, random.Random, Image.Image], Image.Image]

LONG_SIDE: Final = 512
BLACK: Final = (0, 0, 0)
TURN_90: Final = Image.Transpose.ROTATE_90
TURN_180: Final = Image.Transpose.ROTATE_180


def canonical(image: Image.Image) -> Image.Image:
    """The picture with its long side at 512 px: the scale at which blur and noise are stated."""
    scale = LONG_SIDE / max(image.size)
    return image.resize(
        (max(1, round(image.width * scale)), max(1, round(image.height * scale))), Image.Resampling.BICUBIC
    )


def jpeg(image: Image.Image, quality: int) -> Image.Image:
    """Through JPEG and back."""
    stream = io.BytesIO()
    image.save(stream, "JPEG", quality=quality)
    with Image.open(stream) as decoded:
        return decoded.convert("RGB")


def crop(image: Image.Image, rng: random.Random, area: float) -> Image.Image:
    """A crop of `area` of the picture with its ratio, anywhere."""
    share = math.sqrt(area)
    width, height = round(image.width * share), round(image.height * share)
    left, top = rng.randint(0, image.width - width), rng.randint(0, image.height - height)
    return image.crop((left, top, left + width, top + height))


def caption(image: Image.Image, rng: random.Random) -> Image.Image:
    """White text with a black outline near the bottom."""
    result = image.copy()
    size = max(12, image.height // 11)
    text = " ".join("".join(rng.choices("abcdefghilmnoprstuv", k=rng.randint(3, 8))) for _ in range(3))
    ImageDraw.Draw(result).text(
        (image.width / 2, image.height * 0.9),
        text,
        fill="white",
        stroke_fill="black",
        stroke_width=2,
        font=ImageFont.load_default(size),
        anchor="mm",
    )
    return result


def emoji(image: Image.Image, rng: random.Random) -> Image.Image:
    """A smiling disc over 15 % of the area."""
    result = image.copy()
    pen = ImageDraw.Draw(result)
    radius = math.sqrt(0.15 * image.width * image.height / math.pi)
    x, y = (
        rng.uniform(radius, max(radius, image.width - radius)),
        rng.uniform(radius, max(radius, image.height - radius)),
    )
    pen.ellipse((x - radius, y - radius, x + radius, y + radius), fill=(250, 205, 50))
    for side in (-0.35, 0.35):
        eye = (x + side * radius, y - radius * 0.25)
        pen.ellipse(
            (eye[0] - radius * 0.12, eye[1] - radius * 0.18, eye[0] + radius * 0.12, eye[1] + radius * 0.18),
            fill=(70, 50, 20),
        )
    pen.arc(
        (x - radius * 0.6, y - radius * 0.5, x + radius * 0.6, y + radius * 0.6),
        20,
        160,
        fill=(70, 50, 20),
        width=int(radius * 0.12) + 1,
    )
    return result


def screenshot(image: Image.Image, rng: random.Random) -> Image.Image:
    """The picture on half of the area of a drawn application window."""
    ratio = image.width / image.height
    area = 2 * image.width * image.height
    frame_ratio = rng.uniform(1.2, 1.8) if ratio >= 1 else rng.uniform(0.6, 0.9)
    width = max(round(math.sqrt(area * frame_ratio)), image.width)
    height = max(round(area / width), image.height)
    tone = rng.choice(((245, 245, 247), (32, 34, 40), (225, 232, 240)))
    frame = Image.new("RGB", (width, height), tone)
    pen = ImageDraw.Draw(frame)
    for _ in range(14):
        x, y = rng.uniform(0, width), rng.uniform(0, height)
        pen.rectangle(
            (x, y, x + rng.uniform(20, width / 3), y + rng.uniform(4, 12)),
            fill=rng.choice(((90, 120, 200), (150, 150, 155), (60, 60, 66))),
        )
    pen.rectangle((0, 0, width, height // 18), fill=rng.choice(((60, 90, 160), (40, 40, 44), (200, 90, 60))))
    frame.paste(image, (rng.randint(0, width - image.width), rng.randint(0, height - image.height)))
    return frame


def noise(image: Image.Image, rng: random.Random) -> Image.Image:
    """Gaussian noise, sigma 25."""
    grains = np.random.default_rng(rng.getrandbits(32)).normal(0, 25, (image.height, image.width, 3))
    return Image.fromarray(np.clip(np.asarray(image, np.float32) + grains, 0, 255).astype(np.uint8))


def collage(image: Image.Image, rng: random.Random, other: Image.Image) -> Image.Image:
    """One cell of two by two; another picture fills the other three."""
    size = image.size
    sheet = Image.new("RGB", (size[0] * 2, size[1] * 2))
    filler = other.resize(size)
    mine = rng.randrange(4)
    for cell in range(4):
        tile = image if cell == mine else ImageOps.mirror(filler) if cell % 2 else filler
        sheet.paste(tile, ((cell % 2) * size[0], (cell // 2) * size[1]))
    return sheet


def border(image: Image.Image, rng: random.Random) -> Image.Image:
    """A flat frame, 15 % of the mean side wide."""
    width = round(0.15 * (image.width + image.height) / 2)
    return ImageOps.expand(image, width, rng.choice(((255, 255, 255), BLACK, (200, 40, 40), (40, 90, 180))))


def combo(image: Image.Image, rng: random.Random) -> Image.Image:
    """Crop to 60 %, colour, 5 degrees, caption, JPEG 40."""
    cut = ImageEnhance.Color(crop(image, rng, 0.6)).enhance(rng.choice((0.5, 1.6)))
    lit = ImageEnhance.Brightness(cut).enhance(rng.choice((0.75, 1.25)))
    return jpeg(caption(lit.rotate(rng.choice((-5, 5)), Image.Resampling.BICUBIC), rng), 40)


TRANSFORMS: Final[Mapping[str, Transform]] = {
    "jpeg30": lambda image, _rng, _other: jpeg(image, 30),
    "resize4": lambda image, _rng, _other: image.resize(
        (image.width // 4, image.height // 4), Image.Resampling.BICUBIC
    ),
    "crop50": lambda image, rng, _other: crop(image, rng, 0.5),
    "crop25": lambda image, rng, _other: crop(image, rng, 0.25),
    "rot10": lambda image, rng, _other: image.rotate(rng.choice((-10, 10)), Image.Resampling.BICUBIC, fillcolor=BLACK),
    "rot45": lambda image, _rng, _other: image.rotate(45, Image.Resampling.BICUBIC, expand=True, fillcolor=BLACK),
    "rot90": lambda image, _rng, _other: image.transpose(TURN_90),
    "rot180": lambda image, _rng, _other: image.transpose(TURN_180),
    "hflip": lambda image, _rng, _other: ImageOps.mirror(image),
    "vflip": lambda image, _rng, _other: ImageOps.flip(image),
    "bright1.7": lambda image, _rng, _other: ImageEnhance.Brightness(image).enhance(1.7),
    "bright0.4": lambda image, _rng, _other: ImageEnhance.Brightness(image).enhance(0.4),
    "contrast": lambda image, rng, _other: ImageEnhance.Contrast(image).enhance(rng.choice((2.0, 0.4))),
    "saturation": lambda image, rng, _other: ImageEnhance.Color(image).enhance(rng.choice((2.5, 0.2))),
    "gray": lambda image, _rng, _other: ImageOps.grayscale(image).convert("RGB"),
    "blur5": lambda image, _rng, _other: image.filter(ImageFilter.GaussianBlur(5)),
    "caption": lambda image, rng, _other: caption(image, rng),
    "emoji": lambda image, rng, _other: emoji(image, rng),
    "screenshot": lambda image, rng, _other: screenshot(image, rng),
    "aspect1.5": lambda image, _rng, _other: image.resize(
        (round(image.width * 1.5), image.height), Image.Resampling.BICUBIC
    ),
    "noise25": lambda image, rng, _other: noise(image, rng),
    "collage": collage,
    "border15": lambda image, rng, _other: border(image, rng),
    "combo": lambda image, rng, _other: combo(image, rng),
}
