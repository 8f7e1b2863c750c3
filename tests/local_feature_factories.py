"""Drawn planes and what people do to them, for the tests of local features."""

import io
import math
import random
from functools import cache

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageOps

from workers.training.drawing import draw

type Plane = NDArray[np.uint8]

SIZE = (512, 384)


@cache
def picture(family: str, seed: int) -> Image.Image:
    return draw(family, seed, size=(1024, 768)).convert("L").resize(SIZE, Image.Resampling.BOX)


def plane_of(image: Image.Image) -> Plane:
    """As pixels.grey_plane: the long side at most 512."""
    scale = 512 / max(image.size)
    if scale < 1:
        size = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
        image = image.resize(size, Image.Resampling.BOX)
    return np.asarray(image.convert("L"))


def plane(family: str, seed: int) -> Plane:
    return plane_of(picture(family, seed))


def cropped(image: Image.Image, area: float, seed: int = 0) -> Image.Image:
    width, height = (round(side * math.sqrt(area)) for side in image.size)
    rng = random.Random(seed)
    left, top = rng.randint(0, image.width - width), rng.randint(0, image.height - height)
    return image.crop((left, top, left + width, top + height))


def pasted(image: Image.Image, area: float, seed: int = 0) -> Image.Image:
    """The picture on ``area`` of a page of text lines."""
    rng = random.Random(seed)
    page = Image.new("L", (900, 700), 250)
    pen = ImageDraw.Draw(page)
    for y in range(20, 690, 18):
        x = 20
        while x < 860:
            length = rng.randint(10, 60)
            pen.rectangle((x, y, x + length, y + rng.randint(4, 9)), fill=rng.randint(20, 120))
            x += length + 8
    scale = math.sqrt(area * page.width * page.height / (image.width * image.height))
    small = image.resize((round(image.width * scale), round(image.height * scale)), Image.Resampling.BOX)
    page.paste(small, (rng.randint(0, page.width - small.width), rng.randint(0, page.height - small.height)))
    return page


def turned(image: Image.Image, degrees: float) -> Image.Image:
    """Turned anticlockwise, as Pillow turns."""
    return image.rotate(degrees, Image.Resampling.BICUBIC, expand=True)


def mirrored_picture(image: Image.Image) -> Image.Image:
    return ImageOps.mirror(image)


def recompressed(image: Image.Image, quality: int) -> Image.Image:
    stream = io.BytesIO()
    image.save(stream, "JPEG", quality=quality)
    with Image.open(stream) as decoded:
        return decoded.convert("L")


def lattice(period: int = 8) -> Plane:
    """Equal dots in equal distances: the most equal features a picture can have."""
    down, across = np.mgrid[:320, :320]
    dots = (down % period - 4) ** 2 + (across % period - 4) ** 2 < 6
    return np.where(dots, 255, 0).astype(np.uint8)
