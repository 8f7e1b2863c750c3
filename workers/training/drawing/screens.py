"""Families seen on screens: flow diagrams, dashboards, user interfaces."""

from __future__ import annotations

import random
from itertools import pairwise
from typing import Final

from workers.training.drawing.canvas import INK, Box, Canvas, Colour, Point, blend, polygon

WHITE: Final[Colour] = (255, 255, 255)


def flow_diagram(rng: random.Random, size: tuple[int, int]) -> Canvas:
    """Layers of shaped nodes joined by arrows, some grouped in tinted containers."""
    dark = rng.random() < 0.2
    paper: Colour = (34, 38, 48) if dark else rng.choice((WHITE, (247, 248, 250), (252, 246, 232), (232, 242, 246)))
    ink: Colour = (220, 224, 232) if dark else (50, 54, 64)
    canvas = Canvas(rng, size, paper)
    layers, across = rng.randint(3, 6), rng.random() < 0.5
    _containers(canvas, paper, ink)
    rows: list[list[Point]] = []
    for layer in range(layers):
        count = rng.randint(1, 4)
        along = (layer + 0.5) / layers
        spots = [((k + 0.5) / count + rng.uniform(-0.08, 0.08), along) for k in range(count)]
        rows.append(
            [
                (y * canvas.width, x * canvas.height) if across else (x * canvas.width, y * canvas.height)
                for x, y in spots
            ]
        )
    width = canvas.px(rng.uniform(0.3, 0.7))
    for upper, lower in pairwise(rows):
        for start in upper:
            for end in rng.sample(lower, rng.randint(1, min(2, len(lower)))):
                canvas.arrow(start, blend_point(start, end, 0.68), ink, width)
                canvas.pen.line([start, end], fill=ink, width=width)
    spread = rng.choice((0.15, 1.0))
    scale = rng.uniform(0.8, 1.25)
    for row in rows:
        for at in row:
            _node(canvas, at, scale, canvas.colour(rng.uniform(0.25, 0.8), rng.uniform(0.6, 0.95), spread), ink)
    canvas.text((canvas.px(2), canvas.px(2)), canvas.words(rng.randint(2, 4)), 3.4, ink)
    return canvas


def blend_point(start: Point, end: Point, share: float) -> Point:
    """The point `share` of the way from start to end."""
    return start[0] + (end[0] - start[0]) * share, start[1] + (end[1] - start[1]) * share


def _containers(canvas: Canvas, paper: Colour, ink: Colour) -> None:
    for _ in range(canvas.rng.randint(0, 3)):
        x, y = canvas.rng.uniform(0.02, 0.5) * canvas.width, canvas.rng.uniform(0.05, 0.5) * canvas.height
        w, h = canvas.rng.uniform(0.25, 0.5) * canvas.width, canvas.rng.uniform(0.25, 0.48) * canvas.height
        fill = blend(paper, canvas.colour(0.5, 0.9), 0.25)
        canvas.pen.rounded_rectangle((x, y, x + w, y + h), canvas.px(2), fill=fill, outline=ink, width=canvas.px(0.25))
        canvas.text((x + canvas.px(1), y + canvas.px(1)), canvas.word(), 2.2, ink)


def _node(canvas: Canvas, at: Point, scale: float, fill: Colour, ink: Colour) -> None:
    w, h = canvas.px(canvas.rng.uniform(8, 12) * scale), canvas.px(canvas.rng.uniform(4, 7) * scale)
    x, y = at
    box, line = (x - w, y - h, x + w, y + h), canvas.px(0.4)
    kind = canvas.rng.randrange(5)
    if kind == 0:
        canvas.pen.rectangle(box, fill=fill, outline=ink, width=line)
    elif kind == 1:
        canvas.pen.rounded_rectangle(box, h * 0.5, fill=fill, outline=ink, width=line)
    elif kind == 2:
        canvas.pen.polygon(
            [(x - w, y), (x, y - h * 1.3), (x + w, y), (x, y + h * 1.3)], fill=fill, outline=ink, width=line
        )
    elif kind == 3:
        canvas.pen.ellipse(box, fill=fill, outline=ink, width=line)
    else:
        canvas.pen.rectangle((x - w, y - h * 0.7, x + w, y + h * 0.7), fill=fill)
        canvas.pen.ellipse((x - w, y + h * 0.3, x + w, y + h * 1.1), fill=fill, outline=ink, width=line)
        canvas.pen.ellipse(
            (x - w, y - h * 1.1, x + w, y - h * 0.3), fill=blend(fill, WHITE, 0.3), outline=ink, width=line
        )
    dark_fill = sum(fill) < 330
    canvas.text(at, canvas.word(), 2.3 * scale, WHITE if dark_fill else INK, "mm")


def dashboard(rng: random.Random, size: tuple[int, int]) -> Canvas:
    """Panels of figures, bars, curves, rings and heat maps in a random grid."""
    dark = rng.random() < 0.4
    paper: Colour = (24, 28, 38) if dark else rng.choice(((238, 240, 244), (250, 250, 250), (226, 232, 238)))
    panel: Colour = (36, 42, 56) if dark else WHITE
    ink: Colour = (214, 220, 230) if dark else (54, 60, 72)
    canvas = Canvas(rng, size, paper)
    top = canvas.px(rng.choice((0, 6, 9)))
    if top > 1:
        canvas.pen.rectangle((0, 0, canvas.width, top), fill=canvas.colour(0.6, 0.5, 0.2))
        canvas.text((canvas.px(2), top / 2), canvas.words(3), 3, WHITE, "lm")
    rows = rng.randint(1, 4)
    cuts = _cuts(rng, rows)
    for upper, lower in pairwise(cuts):
        columns = _cuts(rng, rng.randint(1, 4))
        for left, right in pairwise(columns):
            gap = canvas.px(1)
            box = (
                left * canvas.width + gap,
                top + upper * (canvas.height - top) + gap,
                right * canvas.width - gap,
                top + lower * (canvas.height - top) - gap,
            )
            if box[2] - box[0] > 4 * gap and box[3] - box[1] > 4 * gap:
                canvas.pen.rounded_rectangle(box, gap, fill=panel)
                _panel(canvas, box, ink)
    return canvas


def _cuts(rng: random.Random, parts: int) -> list[float]:
    weights = [rng.uniform(0.6, 2.0) for _ in range(parts)]
    total = sum(weights)
    edges = [0.0]
    for weight in weights:
        edges.append(edges[-1] + weight / total)
    return edges


def _panel(canvas: Canvas, box: Box, ink: Colour) -> None:
    pad = canvas.px(1.5)
    canvas.text((box[0] + pad, box[1] + pad), canvas.words(2), 2.1, ink)
    inner = (box[0] + pad, box[1] + canvas.px(5), box[2] - pad, box[3] - pad)
    if inner[2] - inner[0] < pad * 3 or inner[3] - inner[1] < pad * 3:
        return
    canvas.rng.choice((bars, bars, curves, curves, ring, heat, figure))(canvas, inner, ink)


def bars(canvas: Canvas, box: Box, ink: Colour) -> None:
    """A bar chart, upright or lying."""
    rng, (left, top, right, bottom) = canvas.rng, box
    count, lying = rng.randint(3, 14), rng.random() < 0.3
    fill, many = canvas.colour(0.65, 0.85), rng.random() < 0.4
    for k in range(count):
        a, b, value = k / count, (k + rng.uniform(0.55, 0.9)) / count, rng.uniform(0.08, 1)
        tone = canvas.colour(0.65, 0.85) if many else fill
        if lying:
            canvas.pen.rectangle(
                (left, top + a * (bottom - top), left + value * (right - left), top + b * (bottom - top)), fill=tone
            )
        else:
            canvas.pen.rectangle(
                (left + a * (right - left), bottom - value * (bottom - top), left + b * (right - left), bottom),
                fill=tone,
            )
    canvas.pen.line([(left, top), (left, bottom), (right, bottom)], fill=ink, width=canvas.px(0.25))


def curves(canvas: Canvas, box: Box, ink: Colour) -> None:
    """One to four curves, sometimes filled."""
    rng, (left, top, right, bottom) = canvas.rng, box
    for k in range(4):
        y = top + (bottom - top) * k / 4
        canvas.pen.line([(left, y), (right, y)], fill=blend(ink, (128, 128, 128), 0.6), width=1)
    for _ in range(rng.randint(1, 4)):
        value, steps = rng.uniform(0.1, 0.9), rng.randint(8, 40)
        swing = rng.uniform(0.05, 0.25)
        points: list[Point] = []
        for k in range(steps + 1):
            value = min(1.0, max(0.02, value + rng.uniform(-swing, swing)))
            points.append((left + (right - left) * k / steps, bottom - value * (bottom - top)))
        tone = canvas.colour(0.7, 0.85)
        if rng.random() < 0.3:
            canvas.pen.polygon([*points, (right, bottom), (left, bottom)], fill=blend(tone, (200, 200, 200), 0.4))
        canvas.pen.line(points, fill=tone, width=canvas.px(0.5), joint="curve")
    canvas.pen.line([(left, top), (left, bottom), (right, bottom)], fill=ink, width=canvas.px(0.25))


def ring(canvas: Canvas, box: Box, ink: Colour) -> None:
    """A pie or ring chart with a legend."""
    rng, (left, top, right, bottom) = canvas.rng, box
    side = min(right - left, bottom - top)
    x, y = left + rng.uniform(0, 1) * (right - left - side), top + rng.uniform(0, 1) * (bottom - top - side)
    angle = rng.uniform(0, 360)
    for share in _cuts(rng, rng.randint(2, 7))[1:]:
        end = angle + share * 360
        canvas.pen.pieslice((x, y, x + side, y + side), angle, end, fill=canvas.colour(0.65, 0.85))
        angle = end if share < 1 else angle
    if rng.random() < 0.5:
        hole = side * rng.uniform(0.2, 0.35)
        canvas.pen.ellipse(
            (x + hole, y + hole, x + side - hole, y + side - hole),
            fill=blend(ink, WHITE if sum(ink) < 380 else INK, 0.9),
        )


def heat(canvas: Canvas, box: Box, ink: Colour) -> None:
    """A heat map of random cells."""
    rng, (left, top, right, bottom) = canvas.rng, box
    columns, rows = rng.randint(5, 14), rng.randint(3, 9)
    low, high = canvas.colour(0.2, 0.95), canvas.colour(0.9, 0.5)
    w, h = (right - left) / columns, (bottom - top) / rows
    for column in range(columns):
        for row in range(rows):
            x, y = left + column * w, top + row * h
            canvas.pen.rectangle((x, y, x + w - 1, y + h - 1), fill=blend(low, high, rng.random() ** 1.5))
    canvas.pen.rectangle(box, outline=ink)


def figure(canvas: Canvas, box: Box, ink: Colour) -> None:
    """One large number with a caption and a small trend."""
    left, top, right, bottom = box
    canvas.text(
        (left, top),
        canvas.number(canvas.rng.randint(2, 4)),
        min(12.0, (bottom - top) / canvas.unit * 0.5),
        canvas.colour(0.7, 0.75),
    )
    canvas.text((left, bottom - canvas.px(3)), canvas.words(3), 2, ink)
    curves(canvas, (left + (right - left) * 0.5, top + (bottom - top) * 0.4, right, bottom), ink)


def user_interface(rng: random.Random, size: tuple[int, int]) -> Canvas:
    """A window or two over a desktop: title bar, side bar, form, table, pictures, dialog."""
    canvas = Canvas(rng, size, (90, 110, 130))
    canvas.gradient(canvas.colour(0.5, 0.7), canvas.colour(0.5, 0.4), horizontal=rng.random() < 0.5)
    full = rng.random() < 0.45
    if full:
        _window(canvas, (0, 0, canvas.width, canvas.height))
    for _ in range(rng.randint(0, 1) if full else rng.randint(2, 3)):
        w, h = canvas.width * rng.uniform(0.5, 0.85), canvas.height * rng.uniform(0.5, 0.85)
        x, y = rng.uniform(0, canvas.width - w), rng.uniform(0, canvas.height - h)
        _window(canvas, (x, y, x + w, y + h))
    return canvas


def _window(canvas: Canvas, box: Box) -> None:
    rng, (left, top, right, bottom) = canvas.rng, box
    dark = rng.random() < 0.3
    body: Colour = (40, 42, 50) if dark else rng.choice((WHITE, (244, 244, 246), (236, 238, 242)))
    ink: Colour = (210, 214, 222) if dark else (60, 64, 72)
    accent = canvas.colour(0.7, rng.uniform(0.4, 0.8), 0.3)
    bar = canvas.px(rng.uniform(3.5, 6))
    canvas.pen.rectangle(box, fill=body, outline=(20, 20, 24), width=canvas.px(0.25))
    canvas.pen.rectangle((left, top, right, top + bar), fill=accent if rng.random() < 0.7 else blend(body, ink, 0.25))
    canvas.text((left + canvas.px(2), top + bar / 2), canvas.words(2), 2.2, WHITE, "lm")
    for k in range(3):
        x = right - canvas.px(2 + 3 * k)
        canvas.pen.ellipse(
            (x - canvas.px(0.9), top + bar / 2 - canvas.px(0.9), x + canvas.px(0.9), top + bar / 2 + canvas.px(0.9)),
            fill=canvas.colour(0.7, 0.9),
        )
    x = left
    if rng.random() < 0.6:
        x = left + (right - left) * rng.uniform(0.16, 0.3)
        canvas.pen.rectangle((left, top + bar, x, bottom), fill=blend(body, accent, rng.uniform(0.1, 0.8)))
        for k in range(rng.randint(4, 12)):
            y = top + bar + canvas.px(2 + 4.2 * k)
            if y < bottom - canvas.px(4):
                canvas.text((left + canvas.px(1.5), y), canvas.word(), 2.1, ink)
    _contents(
        canvas,
        (x + canvas.px(2), top + bar + canvas.px(2), right - canvas.px(2), bottom - canvas.px(2)),
        body,
        ink,
        accent,
    )


def _contents(canvas: Canvas, box: Box, body: Colour, ink: Colour, accent: Colour) -> None:
    rng, (left, top, right, bottom) = canvas.rng, box
    y = top
    while y < bottom - canvas.px(9) and right - left > canvas.px(12):
        height = min(bottom - y, canvas.px(rng.uniform(9, 34)))
        rng.choice((_form, _table, _tiles, _prose, _chart))(canvas, (left, y, right, y + height), body, ink, accent)
        y += height + canvas.px(2)


def _form(canvas: Canvas, box: Box, body: Colour, ink: Colour, accent: Colour) -> None:
    left, top, right, bottom = box
    split = left + (right - left) * canvas.rng.uniform(0.2, 0.45)
    for y in range(round(top), round(bottom) - canvas.px(6), canvas.px(5.5)):
        canvas.text((left, y), canvas.word(), 2.2, ink)
        end = split + (right - split) * canvas.rng.uniform(0.4, 1)
        canvas.pen.rectangle(
            (split, y, end, y + canvas.px(3.6)), fill=blend(body, WHITE, 0.5), outline=ink, width=canvas.px(0.2)
        )
        canvas.text((split + canvas.px(0.8), y + canvas.px(0.6)), canvas.word(3), 2, ink)
    w = canvas.px(canvas.rng.uniform(8, 16))
    canvas.pen.rounded_rectangle((right - w, bottom - canvas.px(4.5), right, bottom), canvas.px(0.8), fill=accent)
    canvas.text((right - w / 2, bottom - canvas.px(2.2)), canvas.word(), 2.2, WHITE, "mm")


def _table(canvas: Canvas, box: Box, body: Colour, ink: Colour, accent: Colour) -> None:
    left, top, right, bottom = box
    edges = _cuts(canvas.rng, canvas.rng.randint(3, 6))
    step = canvas.px(canvas.rng.uniform(3.6, 5))
    for row, y in enumerate(range(round(top), round(bottom) - step, step)):
        fill = accent if row == 0 else blend(body, accent, 0.14 if row % 2 else 0.03)
        canvas.pen.rectangle((left, y, right, y + step), fill=fill)
        for edge in edges[:-1]:
            entry = canvas.word() if canvas.rng.random() < 0.6 else canvas.number(canvas.rng.randint(2, 4))
            canvas.text(
                (left + edge * (right - left) + canvas.px(0.5), y + step / 2),
                entry,
                1.9,
                WHITE if row == 0 else ink,
                "lm",
            )


def _tiles(canvas: Canvas, box: Box, _body: Colour, ink: Colour, _accent: Colour) -> None:
    left, top, right, bottom = box
    count = canvas.rng.randint(2, 6)
    w = (right - left) / count
    for k in range(count):
        x = left + k * w
        canvas.gradient(
            canvas.colour(0.6, 0.9), canvas.colour(0.6, 0.4), box=(x, top, x + w * 0.9, bottom - canvas.px(3))
        )
        shape = polygon(
            (x + w * 0.45, (top + bottom) / 2),
            min(w, bottom - top) * canvas.rng.uniform(0.15, 0.35),
            canvas.rng.randint(3, 9),
            canvas.rng.random(),
        )
        canvas.pen.polygon(shape, fill=canvas.colour(0.4, 1.0))
        canvas.text((x, bottom - canvas.px(2.5)), canvas.word(), 2, ink)


def _prose(canvas: Canvas, box: Box, _body: Colour, ink: Colour, accent: Colour) -> None:
    canvas.text((box[0], box[1]), canvas.words(3), 3.2, accent)
    canvas.paragraph((box[0], box[1] + canvas.px(5), box[2], box[3]), 1.9, ink)


def _chart(canvas: Canvas, box: Box, _body: Colour, ink: Colour, _accent: Colour) -> None:
    canvas.rng.choice((bars, curves, heat))(canvas, box, ink)
