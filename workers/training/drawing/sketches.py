"""Families of line work: whiteboards, exploded parts, floor plans, flow diagrams, circuits."""

from __future__ import annotations

import math
import random
from itertools import pairwise
from typing import Final

from workers.training.drawing.canvas import INK, Box, Canvas, Colour, Point, blend, polygon

MARKERS: Final[tuple[Colour, ...]] = (
    (24, 28, 34),
    (20, 60, 170),
    (190, 30, 36),
    (20, 120, 60),
    (230, 120, 20),
    (110, 40, 150),
)
PAPERS: Final[tuple[Colour, ...]] = ((250, 250, 247), (244, 240, 226), (228, 234, 240), (255, 255, 255))


def whiteboard(rng: random.Random, size: tuple[int, int]) -> Canvas:
    """Marker sketches, notes and arrows on a board lit from one side."""
    canvas = Canvas(rng, size, (240, 240, 240))
    light, dark = rng.randint(232, 254), rng.randint(196, 228)
    tint = rng.randint(-8, 8)
    canvas.gradient(
        (light, light, min(255, light + tint)), (dark, dark, max(0, dark + tint)), horizontal=rng.random() < 0.6
    )
    for _ in range(rng.randint(9, 17)):
        x, y = rng.uniform(0.03, 0.75) * canvas.width, rng.uniform(0.03, 0.75) * canvas.height
        w, h = rng.uniform(0.12, 0.42) * canvas.width, rng.uniform(0.1, 0.36) * canvas.height
        rng.choice((_sketch_box, _sketch_notes, _sketch_graph, _sketch_round, _sticky, _sketch_arrow))(
            canvas, (x, y, x + w, y + h)
        )
    return canvas


def _marker(canvas: Canvas) -> tuple[Colour, int]:
    return canvas.rng.choice(MARKERS), canvas.px(canvas.rng.uniform(0.4, 1.0))


def _sketch_box(canvas: Canvas, box: Box) -> None:
    colour, width = _marker(canvas)
    left, top, right, bottom = box
    canvas.wobble([(left, top), (right, top), (right, bottom), (left, bottom), (left, top)], colour, width)
    for row in range(canvas.rng.randint(1, 3)):
        y = top + (row + 1) * (bottom - top) / 4
        canvas.scribble(
            (left + canvas.px(2), y - canvas.px(1.2), right - canvas.px(2), y + canvas.px(1.2)), colour, width
        )
    if canvas.rng.random() < 0.4:
        for step in range(6):
            x = left + (right - left) * step / 6
            canvas.wobble([(x, bottom), (x + (right - left) / 6, top)], colour, max(1, width // 2))


def _sketch_notes(canvas: Canvas, box: Box) -> None:
    colour, width = _marker(canvas)
    left, top, right, bottom = box
    step = canvas.px(canvas.rng.uniform(3, 6))
    for y in range(round(top), round(bottom), step):
        end = right - canvas.rng.random() * (right - left) * 0.5
        canvas.scribble((left, y, end, y + step * 0.55), colour, width)


def _sketch_graph(canvas: Canvas, box: Box) -> None:
    colour, width = _marker(canvas)
    left, top, right, bottom = box
    canvas.wobble([(left, top), (left, bottom), (right, bottom)], INK, width)
    for _ in range(canvas.rng.randint(1, 3)):
        points = [(left + (right - left) * k / 6, canvas.rng.uniform(top, bottom)) for k in range(7)]
        canvas.wobble(points, canvas.rng.choice(MARKERS), width)
    canvas.scribble((left, top - canvas.px(4), (left + right) / 2, top - canvas.px(1)), colour, width)


def _sketch_round(canvas: Canvas, box: Box) -> None:
    colour, width = _marker(canvas)
    centre = ((box[0] + box[2]) / 2, (box[1] + box[3]) / 2)
    radius = (box[2] - box[0]) / 2.4
    ring = polygon(centre, radius, 14, canvas.rng.random(), canvas.rng.uniform(0.5, 1))
    canvas.wobble([*ring, ring[0]], colour, width)
    for spoke in canvas.rng.sample(ring, canvas.rng.randint(2, 6)):
        canvas.wobble([centre, spoke], canvas.rng.choice(MARKERS), width)


def _sticky(canvas: Canvas, box: Box) -> None:
    side = min(box[2] - box[0], box[3] - box[1])
    fill = canvas.rng.choice(((250, 230, 90), (250, 160, 180), (150, 220, 250), (170, 230, 140), (255, 190, 110)))
    corners = polygon(
        (box[0] + side / 2, box[1] + side / 2), side * 0.66, 4, math.pi / 4 + canvas.rng.uniform(-0.2, 0.2)
    )
    canvas.pen.polygon(corners, fill=fill)
    _sketch_notes(canvas, (box[0] + side * 0.15, box[1] + side * 0.2, box[0] + side * 0.8, box[1] + side * 0.8))


def _sketch_arrow(canvas: Canvas, box: Box) -> None:
    colour, width = _marker(canvas)
    start, end = (
        ((box[0], box[1]), (box[2], box[3])) if canvas.rng.random() < 0.5 else ((box[2], box[1]), (box[0], box[3]))
    )
    middle = ((start[0] + end[0]) / 2 + canvas.px(6), (start[1] + end[1]) / 2 - canvas.px(5))
    canvas.wobble([start, middle, end], colour, width)
    canvas.head(middle, end, colour, 3.5)


def exploded_parts(rng: random.Random, size: tuple[int, int]) -> Canvas:
    """Engineering sheet: frame, title block, one to three rows of parts on their axes, balloons, detail views."""
    blueprint = rng.random() < 0.3
    paper = rng.choice(PAPERS)
    canvas = Canvas(rng, size, paper)
    ink: Colour = blend(INK, canvas_tone(rng), 0.25)
    if blueprint:
        paper, ink = canvas.colour(rng.uniform(0.4, 0.85), rng.uniform(0.25, 0.5)), (224, 234, 250)
        canvas.background = paper
        canvas.pen.rectangle((0, 0, *size), fill=paper)
    thin, margin = canvas.px(0.25), canvas.px(2.5)
    for _ in range(rng.randint(0, 3)):
        _detail_view(canvas, ink, paper)
    rows = rng.choice((1, 1, 2, 3))
    for row in range(rows):
        centre = (canvas.width * rng.uniform(0.3, 0.7), canvas.height * (row + rng.uniform(0.4, 0.6)) / rows)
        _axis_of_parts(canvas, centre, rng.uniform(0.6, 1.0) / math.sqrt(rows), ink, paper)
    canvas.pen.rectangle(
        (margin, margin, canvas.width - margin, canvas.height - margin), outline=ink, width=canvas.px(0.6)
    )
    _title_block(canvas, ink, thin)
    return canvas


def _axis_of_parts(canvas: Canvas, centre: Point, scale: float, ink: Colour, paper: Colour) -> None:
    rng = canvas.rng
    angle = rng.uniform(-0.8, 0.8) + (math.pi / 2 if rng.random() < 0.35 else 0)
    across, along = abs(math.cos(angle)), abs(math.sin(angle))
    reach = min(canvas.width / max(0.35, across), canvas.height / max(0.35, along)) * 0.45 * scale
    axis = (math.cos(angle), math.sin(angle))
    ends = [(centre[0] + axis[0] * reach * s, centre[1] + axis[1] * reach * s) for s in (-1.1, 1.1)]
    canvas.dashed(ends[0], ends[1], ink, canvas.px(0.25))
    count = rng.randint(3, 8)
    for index in range(count):
        t = (index + rng.uniform(0.2, 0.8)) / count * 2 - 1
        at = (centre[0] + axis[0] * reach * t, centre[1] + axis[1] * reach * t)
        _part(canvas, at, min(reach / count, canvas.px(14)) * rng.uniform(0.7, 2.4), ink, paper, angle)
        _balloon(canvas, at, index + 1, ink, canvas.px(0.25))


def _detail_view(canvas: Canvas, ink: Colour, paper: Colour) -> None:
    rng, radius = canvas.rng, canvas.px(canvas.rng.uniform(9, 17))
    at = (rng.uniform(0.15, 0.85) * canvas.width, rng.uniform(0.15, 0.85) * canvas.height)
    fill = blend(paper, canvas.colour(0.6, 0.8), rng.choice((0.1, 0.4, 0.7)))
    box = (at[0] - radius, at[1] - radius, at[0] + radius, at[1] + radius)
    if rng.random() < 0.5:
        canvas.pen.ellipse(box, fill=fill, outline=ink, width=canvas.px(0.5))
    else:
        canvas.pen.rectangle(box, fill=fill, outline=ink, width=canvas.px(0.5))
    _part(canvas, at, radius * rng.uniform(0.5, 0.8), ink, paper, rng.random() * math.pi)
    canvas.arrow(
        (at[0] - radius, at[1] + radius * 1.2), (at[0] + radius, at[1] + radius * 1.2), ink, canvas.px(0.3), 1.6
    )
    canvas.text((at[0], at[1] + radius * 1.3), canvas.number(3), 2.2, ink, "ma")


def canvas_tone(rng: random.Random) -> Colour:
    """A dark tint for ink."""
    return rng.choice(((20, 40, 120), (90, 30, 30), (20, 80, 60), (60, 60, 60)))


def _part(canvas: Canvas, at: Point, radius: float, ink: Colour, paper: Colour, angle: float) -> None:
    rng = canvas.rng
    width = canvas.px(rng.uniform(0.3, 0.7))
    kind = rng.randrange(5)
    shade = blend(paper, canvas.colour(0.6, rng.uniform(0.4, 0.9)), rng.choice((0.0, 0.3, 0.6, 0.9)))
    if kind == 0:
        for scale in sorted((rng.uniform(0.2, 1) for _ in range(rng.randint(2, 4))), reverse=True):
            canvas.pen.polygon(polygon(at, radius * scale, 36, angle, 0.9), fill=shade, outline=ink, width=width)
    elif kind == 1:
        teeth = rng.randint(8, 22)
        ring = [polygon(at, radius * (1 if k % 2 else 0.82), teeth * 2, angle)[k] for k in range(teeth * 2)]
        canvas.pen.polygon(ring, fill=shade, outline=ink, width=width)
        canvas.pen.polygon(polygon(at, radius * rng.uniform(0.2, 0.5), 24), fill=paper, outline=ink, width=width)
    elif kind == 2:
        canvas.pen.polygon(polygon(at, radius, 6, angle), fill=shade, outline=ink, width=width)
        canvas.pen.polygon(polygon(at, radius * 0.5, 30), fill=paper, outline=ink, width=width)
    elif kind == 3:
        for k in range(rng.randint(3, 7)):
            y = at[1] + (k - 3) * radius * 0.25
            canvas.pen.ellipse(
                (at[0] - radius, y - radius * 0.3, at[0] + radius, y + radius * 0.3), outline=ink, width=width
            )
    else:
        w, h = radius * rng.uniform(0.4, 1.2), radius * rng.uniform(0.4, 1.2)
        canvas.pen.rectangle((at[0] - w, at[1] - h, at[0] + w, at[1] + h), fill=shade, outline=ink, width=width)
        for sx in (-0.6, 0.6):
            hole = polygon((at[0] + sx * w, at[1] + rng.uniform(-0.5, 0.5) * h), min(w, h) * 0.22, 20)
            canvas.pen.polygon(hole, fill=paper, outline=ink, width=width)


def _balloon(canvas: Canvas, at: Point, number: int, ink: Colour, width: int) -> None:
    radius = canvas.px(2.2)
    x = at[0] + canvas.rng.choice((-1, 1)) * canvas.px(canvas.rng.uniform(9, 20))
    y = at[1] + canvas.rng.choice((-1, 1)) * canvas.px(canvas.rng.uniform(9, 20))
    canvas.pen.line([at, (x, y)], fill=ink, width=width)
    canvas.pen.ellipse(
        (x - radius, y - radius, x + radius, y + radius), outline=ink, fill=canvas.background, width=width
    )
    canvas.text((x, y), str(number), 2.4, ink, "mm")


def _title_block(canvas: Canvas, ink: Colour, width: int) -> None:
    w, h = canvas.px(canvas.rng.uniform(26, 42)), canvas.px(canvas.rng.uniform(11, 18))
    left = canvas.width - canvas.px(2.5) - w if canvas.rng.random() < 0.65 else canvas.px(2.5)
    top = canvas.height - canvas.px(2.5) - h if canvas.rng.random() < 0.75 else canvas.px(2.5)
    rows = canvas.rng.randint(3, 5)
    canvas.pen.rectangle((left, top, left + w, top + h), outline=ink, width=width * 2, fill=canvas.background)
    for row in range(rows):
        y = top + h * row / rows
        canvas.pen.line([(left, y), (left + w, y)], fill=ink, width=width)
        canvas.text((left + canvas.px(1), y + canvas.px(0.6)), f"{canvas.word()} {canvas.number(5)}", 1.9, ink)
    canvas.pen.line([(left + w * 0.6, top), (left + w * 0.6, top + h)], fill=ink, width=width)


def floor_plan(rng: random.Random, size: tuple[int, int]) -> Canvas:
    """Rooms cut recursively out of a rectangle, thick walls, doors, furniture, names."""
    blueprint = rng.random() < 0.25
    paper: Colour = (30, 64, 120) if blueprint else rng.choice(PAPERS)
    ink: Colour = (225, 235, 250) if blueprint else INK
    canvas = Canvas(rng, size, paper)
    box = (
        canvas.width * rng.uniform(0.04, 0.16),
        canvas.height * rng.uniform(0.04, 0.16),
        canvas.width * rng.uniform(0.84, 0.96),
        canvas.height * rng.uniform(0.8, 0.96),
    )
    tinted = rng.random() < 0.6
    for room in _rooms(rng, box, rng.randint(3, 4)):
        fill = blend(paper, canvas.colour(0.5, 0.85), rng.uniform(0.15, 0.6)) if tinted else paper
        canvas.pen.rectangle(room, fill=fill, outline=ink, width=canvas.px(rng.choice((0.8, 1.2, 1.2))))
        _furnish(canvas, room, ink)
        _door(canvas, room, ink, paper)
    canvas.pen.rectangle(box, outline=ink, width=canvas.px(1.8))
    canvas.text(
        (box[0], canvas.height - canvas.px(3.5)), f"{canvas.words(3)}  1:{rng.choice((50, 100, 200))}", 2.4, ink
    )
    return canvas


def _rooms(rng: random.Random, box: Box, depth: int) -> list[Box]:
    left, top, right, bottom = box
    if depth == 0 or (depth < 3 and rng.random() < 0.12):
        return [box]
    cut = rng.uniform(0.3, 0.7)
    if (right - left) * rng.uniform(0.7, 1.4) > bottom - top:
        x = left + (right - left) * cut
        return _rooms(rng, (left, top, x, bottom), depth - 1) + _rooms(rng, (x, top, right, bottom), depth - 1)
    y = top + (bottom - top) * cut
    return _rooms(rng, (left, top, right, y), depth - 1) + _rooms(rng, (left, y, right, bottom), depth - 1)


def _door(canvas: Canvas, room: Box, ink: Colour, paper: Colour) -> None:
    size = canvas.px(6)
    x = canvas.rng.uniform(room[0], max(room[0] + 1, room[2] - size))
    y = room[canvas.rng.choice((1, 3))]
    canvas.pen.line([(x, y), (x + size, y)], fill=paper, width=canvas.px(1.6))
    canvas.pen.arc((x - size, y - size, x + size, y + size), 0, 90, fill=ink, width=canvas.px(0.3))
    canvas.pen.line([(x, y), (x, y + size)], fill=ink, width=canvas.px(0.3))


def _furnish(canvas: Canvas, room: Box, ink: Colour) -> None:
    rng, line = canvas.rng, canvas.px(0.3)
    w, h = room[2] - room[0], room[3] - room[1]
    canvas.text(((room[0] + room[2]) / 2, (room[1] + room[3]) / 2), canvas.word().capitalize(), 2.3, ink, "mm")
    for _ in range(rng.randint(1, 4)):
        fw, fh = w * rng.uniform(0.12, 0.4), h * rng.uniform(0.12, 0.4)
        x, y = room[0] + rng.uniform(0.05, 0.55) * w, room[1] + rng.uniform(0.05, 0.55) * h
        if rng.random() < 0.4:
            canvas.pen.ellipse((x, y, x + min(fw, fh), y + min(fw, fh)), outline=ink, width=line)
        else:
            canvas.pen.rectangle((x, y, x + fw, y + fh), outline=ink, width=line)
            canvas.pen.line([(x, y + fh * 0.3), (x + fw, y + fh * 0.3)], fill=ink, width=line)


def circuit(rng: random.Random, size: tuple[int, int]) -> Canvas:
    """Schematic: components on a grid joined by right-angled wires, chips with pins, labels."""
    dark = rng.random() < 0.2
    paper: Colour = (22, 30, 28) if dark else rng.choice(PAPERS)
    ink: Colour = (120, 230, 150) if dark else rng.choice(((30, 30, 30), (20, 90, 30), (130, 20, 20), (20, 30, 120)))
    canvas = Canvas(rng, size, paper)
    width, step = canvas.px(rng.uniform(0.35, 0.6)), canvas.px(rng.uniform(9, 13))
    nodes = [
        (x, y)
        for x in range(step, canvas.width - step // 2, step)
        for y in range(step, canvas.height - step // 2, step)
    ]
    picked = rng.sample(nodes, min(len(nodes), rng.randint(16, 34)))
    for start, end in pairwise(picked):
        if math.dist(start, end) < canvas.width * 0.55:
            canvas.pen.line([start, (end[0], start[1]), end], fill=ink, width=width)
            canvas.pen.ellipse(
                (end[0] - width * 2, start[1] - width * 2, end[0] + width * 2, start[1] + width * 2), fill=ink
            )
    for at in picked[: len(picked) * 3 // 4]:
        _component(canvas, at, ink, paper, width)
    for at in rng.sample(nodes, min(len(nodes), rng.randint(1, 4))):
        _chip(canvas, at, step * rng.uniform(1.2, 2.6), step * rng.uniform(1.2, 3.2), ink, paper, width)
    return canvas


def _component(canvas: Canvas, at: Point, ink: Colour, paper: Colour, width: int) -> None:
    rng, r, (x, y) = canvas.rng, canvas.px(canvas.rng.uniform(2.2, 3.8)), at
    kind = rng.randrange(5)
    if kind == 0:
        canvas.pen.rectangle((x - r, y - r * 0.45, x + r, y + r * 0.45), fill=paper, outline=ink, width=width)
    elif kind == 1:
        canvas.pen.rectangle((x - r * 0.3, y - r, x + r * 0.3, y + r), fill=paper)
        for side in (-0.3, 0.3):
            canvas.pen.line([(x + side * r, y - r), (x + side * r, y + r)], fill=ink, width=width * 2)
    elif kind == 2:
        canvas.pen.polygon([(x - r, y - r), (x - r, y + r), (x + r, y)], fill=paper, outline=ink, width=width)
    elif kind == 3:
        canvas.pen.ellipse((x - r, y - r, x + r, y + r), fill=paper, outline=ink, width=width)
        canvas.pen.line(
            [(x - r * 0.4, y - r * 0.6), (x - r * 0.4, y + r * 0.6), (x + r * 0.5, y - r * 0.5)], fill=ink, width=width
        )
    else:
        path = [(x - r + k * r / 4, y + (r * 0.5 if k % 2 else -r * 0.5)) for k in range(9)]
        canvas.pen.line(path, fill=ink, width=width)
    canvas.text((x + r, y - r), f"{rng.choice('RCLDQU')}{rng.randint(1, 99)}", 1.9, ink, "lb")


def _chip(canvas: Canvas, at: Point, w: float, h: float, ink: Colour, paper: Colour, width: int) -> None:
    x, y = at
    canvas.pen.rectangle(
        (x, y, x + w, y + h), fill=blend(paper, canvas.colour(0.4, 0.8), 0.4), outline=ink, width=width * 2
    )
    pins = canvas.rng.randint(4, 9)
    for k in range(pins):
        py = y + h * (k + 0.5) / pins
        canvas.pen.line([(x - canvas.px(2), py), (x, py)], fill=ink, width=width)
        canvas.pen.line([(x + w, py), (x + w + canvas.px(2), py)], fill=ink, width=width)
    canvas.text((x + w / 2, y + h / 2), f"{canvas.word(1).upper()}{canvas.number(3)}", 2.2, ink, "mm")
