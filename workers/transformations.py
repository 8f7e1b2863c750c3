"""What people do to a picture before it leaves, with strengths; and the 24 transformations of the recall benchmark.

Pictures are RGB and their long side is 512 px (`canonical`), the scale at which blur and noise are stated.
"""

from __future__ import annotations

import io
import math
import random
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Final

import numpy as np
from PIL import Image, ImageDraw, ImageEnhance, ImageFilter, ImageFont, ImageOps

type Edit = Callable[[Image.Image, random.Random, Image.Image], Image.Image]
"""(picture, dice, another picture for whatever is pasted beside or around it) -> edited picture."""

LONG_SIDE: Final = 512
BLACK: Final = (0, 0, 0)
TURN_90: Final = Image.Transpose.ROTATE_90
TURN_180: Final = Image.Transpose.ROTATE_180


def canonical(image: Image.Image) -> Image.Image:
    """The picture with its long side at 512 px."""
    scale = LONG_SIDE / max(image.size)
    return image.resize(
        (max(1, round(image.width * scale)), max(1, round(image.height * scale))), Image.Resampling.BICUBIC
    )


def jpeg(image: Image.Image, quality: int) -> Image.Image:
    """Through JPEG and back."""
    stream = io.BytesIO()
    image.save(stream, "JPEG", quality=quality)
    with Image.open(stream) as decoded:  # noqa: TID251 - written a line above
        return decoded.convert("RGB")


def shrink(image: Image.Image, factor: int) -> Image.Image:
    """Each side divided by `factor`."""
    size = max(1, image.width // factor), max(1, image.height // factor)
    return image.resize(size, Image.Resampling.BICUBIC)


def crop(image: Image.Image, rng: random.Random, area: float) -> Image.Image:
    """A crop of `area` of the picture with its ratio, anywhere."""
    share = math.sqrt(area)
    width, height = max(1, round(image.width * share)), max(1, round(image.height * share))
    left, top = rng.randint(0, image.width - width), rng.randint(0, image.height - height)
    return image.crop((left, top, left + width, top + height))


def tilt(image: Image.Image, rng: random.Random, degrees: float) -> Image.Image:
    """A turn either way inside the same frame, black corners."""
    return image.rotate(rng.choice((-degrees, degrees)), Image.Resampling.BICUBIC, fillcolor=BLACK)


def turn(image: Image.Image, degrees: float) -> Image.Image:
    """A turn in a frame that grows, black corners."""
    return image.rotate(degrees, Image.Resampling.BICUBIC, expand=True, fillcolor=BLACK)


def caption(image: Image.Image, rng: random.Random, lines: int = 1) -> Image.Image:
    """White text with a black outline, from near the bottom upwards."""
    result = image.copy()
    size = max(12, image.height // 11)
    for line in range(lines):
        text = " ".join("".join(rng.choices("abcdefghilmnoprstuv", k=rng.randint(3, 8))) for _ in range(3))
        ImageDraw.Draw(result).text(
            (image.width / 2, image.height * 0.9 - 1.3 * size * line),
            text,
            fill="white",
            stroke_fill="black",
            stroke_width=2,
            font=ImageFont.load_default(size),
            anchor="mm",
        )
    return result


def emoji(image: Image.Image, rng: random.Random, area: float = 0.15) -> Image.Image:
    """A smiling disc over `area` of the picture."""
    result = image.copy()
    pen = ImageDraw.Draw(result)
    radius = math.sqrt(area * image.width * image.height / math.pi)
    x = rng.uniform(radius, max(radius, image.width - radius))
    y = rng.uniform(radius, max(radius, image.height - radius))
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


def screenshot(image: Image.Image, rng: random.Random, share: float = 0.5) -> Image.Image:
    """The picture on `share` of the area of a drawn application window."""
    ratio = image.width / image.height
    area = image.width * image.height / share
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


def paste(image: Image.Image, rng: random.Random, other: Image.Image, share: float) -> Image.Image:
    """The picture on `share` of the area of another one."""
    scale = math.sqrt(share * other.width * other.height / (image.width * image.height))
    scale = min(scale, other.width / image.width, other.height / image.height)
    small = image.resize((max(1, int(image.width * scale)), max(1, int(image.height * scale))), Image.Resampling.BOX)
    sheet = other.copy()
    sheet.paste(small, (rng.randint(0, other.width - small.width), rng.randint(0, other.height - small.height)))
    return sheet


def noise(image: Image.Image, rng: random.Random, sigma: float = 25) -> Image.Image:
    """Gaussian noise."""
    grains = np.random.default_rng(rng.getrandbits(32)).normal(0, sigma, (image.height, image.width, 3))
    return Image.fromarray(np.clip(np.asarray(image, np.float32) + grains, 0, 255).astype(np.uint8))


def collage(image: Image.Image, rng: random.Random, other: Image.Image, cells: int = 2) -> Image.Image:
    """One cell of `cells` by `cells`; another picture, mirrored in turns, fills the others."""
    size = image.size
    sheet = Image.new("RGB", (size[0] * cells, size[1] * cells))
    filler = other.resize(size)
    mine = rng.randrange(cells * cells)
    for cell in range(cells * cells):
        tile = image if cell == mine else ImageOps.mirror(filler) if cell % 2 else filler
        sheet.paste(tile, ((cell % cells) * size[0], (cell // cells) * size[1]))
    return sheet


def border(image: Image.Image, rng: random.Random, share: float = 0.15) -> Image.Image:
    """A flat frame, `share` of the mean side wide."""
    width = round(share * (image.width + image.height) / 2)
    return ImageOps.expand(image, width, rng.choice(((255, 255, 255), BLACK, (200, 40, 40), (40, 90, 180))))


def stretch(image: Image.Image, factor: float) -> Image.Image:
    """Wider by `factor`, as high as before."""
    return image.resize((max(1, round(image.width * factor)), image.height), Image.Resampling.BICUBIC)


def perspective(image: Image.Image, rng: random.Random, share: float) -> Image.Image:
    """Seen from the side: every corner moves inwards by up to `share` of its side; what is outside is dark."""
    width, height = image.size
    corners = ((0, 0), (0, height), (width, height), (width, 0))
    moved = [
        (
            x + (1 if x == 0 else -1) * rng.uniform(0, share) * width,
            y + (1 if y == 0 else -1) * rng.uniform(0, share) * height,
        )
        for x, y in corners
    ]
    rows, target = [], []
    for (x, y), (u, v) in zip(moved, corners, strict=True):  # Pillow wants the way from the result to the source
        rows += [[x, y, 1, 0, 0, 0, -u * x, -u * y], [0, 0, 0, x, y, 1, -v * x, -v * y]]
        target += [u, v]
    way = np.linalg.solve(np.array(rows), np.array(target))
    method = Image.Transform.PERSPECTIVE
    return image.transform(image.size, method, way.tolist(), Image.Resampling.BICUBIC, fillcolor=(24, 24, 28))


def screen_photo(image: Image.Image, rng: random.Random, strength: float) -> Image.Image:
    """Photographed from a screen: perspective, a moire of the pixel grid, uneven light, noise, JPEG."""
    seen = perspective(image, rng, 0.06 + 0.1 * strength)
    pixels = np.asarray(seen, np.float32)
    down, across = np.mgrid[0 : seen.height, 0 : seen.width]
    period, angle = rng.uniform(3, 9), rng.uniform(0, math.pi)
    waves = np.sin(2 * math.pi * (math.cos(angle) * across + math.sin(angle) * down) / period)
    light = 1 - 0.35 * strength * (across / seen.width if rng.random() < 0.5 else down / seen.height)
    lit = pixels * light[..., None] + 28 * strength * waves[..., None]
    photo = Image.fromarray(np.clip(lit, 0, 255).astype(np.uint8))
    return jpeg(noise(photo, rng, 4 + 10 * strength), round(80 - 40 * strength))


def combo(
    image: Image.Image, rng: random.Random, area: float = 0.6, degrees: float = 5, quality: int = 40
) -> Image.Image:
    """Crop, colour, tilt, caption, JPEG."""
    cut = ImageEnhance.Color(crop(image, rng, area)).enhance(rng.choice((0.5, 1.6)))
    lit = ImageEnhance.Brightness(cut).enhance(rng.choice((0.75, 1.25)))
    return jpeg(caption(lit.rotate(rng.choice((-degrees, degrees)), Image.Resampling.BICUBIC), rng), quality)


def grey(image: Image.Image) -> Image.Image:
    """Without colour."""
    return ImageOps.grayscale(image).convert("RGB")


TRANSFORMS: Final[Mapping[str, Edit]] = MappingProxyType(
    {
        "jpeg30": lambda image, _rng, _other: jpeg(image, 30),
        "resize4": lambda image, _rng, _other: shrink(image, 4),
        "crop50": lambda image, rng, _other: crop(image, rng, 0.5),
        "crop25": lambda image, rng, _other: crop(image, rng, 0.25),
        "rot10": lambda image, rng, _other: tilt(image, rng, 10),
        "rot45": lambda image, _rng, _other: turn(image, 45),
        "rot90": lambda image, _rng, _other: image.transpose(TURN_90),
        "rot180": lambda image, _rng, _other: image.transpose(TURN_180),
        "hflip": lambda image, _rng, _other: ImageOps.mirror(image),
        "vflip": lambda image, _rng, _other: ImageOps.flip(image),
        "bright1.7": lambda image, _rng, _other: ImageEnhance.Brightness(image).enhance(1.7),
        "bright0.4": lambda image, _rng, _other: ImageEnhance.Brightness(image).enhance(0.4),
        "contrast": lambda image, rng, _other: ImageEnhance.Contrast(image).enhance(rng.choice((2.0, 0.4))),
        "saturation": lambda image, rng, _other: ImageEnhance.Color(image).enhance(rng.choice((2.5, 0.2))),
        "gray": lambda image, _rng, _other: grey(image),
        "blur5": lambda image, _rng, _other: image.filter(ImageFilter.GaussianBlur(5)),
        "caption": lambda image, rng, _other: caption(image, rng),
        "emoji": lambda image, rng, _other: emoji(image, rng),
        "screenshot": lambda image, rng, _other: screenshot(image, rng),
        "aspect1.5": lambda image, _rng, _other: stretch(image, 1.5),
        "noise25": lambda image, rng, _other: noise(image, rng),
        "collage": collage,
        "border15": lambda image, rng, _other: border(image, rng),
        "combo": lambda image, rng, _other: combo(image, rng),
    }
)
"""The benchmark's: their names and strengths are those of its published figures."""
