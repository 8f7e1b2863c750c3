"""Families of areas and shades: product renders, posters, maps, abstract compositions."""

from __future__ import annotations

import math
import random
from typing import Final

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from workers.training.drawing.canvas import INK, Canvas, Colour, Point, blend, polygon

WHITE: Final[Colour] = (255, 255, 255)
MASK_SIDE: Final = 192


def product_render(rng: random.Random, size: tuple[int, int]) -> Canvas:
    """Shaded solids with soft shadows on a studio background."""
    canvas = Canvas(rng, size, (230, 230, 230))
    light = canvas.colour(rng.uniform(0, 0.35), rng.uniform(0.75, 1.0))
    canvas.gradient(light, blend(light, INK, rng.uniform(0.1, 0.6)), horizontal=rng.random() < 0.3)
    floor = canvas.height * rng.uniform(0.5, 0.8)
    if rng.random() < 0.6:
        canvas.gradient(canvas.colour(0.2, 0.85), canvas.colour(0.2, 0.55), box=(0, floor, canvas.width, canvas.height))
    for _ in range(rng.randint(2, 6)):
        side = canvas.px(rng.uniform(18, 52))
        at = (rng.uniform(0.15, 0.85) * canvas.width, rng.uniform(0.25, 0.8) * canvas.height)
        _shadow(canvas, at, side)
        _solid(canvas, at, side)
    if rng.random() < 0.4:
        canvas.text(
            (canvas.width * rng.uniform(0.1, 0.9), canvas.px(6)),
            canvas.words(2).upper(),
            rng.uniform(3, 6),
            canvas.colour(0.7, 0.4),
            "mm",
        )
    return canvas


def _shadow(canvas: Canvas, at: Point, side: float) -> None:
    mask = Image.new("L", (48, 24), 0)
    ImageDraw.Draw(mask).ellipse((8, 6, 40, 18), fill=150)
    soft = mask.filter(ImageFilter.GaussianBlur(4)).resize((round(side * 1.6), max(2, round(side * 0.6))))
    canvas.image.paste((20, 20, 26), (round(at[0] - side * 0.8), round(at[1] + side * 0.25)), soft)


def _solid(canvas: Canvas, at: Point, side: float) -> None:
    rng = canvas.rng
    axis = np.linspace(-1, 1, MASK_SIDE, dtype=np.float32)
    x, y = np.meshgrid(axis, axis * np.float32(rng.uniform(0.7, 1.5)))
    kind = rng.randrange(4)
    if kind == 0:
        radius = np.sqrt(x * x + y * y)
        inside, normal = radius < 0.95, np.sqrt(np.clip(1 - radius**2, 0, 1))
        shade = 0.25 + 0.75 * np.clip(normal * 0.6 - x * 0.5 - y * 0.5, 0, 1)
    elif kind == 1:
        inside = (np.abs(x) < 0.6) & (np.abs(y) < 0.9 + 0.08 * np.sqrt(np.clip(1 - (x / 0.6) ** 2, 0, 1)))
        shade = 0.3 + 0.7 * np.cos(np.clip(x / 0.6 + 0.35, -1.5, 1.5))
    elif kind == 2:
        inside = (np.abs(x) + np.abs(y) * 0.6) < 0.9
        shade = np.where(x < 0.15 * y, 0.9, 0.5) + 0.1 * y
    else:
        radius = np.sqrt(x * x + (y * 1.5) ** 2)
        inside = (radius < 0.95) & (radius > rng.uniform(0.3, 0.6))
        shade = 0.4 + 0.5 * np.clip(np.cos((radius - 0.7) * 5) - y * 0.4, 0, 1)
    if rng.random() < 0.5:
        band = np.sin((x * rng.uniform(-1, 1) + y * rng.uniform(-1, 1)) * rng.uniform(3, 16)) > rng.uniform(-0.4, 0.8)
        shade = np.where(band, shade * rng.uniform(0.4, 0.8), shade)
    base, glow = np.array(canvas.colour(0.75, 0.9), np.float32), np.clip(shade - 0.85, 0, 1)[..., None] * 400
    pixels = np.clip(base * shade[..., None] + glow, 0, 255).astype(np.uint8)
    wide, high = max(2, round(side)), max(2, round(side * rng.uniform(0.7, 1.4)))
    turn = rng.uniform(-40, 40)
    solid = Image.fromarray(pixels).resize((wide, high)).rotate(turn, Image.Resampling.BILINEAR)
    mask = Image.fromarray((inside * 255).astype(np.uint8)).resize((wide, high)).rotate(turn, Image.Resampling.BILINEAR)
    canvas.image.paste(solid, (round(at[0] - wide / 2), round(at[1] - high / 2)), mask)


def poster(rng: random.Random, size: tuple[int, int]) -> Canvas:
    """A landscape in flat layers: sky, sun, ridges, trees or towers, a title."""
    canvas = Canvas(rng, size, WHITE)
    canvas.gradient(
        canvas.colour(rng.uniform(0.3, 0.8), rng.uniform(0.3, 1.0)),
        canvas.colour(rng.uniform(0.1, 0.6), rng.uniform(0.7, 1.0)),
    )
    for _ in range(rng.randint(1, 2)):
        radius = canvas.px(rng.uniform(5, 18))
        x, y = rng.uniform(0.1, 0.9) * canvas.width, rng.uniform(0.08, 0.5) * canvas.height
        canvas.pen.ellipse(
            (x - radius, y - radius, x + radius, y + radius), fill=canvas.colour(rng.uniform(0.1, 0.8), 1.0)
        )
    layers = rng.randint(2, 5)
    near = canvas.colour(0.6, rng.uniform(0.1, 0.4), 0.6)
    far = canvas.colour(0.4, rng.uniform(0.6, 0.9), 0.6)
    base = rng.uniform(0.35, 0.6)
    for layer in range(layers):
        fill = blend(far, near, layer / max(1, layers - 1))
        level = canvas.height * (base + (0.95 - base) * layer / layers)
        points = _ridge(canvas, level, canvas.height * rng.uniform(0.05, 0.28))
        canvas.pen.polygon([(0, canvas.height), *points, (canvas.width, canvas.height)], fill=fill)
        if rng.random() < 0.65:
            _stand(canvas, points, blend(fill, INK, rng.uniform(0.1, 0.5)))
    if rng.random() < 0.8:
        y = canvas.height * rng.choice((0.08, 0.12, 0.9, 0.5))
        canvas.text(
            (canvas.width * rng.choice((0.5, 0.3, 0.7)), y),
            canvas.words(rng.randint(1, 3)).upper(),
            rng.uniform(5, 11),
            rng.choice((WHITE, INK, far)),
            "mm",
        )
    return canvas


def _ridge(canvas: Canvas, level: float, height: float) -> list[Point]:
    rng = canvas.rng
    waves = [(rng.uniform(0.5, 6), rng.uniform(0, math.tau), rng.uniform(0.2, 1)) for _ in range(4)]
    jagged = rng.choice((0.0, 0.0, 0.35))
    points: list[Point] = []
    for k in range(41):
        t = k / 40
        swing = sum(a * math.sin(t * math.tau * f + p) for f, p, a in waves) / 2 + jagged * rng.uniform(-1, 1)
        points.append((t * canvas.width, level - height * swing * 0.6))
    return points


def _stand(canvas: Canvas, ground: list[Point], fill: Colour) -> None:
    rng = canvas.rng
    tower, scale = rng.random() < 0.35, rng.uniform(0.6, 1.6)
    for x, y in rng.sample(ground, rng.randint(4, 16)):
        h, w = canvas.px(rng.uniform(5, 16) * scale), canvas.px(rng.uniform(2, 5) * scale)
        if tower:
            canvas.pen.rectangle((x - w, y - h, x + w, y + h), fill=fill)
            for k in range(3):
                canvas.pen.rectangle(
                    (x - w * 0.6, y - h * (0.85 - 0.28 * k), x + w * 0.6, y - h * (0.75 - 0.28 * k)),
                    fill=(250, 224, 130),
                )
        elif scale > 1.1:
            canvas.pen.rectangle((x - w * 0.15, y - h * 0.4, x + w * 0.15, y + h * 0.2), fill=INK)
            canvas.pen.ellipse((x - w, y - h, x + w, y - h * 0.3), fill=fill)
        else:
            canvas.pen.polygon([(x - w, y + h * 0.1), (x, y - h), (x + w, y + h * 0.1)], fill=fill)


def street_map(rng: random.Random, size: tuple[int, int]) -> Canvas:
    """Water, parks, blocks, two orders of roads, labels, pins."""
    land = rng.choice(((242, 239, 230), (232, 236, 226), (38, 44, 56), (250, 244, 228)))
    canvas = Canvas(rng, size, land)
    dark = sum(land) < 300
    for _ in range(rng.randint(2, 6)):
        at = (rng.random() * canvas.width, rng.random() * canvas.height)
        ring = [
            (x + canvas.px(rng.uniform(-4, 4)), y + canvas.px(rng.uniform(-4, 4)))
            for x, y in polygon(at, canvas.px(rng.uniform(8, 24)), 11)
        ]
        canvas.pen.polygon(ring, fill=blend((176, 214, 160), land, 0.5 if dark else 0.1))
    water = blend((150, 196, 226), land, 0.55 if dark else 0.0)
    canvas.pen.line(_course(canvas), fill=water, width=canvas.px(rng.uniform(4, 16)), joint="curve")
    angle, step = rng.uniform(0, math.pi / 2), canvas.px(rng.uniform(7, 14))
    minor = (78, 86, 100) if dark else WHITE
    reach = canvas.width + canvas.height
    for turn in (angle, angle + math.pi / 2 + rng.uniform(-0.3, 0.3)):
        dx, dy = math.cos(turn), math.sin(turn)
        for k in range(-16, 17):
            if rng.random() < 0.75:
                x = canvas.width / 2 - dy * (k + rng.uniform(-0.25, 0.25)) * step
                y = canvas.height / 2 + dx * (k + rng.uniform(-0.25, 0.25)) * step
                canvas.pen.line(
                    [(x - dx * reach, y - dy * reach), (x + dx * reach, y + dy * reach)],
                    fill=minor,
                    width=canvas.px(0.9),
                )
    for _ in range(rng.randint(2, 4)):
        course, tone = _course(canvas), rng.choice(((250, 200, 90), (240, 150, 90), (230, 110, 120)))
        canvas.pen.line(course, fill=blend(tone, INK, 0.35), width=canvas.px(2.2), joint="curve")
        canvas.pen.line(course, fill=tone, width=canvas.px(1.6), joint="curve")
    for _ in range(rng.randint(6, 14)):
        at = (rng.random() * canvas.width, rng.random() * canvas.height)
        canvas.text(
            at, canvas.word().capitalize(), rng.uniform(1.8, 3.4), (220, 224, 232) if dark else (70, 70, 80), "mm"
        )
    for _ in range(rng.randint(1, 5)):
        _pin(canvas)
    return canvas


def _course(canvas: Canvas) -> list[Point]:
    rng = canvas.rng
    across = rng.random() < 0.5
    value, points = rng.uniform(0.15, 0.85), []
    drift = rng.uniform(-0.06, 0.06)
    for k in range(13):
        t = k / 12
        points.append(
            (t * canvas.width, value * canvas.height) if across else (value * canvas.width, t * canvas.height)
        )
        value += drift + rng.uniform(-0.05, 0.05)
    return points


def _pin(canvas: Canvas) -> None:
    x, y, r = canvas.rng.random() * canvas.width, canvas.rng.random() * canvas.height, canvas.px(2.4)
    fill = canvas.colour(0.85, 0.85)
    canvas.pen.polygon([(x - r * 0.9, y - r * 1.6), (x + r * 0.9, y - r * 1.6), (x, y)], fill=fill)
    canvas.pen.ellipse((x - r, y - r * 3, x + r, y - r), fill=fill)
    canvas.pen.ellipse((x - r * 0.4, y - r * 2.4, x + r * 0.4, y - r * 1.6), fill=WHITE)


def abstract(rng: random.Random, size: tuple[int, int]) -> Canvas:
    """A composition of flat shapes: rectangles, discs, stripes, strokes, in one of several palettes."""
    canvas = Canvas(rng, size, WHITE)
    spread = rng.choice((0.2, 0.6, 1.0))
    saturation, value = rng.uniform(0.2, 0.9), rng.uniform(0.6, 1.0)
    canvas.gradient(
        canvas.colour(saturation * 0.5, value, spread), canvas.colour(saturation * 0.5, value * 0.7, spread)
    )
    shapes = [rng.choice((_disc, _slab, _stripes, _blob, _stroke)) for _ in range(rng.randint(1, 3))]
    for _ in range(rng.randint(8, 26)):
        fill = canvas.colour(saturation * rng.uniform(0.6, 1.3), rng.uniform(0.15, 1.0), spread)
        at = (rng.random() * canvas.width, rng.random() * canvas.height)
        rng.choice(shapes)(canvas, at, canvas.px(rng.uniform(4, 34)), fill)
    return canvas


def _disc(canvas: Canvas, at: Point, side: float, fill: Colour) -> None:
    half = side / 2
    box = (at[0] - half, at[1] - half, at[0] + half, at[1] + half)
    if canvas.rng.random() < 0.6:
        canvas.pen.ellipse(box, fill=fill)
    else:
        canvas.pen.ellipse(box, outline=fill, width=canvas.px(canvas.rng.uniform(0.5, 3)))


def _slab(canvas: Canvas, at: Point, side: float, fill: Colour) -> None:
    w, h = side * canvas.rng.uniform(0.3, 1.6), side * canvas.rng.uniform(0.3, 1.6)
    outline = INK if canvas.rng.random() < 0.3 else None
    canvas.pen.rectangle(
        (at[0] - w / 2, at[1] - h / 2, at[0] + w / 2, at[1] + h / 2), fill=fill, outline=outline, width=canvas.px(0.8)
    )


def _stripes(canvas: Canvas, at: Point, side: float, fill: Colour) -> None:
    angle, gap = canvas.rng.uniform(0, math.pi), canvas.px(canvas.rng.uniform(1.5, 4))
    dx, dy = math.cos(angle) * side, math.sin(angle) * side
    for k in range(-3, 4):
        x, y = at[0] - math.sin(angle) * gap * k, at[1] + math.cos(angle) * gap * k
        canvas.pen.line([(x - dx, y - dy), (x + dx, y + dy)], fill=fill, width=max(1, gap // 2))


def _blob(canvas: Canvas, at: Point, side: float, fill: Colour) -> None:
    corners = polygon(at, side * 0.6, canvas.rng.randint(3, 9), canvas.rng.random() * 6)
    shaken = [
        (x + canvas.rng.uniform(-0.25, 0.25) * side, y + canvas.rng.uniform(-0.25, 0.25) * side) for x, y in corners
    ]
    canvas.pen.polygon(shaken, fill=fill)


def _stroke(canvas: Canvas, at: Point, side: float, fill: Colour) -> None:
    points = [at]
    for _ in range(canvas.rng.randint(3, 7)):
        points.append(
            (points[-1][0] + canvas.rng.uniform(-1, 1) * side, points[-1][1] + canvas.rng.uniform(-1, 1) * side)
        )
    canvas.pen.line(points, fill=fill, width=canvas.px(canvas.rng.uniform(0.6, 4)), joint="curve")
