"""Families on paper and plastic: document pages and identity cards."""

from __future__ import annotations

import math
import random
from typing import Final

from PIL import Image, ImageDraw

from workers.training.drawing.canvas import INK, Box, Canvas, Colour, blend, font, polygon
from workers.training.drawing.screens import bars, curves

WHITE: Final[Colour] = (255, 255, 255)


def document_page(rng: random.Random, size: tuple[int, int]) -> Canvas:
    """A page: letterhead, columns of text, a table, a figure, a signature, a stamp."""
    tone = rng.randint(228, 255)
    canvas = Canvas(rng, size, (tone, tone - rng.randint(0, 6), tone - rng.randint(0, 24)))
    ink = blend(INK, canvas.colour(0.5, 0.4), rng.uniform(0, 0.4))
    margin = canvas.width * rng.uniform(0.06, 0.13)
    top = _letterhead(canvas, margin, ink)
    columns = rng.choice((1, 1, 2, 3))
    width = (canvas.width - 2 * margin) / columns
    for column in range(columns):
        left = margin + column * width
        _column(canvas, (left, top, left + width - canvas.px(2.5), canvas.height - canvas.px(rng.uniform(5, 20))), ink)
    if rng.random() < 0.75:
        _stamp(canvas)
    if rng.random() < 0.6:
        x = rng.uniform(margin, canvas.width * 0.6)
        y = canvas.height - canvas.px(9)
        canvas.scribble((x, y, x + canvas.px(24), y + canvas.px(6)), (20, 30, 130), canvas.px(0.4))
    return canvas


def _letterhead(canvas: Canvas, margin: float, ink: Colour) -> float:
    rng = canvas.rng
    accent = canvas.colour(0.7, rng.uniform(0.35, 0.8))
    height = canvas.px(rng.uniform(8, 20))
    side = rng.choice((0.0, 0.5, 1.0))
    x = margin + (canvas.width - 2 * margin) * side
    style = rng.randrange(4)
    if style == 0:
        canvas.pen.rectangle((0, 0, canvas.width, height), fill=accent)
    elif style == 1:
        canvas.pen.rectangle((0, 0, canvas.px(rng.uniform(3, 8)), canvas.height), fill=accent)
    elif style == 2:
        canvas.pen.line([(margin, height), (canvas.width - margin, height)], fill=accent, width=canvas.px(0.8))
    head = WHITE if style == 0 else accent
    canvas.pen.polygon(
        polygon((x + (0.5 - side) * height, height * 0.5), height * 0.32, rng.randint(3, 8), rng.random()), fill=head
    )
    canvas.text(
        (x, height * 0.78),
        canvas.words(rng.randint(1, 3)),
        rng.uniform(2.6, 4.4),
        head,
        ("ls", "ms", "rs")[int(side * 2)],
    )
    y = height + canvas.px(3)
    if rng.random() < 0.6:
        for _ in range(rng.randint(2, 5)):
            canvas.text((margin, y), canvas.words(rng.randint(2, 4)), 2, ink)
            y += canvas.px(3)
    canvas.text((margin, y + canvas.px(2)), canvas.words(rng.randint(2, 5)), rng.uniform(2.8, 4.2), ink)
    return y + canvas.px(9)


def _column(canvas: Canvas, box: Box, ink: Colour) -> None:
    left, y, right, bottom = box
    size = canvas.rng.uniform(1.6, 2.3)
    while y < bottom - canvas.px(8):
        height = min(bottom - y, canvas.px(canvas.rng.uniform(8, 30)))
        kind = canvas.rng.random()
        if kind < 0.52:
            indent = (right - left) * canvas.rng.choice((0.0, 0.0, 0.12, 0.3))
            canvas.paragraph((left + indent, y, right, y + height), size, ink, canvas.rng.choice((0.05, 0.5)))
        elif kind < 0.66:
            _picture(canvas, (left, y, right, y + height))
        elif kind < 0.82:
            _ruled_table(canvas, (left, y, right, y + height), ink)
        else:
            canvas.rng.choice((bars, curves))(canvas, (left + canvas.px(2), y, right - canvas.px(2), y + height), ink)
        y += height + canvas.px(2.5)


def _picture(canvas: Canvas, box: Box) -> None:
    rng, (left, top, right, bottom) = canvas.rng, box
    x0 = left + (right - left) * rng.choice((0.0, 0.0, 0.4))
    x1 = right - (right - left) * rng.choice((0.0, 0.0, 0.4))
    canvas.gradient(
        canvas.colour(0.5, rng.uniform(0.5, 1.0)), canvas.colour(0.5, rng.uniform(0.2, 0.7)), box=(x0, top, x1, bottom)
    )
    for _ in range(rng.randint(1, 4)):
        at = (rng.uniform(x0, x1), rng.uniform(top, bottom))
        radius = min(x1 - x0, bottom - top) * rng.uniform(0.1, 0.35)
        centre = (min(max(at[0], x0 + radius), x1 - radius), min(max(at[1], top + radius), bottom - radius))
        canvas.pen.polygon(
            polygon(centre, radius, rng.randint(3, 12), rng.random()), fill=canvas.colour(0.6, rng.uniform(0.3, 1.0))
        )


def _ruled_table(canvas: Canvas, box: Box, ink: Colour) -> None:
    left, top, right, bottom = box
    columns, rows = canvas.rng.randint(2, 5), max(2, int((bottom - top) / canvas.px(3.6)))
    if canvas.rng.random() < 0.5:
        canvas.pen.rectangle((left, top, right, top + (bottom - top) / rows), fill=canvas.colour(0.4, 0.85))
    for row in range(rows + 1):
        y = top + (bottom - top) * row / rows
        canvas.pen.line([(left, y), (right, y)], fill=ink, width=canvas.px(0.2))
    for column in range(columns + 1):
        x = left + (right - left) * column / columns
        canvas.pen.line([(x, top), (x, bottom)], fill=ink, width=canvas.px(0.2))
        for row in range(rows if column < columns else 0):
            if canvas.rng.random() < 0.85:
                canvas.text(
                    (x + canvas.px(0.6), top + (bottom - top) * (row + 0.5) / rows), canvas.word(1), 1.8, ink, "lm"
                )


def _stamp(canvas: Canvas) -> None:
    rng = canvas.rng
    side = canvas.px(rng.uniform(14, 24))
    layer = Image.new("L", (side, side), 0)
    pen = ImageDraw.Draw(layer)
    line = max(2, side // 24)
    if rng.random() < 0.5:
        pen.ellipse((2, 2, side - 3, side - 3), outline=255, width=line)
        pen.ellipse((side * 0.14, side * 0.14, side * 0.86, side * 0.86), outline=255, width=max(1, line // 2))
    else:
        pen.rectangle((2, side * 0.28, side - 3, side * 0.72), outline=255, width=line)
    pen.text((side / 2, side / 2), canvas.word().upper(), fill=255, font=font(max(8, side // 6)), anchor="mm")
    turned = layer.rotate(rng.uniform(-35, 35), Image.Resampling.BILINEAR).point(lambda v: v * 0.8)
    at = (round(rng.uniform(0.05, 0.75) * canvas.width), round(rng.uniform(0.3, 0.85) * canvas.height))
    canvas.image.paste(rng.choice(((180, 30, 40), (30, 50, 160), (30, 110, 60), (90, 40, 120))), at, turned)


def identity_card(rng: random.Random, size: tuple[int, int]) -> Canvas:
    """A card, light or dark, with guilloche lines, a drawn face, fields, a seal, sometimes a machine-readable strip."""
    canvas = Canvas(rng, size, (200, 200, 200))
    dark = rng.random() < 0.35
    low, high = (0.12, 0.5) if dark else (0.7, 1.0)
    first = canvas.colour(rng.uniform(0.1, 0.5), rng.uniform(low, high), 0.2)
    canvas.gradient(first, canvas.colour(rng.uniform(0.1, 0.7), rng.uniform(low, high)), horizontal=rng.random() < 0.5)
    _emblem(canvas)
    _guilloche(canvas)
    ink = WHITE if dark else INK
    accent = canvas.colour(0.8, 0.95 if dark else rng.uniform(0.3, 0.65), 0.6)
    left, top, right, bottom = _title_bar(canvas, accent)
    if rng.random() < 0.45:
        bottom -= canvas.px(12)
        for row in range(2):
            code = "".join(rng.choice("ABCDEFGHKLMNPRSTUVXYZ0123456789<<<<") for _ in range(36))
            canvas.text((left + canvas.px(3), bottom + canvas.px(1 + 5 * row)), code, 3.8, ink)
    width, height = right - left, bottom - top
    wide = width * rng.uniform(0.2, 0.38)
    tall = min(height - canvas.px(4), wide * rng.uniform(1.05, 1.5))
    x = left + rng.choice((0.03, 0.97, rng.random())) * (width - wide)
    y = top + rng.random() * max(1.0, height - tall)
    _face(canvas, (x, y, x + wide, y + tall))
    spans = [span for span in ((left, x), (x + wide, right)) if span[1] - span[0] > width * 0.24]
    for span in spans:
        _fields(canvas, (span[0] + canvas.px(3), top + canvas.px(2), span[1], bottom), accent, ink)
    _seal(canvas, accent)
    return canvas


def _title_bar(canvas: Canvas, accent: Colour) -> Box:
    """Paints a bar along one edge and returns what is left of the card."""
    rng, width, height = canvas.rng, canvas.width, canvas.height
    bar = canvas.px(rng.uniform(6, 17))
    edge = rng.choice(("top", "top", "bottom", "left", "right"))
    bars: dict[str, tuple[Box, Box]] = {
        "top": ((0, 0, width, bar), (0, bar, width, height)),
        "bottom": ((0, height - bar, width, height), (0, 0, width, height - bar)),
        "left": ((0, 0, bar, height), (bar, 0, width, height)),
        "right": ((width - bar, 0, width, height), (0, 0, width - bar, height)),
    }
    box, rest = bars[edge]
    canvas.pen.rectangle(box, fill=accent)
    if edge in {"top", "bottom"}:
        at = (width * rng.choice((0.3, 0.5, 0.7)), (box[1] + box[3]) / 2)
        canvas.text(at, canvas.words(2).upper(), 4.4, WHITE if sum(accent) < 450 else INK, "mm")
    return rest


def _emblem(canvas: Canvas) -> None:
    rng = canvas.rng
    for _ in range(rng.randint(0, 4)):
        at = (rng.random() * canvas.width, rng.random() * canvas.height)
        shape = polygon(at, canvas.px(rng.uniform(12, 50)), rng.randint(3, 9), rng.random() * 6)
        canvas.pen.polygon(shape, fill=canvas.colour(rng.uniform(0.2, 0.6), rng.uniform(0.35, 0.95), 0.5))


def _fields(canvas: Canvas, box: Box, accent: Colour, ink: Colour) -> None:
    left, y, right, bottom = box
    columns = canvas.rng.randint(1, 2) if right - left > canvas.width * 0.45 else 1
    step, size = canvas.px(canvas.rng.uniform(6, 11)), canvas.rng.uniform(2.6, 4.0)
    while y + step < bottom:
        for column in range(columns):
            x = left + (right - left) * column / columns
            if canvas.rng.random() < 0.85:
                canvas.text((x, y), canvas.word().upper(), 1.9, blend(accent, ink, 0.3))
                canvas.text((x, y + canvas.px(2.2)), canvas.words(canvas.rng.randint(1, 2)), size, ink)
        y += step


def _guilloche(canvas: Canvas) -> None:
    rng = canvas.rng
    tone = canvas.colour(0.4, 0.75)
    amplitude, period, phase = rng.uniform(0.03, 0.3), rng.uniform(0.6, 3), rng.uniform(0.02, 0.5)
    for k in range(rng.randint(8, 20)):
        shift = k * phase
        points = [
            (
                x,
                canvas.height
                * (0.5 + (k - 8) / 18 + amplitude * math.sin(x / canvas.width * math.tau * period + shift)),
            )
            for x in range(0, canvas.width + 16, 16)
        ]
        canvas.pen.line(points, fill=tone, width=canvas.px(0.2))


def _face(canvas: Canvas, box: Box) -> None:
    left, top, right, bottom = (round(edge) for edge in box)
    portrait = Canvas(canvas.rng, (max(8, right - left), max(8, bottom - top)), WHITE)
    _portrait(portrait)
    canvas.image.paste(portrait.image, (left, top))
    canvas.pen.rectangle((left, top, right, bottom), outline=WHITE, width=canvas.px(0.6))


def _portrait(canvas: Canvas) -> None:
    rng, w, h = canvas.rng, canvas.width, canvas.height
    canvas.gradient(canvas.colour(0.3, 0.9), canvas.colour(0.4, 0.6))
    skin = rng.choice(((244, 208, 178), (224, 172, 132), (176, 120, 84), (120, 78, 54), (250, 222, 200)))
    hair = rng.choice(((30, 24, 20), (90, 56, 30), (200, 160, 80), (150, 150, 150), (140, 50, 30)))
    x, y, r = w * rng.uniform(0.42, 0.58), h * rng.uniform(0.36, 0.46), w * rng.uniform(0.2, 0.27)
    canvas.pen.ellipse((x - r * 2.0, y + r * 1.3, x + r * 2.0, h * 1.3), fill=canvas.colour(0.6, 0.6))
    length = rng.uniform(0.9, 2.4)
    canvas.pen.ellipse((x - r * 1.25, y - r * 1.6, x + r * 1.25, y + r * length), fill=hair)
    canvas.pen.rectangle((x - r * 0.4, y + r * 0.8, x + r * 0.4, y + r * 1.8), fill=blend(skin, INK, 0.1))
    canvas.pen.ellipse((x - r, y - r * 1.2, x + r, y + r * 1.3), fill=skin)
    for side in (-0.42, 0.42):
        canvas.pen.ellipse((x + side * r - r * 0.13, y - r * 0.2, x + side * r + r * 0.13, y), fill=INK)
    canvas.pen.arc(
        (x - r * 0.5, y + r * 0.2, x + r * 0.5, y + r * 0.8), 20, 160, fill=(150, 50, 50), width=max(1, w // 40)
    )


def _seal(canvas: Canvas, accent: Colour) -> None:
    at = (canvas.width * canvas.rng.uniform(0.45, 0.92), canvas.height * canvas.rng.uniform(0.3, 0.75))
    radius = canvas.px(canvas.rng.uniform(5, 10))
    corners = canvas.rng.randint(5, 16)
    for scale in (1.0, 0.75, 0.45):
        tone = blend(accent, canvas.colour(0.6, 0.95), canvas.rng.random())
        canvas.pen.polygon(
            polygon(at, radius * scale, corners, canvas.rng.random()), outline=tone, width=canvas.px(0.5)
        )
