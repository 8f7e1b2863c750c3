"""Pictures that say little and therefore resemble each other: noise, clouds, gradients, stripes, shapes, plain text.

No training teaches an encoder to tell two fields of noise apart at 96 x 96 pixels. They belong in the background bank,
so that whatever looks like them is recognised as ordinary.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from typing import Final

import numpy as np
from PIL import Image, ImageDraw

from workers.training.drawing.canvas import SYLLABLES, font

SIZE: Final = (640, 480)
PAGE: Final = (600, 800)


def _colour(rng: random.Random) -> tuple[int, int, int]:
    return rng.randrange(256), rng.randrange(256), rng.randrange(256)


def _random_field(rng: random.Random, columns: int, rows: int) -> Image.Image:
    generator = np.random.default_rng(rng.getrandbits(32))
    return Image.fromarray(generator.integers(0, 256, (rows, columns, 3), dtype=np.uint8))


def _words(rng: random.Random, count: int) -> str:
    return " ".join("".join(rng.choice(SYLLABLES) for _ in range(rng.randint(1, 3))) for _ in range(count))


def noise(rng: random.Random) -> Image.Image:
    """Independent pixels, or blocks of a few."""
    block = rng.choice((1, 1, 2, 4, 8))
    field = _random_field(rng, SIZE[0] // block, SIZE[1] // block)
    return field.resize(SIZE, Image.Resampling.NEAREST)


def blobs(rng: random.Random) -> Image.Image:
    """A few random colours, smoothly joined."""
    return _random_field(rng, rng.randint(4, 16), rng.randint(3, 12)).resize(SIZE, Image.Resampling.BICUBIC)


def clouds(rng: random.Random) -> Image.Image:
    """Noise of every scale."""
    total = np.zeros((SIZE[1], SIZE[0], 3))
    for scale in (4, 8, 16, 32, 64, 128):
        field = _random_field(rng, max(1, SIZE[0] // scale), max(1, SIZE[1] // scale))
        total += np.asarray(field.resize(SIZE, Image.Resampling.BICUBIC), dtype=np.float64) * scale
    return Image.fromarray(((total - total.min()) / np.ptp(total) * 255).astype(np.uint8))


def gradient(rng: random.Random) -> Image.Image:
    """Four corners, blended."""
    return _random_field(rng, 2, 2).resize(SIZE, Image.Resampling.BILINEAR)


def shapes(rng: random.Random) -> Image.Image:
    """One to a few dozen rectangles, ellipses and lines on one colour."""
    image = Image.new("RGB", SIZE, _colour(rng))
    pen = ImageDraw.Draw(image)
    for _ in range(rng.choice((1, 2, 3, 5, 8, 12, 40))):
        x, y = rng.randrange(SIZE[0]), rng.randrange(SIZE[1])
        box = (x, y, x + rng.randint(20, 300), y + rng.randint(20, 300))
        match rng.randrange(3):
            case 0:
                pen.rectangle(box, fill=_colour(rng))
            case 1:
                pen.ellipse(box, fill=_colour(rng))
            case _:
                pen.line((x, y, rng.randrange(SIZE[0]), rng.randrange(SIZE[1])), _colour(rng), rng.randint(1, 14))
    return image


def stripes(rng: random.Random) -> Image.Image:
    """Stripes or a chequerboard."""
    step, rows = rng.randint(8, 120), rng.random() < 0.5
    image = Image.new("RGB", SIZE, _colour(rng))
    pen, ink = ImageDraw.Draw(image), _colour(rng)
    chequered = rng.random() < 0.5
    for down in range(0, SIZE[1], step):
        for across in range(0, SIZE[0], step):
            odd = (across // step + down // step) % 2 if chequered else (down if rows else across) // step % 2
            if odd:
                pen.rectangle((across, down, across + step - 1, down + step - 1), fill=ink)
    return image


def text_page(rng: random.Random) -> Image.Image:
    """Lines of black text on white, nothing else."""
    image = Image.new("RGB", PAGE, "white")
    pen, step = ImageDraw.Draw(image), rng.choice((16, 20, 24, 30))
    for down in range(rng.randint(15, 60), PAGE[1] - 20, step):
        pen.text((30, down), _words(rng, rng.randint(2, 11)), fill="black", font=font(step * 2 // 3))
    return image


def label(rng: random.Random) -> Image.Image:
    """A few large words on one colour."""
    image = Image.new("RGB", (400, 300), _colour(rng))
    text = f"{_words(rng, rng.randint(1, 2))} {rng.randrange(1000)}"
    ImageDraw.Draw(image).text((rng.randint(5, 60), rng.randint(20, 200)), text, fill=_colour(rng), font=font(44))
    return image


PLAIN: Final[Mapping[str, Callable[[random.Random], Image.Image]]] = {
    "noise": noise,
    "blobs": blobs,
    "clouds": clouds,
    "gradient": gradient,
    "shapes": shapes,
    "stripes": stripes,
    "text_page": text_page,
    "label": label,
}


def draw_plain(kind: str, seed: int) -> Image.Image:
    """The RGB picture named by (kind, seed); raises KeyError for a kind that is not in `PLAIN`."""
    return PLAIN[kind](random.Random(f"plain:{kind}:{seed}"))
