"""The drawing surface shared by all families: a seeded random source, a palette, words, wobbling pens, arrows."""

from __future__ import annotations

import colorsys
import math
import random
from collections.abc import Sequence
from functools import lru_cache
from itertools import pairwise
from typing import Final

import numpy as np
from PIL import Image, ImageDraw, ImageFont

type Colour = tuple[int, int, int]
type Point = tuple[float, float]
type Box = tuple[float, float, float, float]

SYLLABLES: Final = (
    *(
        "ka",
        "lo",
        "mi",
        "ter",
        "van",
        "sol",
        "dra",
        "pen",
        "gri",
        "tu",
        "bex",
        "nor",
        "fal",
        "qui",
        "zem",
        "hos",
        "ply",
    ),
    *("cra", "det", "um", "ar", "is", "on", "el", "ex", "al", "or", "un", "bra", "sto", "fen", "lin", "mar", "tek"),
)
INK: Final[Colour] = (28, 30, 36)


@lru_cache(maxsize=64)
def font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    """Pillow's embedded face at `size` pixels: no font file of the system is needed, so drawings agree everywhere."""
    return ImageFont.load_default(size)


class Canvas:
    """One picture in the making; every choice comes from `rng`, so a seed names a picture."""

    def __init__(self, rng: random.Random, size: tuple[int, int], background: Colour) -> None:
        self.rng = rng
        self.background = background
        self.width, self.height = size
        self.unit = math.sqrt(size[0] * size[1]) / 100  # one per cent of the picture's mean side, in pixels
        self.image = Image.new("RGB", size, background)
        self.pen = ImageDraw.Draw(self.image)
        self.hue = rng.random()

    def px(self, units: float) -> int:
        """`units` per cent of the mean side as whole pixels, at least one."""
        return max(1, round(units * self.unit))

    def colour(self, saturation: float = 0.6, value: float = 0.8, spread: float = 1.0) -> Colour:
        """A colour near the picture's own hue (`spread` 0) or any (1)."""
        hue = (self.hue + self.rng.uniform(-0.5, 0.5) * spread) % 1.0
        red, green, blue = colorsys.hsv_to_rgb(hue, min(1.0, saturation), min(1.0, value))
        return int(red * 255), int(green * 255), int(blue * 255)

    def word(self, syllables: int = 2) -> str:
        """An invented word: no name in a drawing means anything."""
        return "".join(self.rng.choice(SYLLABLES) for _ in range(max(1, syllables + self.rng.randint(-1, 1))))

    def words(self, count: int) -> str:
        """`count` invented words, the first one capitalised."""
        return " ".join(self.word() for _ in range(count)).capitalize()

    def number(self, digits: int = 4) -> str:
        """A random decimal number of `digits` digits."""
        return str(self.rng.randrange(10 ** (digits - 1), 10**digits))

    def text(self, at: Point, text: str, units: float, fill: Colour = INK, anchor: str = "la") -> None:
        """`text` at a height of `units` per cent of the mean side."""
        self.pen.text(at, text, fill=fill, font=font(max(6, self.px(units))), anchor=anchor)

    def paragraph(self, box: Box, units: float, fill: Colour = INK, ragged: float = 0.3) -> None:
        """Fills `box` with lines of invented words, ragged at the right."""
        left, top, right, bottom = box
        step = self.px(units * 1.45)
        letters = max(4, int((right - left) / max(1.0, self.px(units) * 0.52)))
        y = top
        while y + step <= bottom:
            line = ""
            target = letters * (1 - self.rng.random() * ragged)
            while len(line) < target:
                line += self.word() + " "
            self.text((left, y), line[:letters], units, fill)
            y += step

    def wobble(self, points: Sequence[Point], fill: Colour, width: int, amount: float = 0.35) -> None:
        """A polyline as a hand draws it: every segment bent a little by `amount` units."""
        path: list[Point] = []
        for (x0, y0), (x1, y1) in pairwise(points):
            for step in range(5):
                t = step / 4
                shake = amount * self.unit
                jitter = (self.rng.uniform(-shake, shake), self.rng.uniform(-shake, shake))
                path.append((x0 + (x1 - x0) * t + jitter[0], y0 + (y1 - y0) * t + jitter[1]))
        self.pen.line(path, fill=fill, width=width, joint="curve")

    def arrow(self, start: Point, end: Point, fill: Colour, width: int, head: float = 2.2) -> None:
        """A straight line with a filled head at `end`."""
        self.pen.line([start, end], fill=fill, width=width)
        self.head(start, end, fill, head)

    def head(self, start: Point, end: Point, fill: Colour, head: float = 2.2) -> None:
        """The head of an arrow that comes from `start`."""
        angle = math.atan2(end[1] - start[1], end[0] - start[0])
        length = head * self.unit
        left = (end[0] - length * math.cos(angle - 0.45), end[1] - length * math.sin(angle - 0.45))
        right = (end[0] - length * math.cos(angle + 0.45), end[1] - length * math.sin(angle + 0.45))
        self.pen.polygon([end, left, right], fill=fill)

    def dashed(self, start: Point, end: Point, fill: Colour, width: int, dash: float = 1.5) -> None:
        """A dashed straight line, `dash` units on and `dash` off."""
        length = math.dist(start, end)
        pieces = max(1, int(length / (dash * self.unit * 2)))
        for index in range(pieces):
            a, b = index / pieces, (index + 0.5) / pieces
            first = (start[0] + (end[0] - start[0]) * a, start[1] + (end[1] - start[1]) * a)
            last = (start[0] + (end[0] - start[0]) * b, start[1] + (end[1] - start[1]) * b)
            self.pen.line([first, last], fill=fill, width=width)

    def gradient(self, top: Colour, bottom: Colour, *, horizontal: bool = False, box: Box | None = None) -> None:
        """Paints a linear gradient over `box` (the whole picture by default)."""
        left, upper, right, lower = (round(v) for v in (box or (0, 0, self.width, self.height)))
        length = (right - left) if horizontal else (lower - upper)
        if length < 1 or right <= left or lower <= upper:
            return
        ramp = np.linspace(np.array(top, np.float32), np.array(bottom, np.float32), length)
        rows = np.broadcast_to(ramp[None] if horizontal else ramp[:, None], (lower - upper, right - left, 3))
        self.image.paste(Image.fromarray(np.ascontiguousarray(rows).astype(np.uint8)), (left, upper))

    def scribble(self, box: Box, fill: Colour, width: int) -> None:
        """One line of unreadable handwriting inside `box`."""
        left, top, right, bottom = box
        middle, half = (top + bottom) / 2, (bottom - top) / 2
        path: list[Point] = []
        x = left
        while x < right:
            path.append((x, middle + half * self.rng.uniform(-1, 1) * (1.0 if self.rng.random() < 0.25 else 0.45)))
            x += max(2.0, half * self.rng.uniform(0.25, 0.7))
        if len(path) > 1:
            self.pen.line(path, fill=fill, width=width, joint="curve")


def polygon(centre: Point, radius: float, corners: int, turn: float = 0.0, squash: float = 1.0) -> list[Point]:
    """A regular polygon's corners; `squash` < 1 flattens it as seen at an angle."""
    return [
        (
            centre[0] + radius * math.cos(turn + k * math.tau / corners),
            centre[1] + radius * squash * math.sin(turn + k * math.tau / corners),
        )
        for k in range(corners)
    ]


def blend(first: Colour, second: Colour, share: float) -> Colour:
    """`share` of the second colour mixed into the first."""
    mixed = [round(a + (b - a) * share) for a, b in zip(first, second, strict=True)]
    return mixed[0], mixed[1], mixed[2]
