"""Business documents as data: a template (what is printed on every copy) filled with content (what differs).

A sheet is named by (kind, template, content, DPI); its items are texts, lines, boxes, faces and signatures in pixels.
So the same form can be drawn blank, filled by another person, or with a single digit changed, everything else equal.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final

from PIL import Image, ImageDraw

from workers.training.drawing.canvas import INK, SYLLABLES, Colour, font

POINTS_PER_INCH: Final = 72
MILLIMETRES_PER_INCH: Final = 25.4
SIGNATURE: Final[Colour] = (24, 34, 120)
GREY: Final[Colour] = (120, 124, 132)


class Role(StrEnum):
    """What a text is: printed on every copy of a template, or filled in, and then as what."""

    PRINTED = "printed"
    NUMBER = "number"
    DATE = "date"
    NAME = "name"
    PROSE = "prose"


@dataclass(frozen=True, slots=True, kw_only=True)
class Text:
    """One line of text; ``at`` and ``size`` in pixels, ``anchor`` as Pillow's."""

    at: tuple[float, float]
    text: str
    size: float
    role: Role = Role.PRINTED
    anchor: str = "ls"
    fill: Colour = INK


@dataclass(frozen=True, slots=True, kw_only=True)
class Box:
    """A filled or outlined rectangle, or a line where it has no height or width."""

    box: tuple[float, float, float, float]
    fill: Colour | None = None
    outline: Colour | None = None
    width: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Strokes:
    """A filled-in signature, or a face (``portrait``), drawn from ``seed`` inside ``box``."""

    box: tuple[float, float, float, float]
    seed: str
    portrait: bool = False


type Item = Text | Box | Strokes


@dataclass(frozen=True, slots=True, kw_only=True)
class Sheet:
    """A document in pieces; ``size`` in pixels."""

    size: tuple[int, int]
    paper: Colour
    items: tuple[Item, ...]

    def filled(self) -> tuple[int, ...]:
        """Positions of the filled-in texts."""
        return tuple(n for n, item in enumerate(self.items) if isinstance(item, Text) and item.role != Role.PRINTED)

    def blank(self) -> Sheet:
        """The same form before anybody filled it in."""
        return replace(self, items=tuple(item for item in self.items if not _is_filled(item)))


def _is_filled(item: Item) -> bool:
    return isinstance(item, Strokes) or (isinstance(item, Text) and item.role != Role.PRINTED)


class Writer:
    """Collects a sheet's items: ``template`` decides what every copy has, ``content`` what is filled in."""

    def __init__(
        self, template: random.Random, content: random.Random, millimetres: tuple[float, float], dpi: int
    ) -> None:
        self.template = template
        self.content = content
        self.dpi = dpi
        self.width, self.height = (self.mm(side) for side in millimetres)
        self.accent = tuple(template.randint(20, 150) for _ in range(3))
        tone = template.randint(244, 255)
        self.paper: Colour = (tone, tone, max(0, tone - template.randint(0, 8)))
        self.items: list[Item] = []

    def mm(self, millimetres: float) -> float:
        """Millimetres as pixels."""
        return millimetres * self.dpi / MILLIMETRES_PER_INCH

    def put(self, x: float, y: float, text: str, points: float, *, right: bool = False, fill: Colour = INK) -> None:
        """Prints ``text`` on every copy, its base line at (x, y)."""
        self._text(x, y, text, points, Role.PRINTED, right=right, fill=fill)

    def fill(self, x: float, y: float, role: Role, points: float, *, right: bool = False) -> None:
        """Fills in a made-up text of that role."""
        self._text(x, y, made_up(role, self.content), points, role, right=right, fill=INK)

    def _text(self, x: float, y: float, text: str, points: float, role: Role, *, right: bool, fill: Colour) -> None:
        size, anchor = points * self.dpi / POINTS_PER_INCH, "rs" if right else "ls"
        self.items.append(Text(at=(x, y), text=text, size=size, role=role, anchor=anchor, fill=fill))

    def line(self, x0: float, y0: float, x1: float, y1: float, points: float = 0.6) -> None:
        """Rules a line."""
        width = max(1, round(points * self.dpi / POINTS_PER_INCH))
        self.items.append(Box(box=(x0, y0, x1, y1), outline=GREY, width=width))

    def bar(self, x0: float, y0: float, x1: float, y1: float, fill: Colour) -> None:
        """Prints a filled rectangle."""
        self.items.append(Box(box=(x0, y0, x1, y1), fill=fill))

    def strokes(self, box: tuple[float, float, float, float], *, portrait: bool = False) -> None:
        """Signs, or shows a face."""
        self.items.append(Strokes(box=box, seed=str(self.content.getrandbits(32)), portrait=portrait))

    def sheet(self) -> Sheet:
        """What was collected."""
        return Sheet(size=(round(self.width), round(self.height)), paper=self.paper, items=tuple(self.items))


def word(rng: random.Random, syllables: int = 2) -> str:
    """An invented word."""
    return "".join(rng.choice(SYLLABLES) for _ in range(syllables))


def words(rng: random.Random, count: int) -> str:
    """Invented words, the first one capitalised."""
    return " ".join(word(rng, rng.randint(1, 3)) for _ in range(count)).capitalize()


def made_up(role: Role, rng: random.Random) -> str:
    """An amount, a date, a line of prose or a person's name."""
    if role == Role.NUMBER:
        return f"{rng.randrange(10, 99_999):,}.{rng.randrange(100):02d}"
    if role == Role.DATE:
        return f"{rng.randint(1, 28):02d}.{rng.randint(1, 12):02d}.{rng.randint(1950, 2029)}"
    if role == Role.PROSE:
        return words(rng, rng.randint(9, 12))
    return f"{word(rng).capitalize()} {word(rng, rng.randint(2, 3)).capitalize()}"


def _letterhead(writer: Writer, margin: float) -> float:
    rng = writer.template
    y = writer.mm(rng.uniform(16, 24))
    if rng.random() < 0.5:
        writer.bar(0, 0, writer.width, writer.mm(rng.uniform(6, 10)), _colour(writer))
    else:
        writer.bar(margin, y - writer.mm(7), margin + writer.mm(9), y, _colour(writer))
    at = rng.choice((margin + writer.mm(12), writer.width - margin - writer.mm(60)))
    writer.put(at, y, words(rng, 2), rng.uniform(15, 20), fill=_colour(writer))
    for row in range(rng.randint(2, 4)):
        writer.put(at, y + writer.mm(5 + 4 * row), words(rng, 4), 8, fill=GREY)
    return y + writer.mm(26)


def _colour(writer: Writer) -> Colour:
    red, green, blue = writer.accent
    return red, green, blue


def _labelled(writer: Writer, x: float, y: float, role: Role, points: float = 10) -> None:
    writer.put(x, y, words(writer.template, writer.template.randint(1, 2)), 7.5, fill=GREY)
    writer.fill(x, y + writer.mm(5.2), role, points)


def invoice(writer: Writer) -> None:
    """Letterhead, addressee, dates, a table of amounts, a sum."""
    rng, margin = writer.template, writer.mm(writer.template.uniform(16, 24))
    y = _letterhead(writer, margin)
    for _ in range(3):
        writer.fill(margin, y, Role.NAME, 10)
        y += writer.mm(5)
    for number, role in enumerate((Role.NUMBER, Role.DATE, Role.DATE, Role.NAME)):
        _labelled(writer, margin + number * (writer.width - 2 * margin) / 4, y + writer.mm(8), role)
    y += writer.mm(24)
    columns = [margin + (writer.width - 2 * margin) * share for share in (0.62, 0.8, 1.0)]
    writer.bar(margin, y - writer.mm(5), writer.width - margin, y + writer.mm(1.6), _colour(writer))
    for x in columns:
        writer.put(x, y, words(rng, 1), 9, right=True, fill=(255, 255, 255))
    for _ in range(rng.randint(6, 14)):
        y += writer.mm(7)
        writer.fill(margin, y, Role.NAME, 9.5)
        for x in columns:
            writer.fill(x, y, Role.NUMBER, 9.5, right=True)
        writer.line(margin, y + writer.mm(1.8), writer.width - margin, y + writer.mm(1.8))
    y += writer.mm(10)
    writer.put(columns[1], y, words(rng, 1), 11, right=True)
    writer.fill(columns[2], y, Role.NUMBER, 12, right=True)
    for row in range(3):
        writer.put(margin, writer.height - writer.mm(22 - 4 * row), words(rng, 12), 7.5, fill=GREY)


def letter(writer: Writer) -> None:
    """Letterhead, addressee, date, paragraphs with names and amounts inside, a signature."""
    rng, content, margin = writer.template, writer.content, writer.mm(writer.template.uniform(20, 26))
    y = _letterhead(writer, margin)
    for role in (Role.NAME, Role.NAME, Role.DATE):
        writer.fill(margin, y, role, 11)
        y += writer.mm(6)
    points = rng.uniform(10, 11.5)
    for _ in range(rng.randint(3, 5)):
        y += writer.mm(5)
        for _ in range(content.randint(3, 7)):
            writer.fill(margin, y, Role.PROSE, points)
            y += writer.mm(points * 0.48)
        writer.fill(margin, y, content.choice((Role.NUMBER, Role.DATE)), points)
        y += writer.mm(points * 0.48)
    writer.strokes((margin, y + writer.mm(6), margin + writer.mm(50), y + writer.mm(20)))
    writer.fill(margin, y + writer.mm(26), Role.NAME, points)


def form(writer: Writer) -> None:
    """Two columns of boxes with labels, ruled; nearly everything is printed."""
    rng, margin = writer.template, writer.mm(15)
    writer.put(margin, writer.mm(22), words(rng, 4), 18, fill=_colour(writer))
    y, columns = writer.mm(30), rng.randint(2, 3)
    wide = (writer.width - 2 * margin) / columns
    while y < writer.height - writer.mm(50):
        if rng.random() < 0.2:
            writer.bar(margin, y, writer.width - margin, y + writer.mm(7), _colour(writer))
            writer.put(margin + writer.mm(2), y + writer.mm(5), words(rng, 3), 10, fill=(255, 255, 255))
            y += writer.mm(9)
        for column in range(columns):
            x, role = margin + column * wide, rng.choice((Role.NUMBER, Role.DATE, Role.NAME))
            box = (x, y, x + wide - writer.mm(2), y + writer.mm(12))
            writer.items.append(Box(box=box, outline=GREY, width=max(1, round(writer.dpi / 110))))
            writer.put(x + writer.mm(1.5), y + writer.mm(3.8), words(rng, 2), 7, fill=GREY)
            writer.fill(x + writer.mm(2), y + writer.mm(9.6), role, 11)
        y += writer.mm(14)
    for row in range(4):
        writer.put(margin, y + writer.mm(4 + 4 * row), words(rng, 14), 7.5, fill=GREY)
    writer.line(margin, writer.height - writer.mm(18), margin + writer.mm(70), writer.height - writer.mm(18))
    foot = writer.height - writer.mm(18)
    writer.strokes((margin + writer.mm(5), foot - writer.mm(10), margin + writer.mm(55), foot + writer.mm(3)))


def spreadsheet(writer: Writer) -> None:
    """A grid of numbers under column heads, with names at the left."""
    rng = writer.template
    columns, left, top = rng.randint(5, 8), writer.mm(10), writer.mm(16)
    wide, high = (writer.width - 2 * left) / columns, writer.mm(rng.uniform(5.5, 7.5))
    rows = int((writer.height - 2 * top) / high)
    writer.bar(left, top, writer.width - left, top + high, _colour(writer))
    for column in range(columns):
        end = left + (column + 1) * wide - writer.mm(1.5)
        writer.put(end, top + high * 0.72, words(rng, 1)[:9], 9, right=True, fill=(255, 255, 255))
        for row in range(1, rows):
            y = top + (row + 0.72) * high
            if column == 0:
                writer.put(left + writer.mm(1.5), y, words(rng, 1), 8.5)
            else:
                writer.fill(end, y, Role.NUMBER, 8.5, right=True)
    for row in range(rows + 1):
        writer.line(left, top + row * high, writer.width - left, top + row * high, 0.4)
    for column in range(columns + 1):
        writer.line(left + column * wide, top, left + column * wide, top + rows * high, 0.4)


def receipt(writer: Writer) -> None:
    """A shop's head, a list with prices, a sum, a date."""
    rng, margin, y = writer.template, writer.mm(5), writer.mm(14)
    for row in range(rng.randint(2, 4)):
        writer.put(writer.mm(14), y, words(rng, 2), 14 if row == 0 else 9)
        y += writer.mm(6)
    y += writer.mm(4)
    while y < writer.height - writer.mm(48):
        writer.fill(margin, y, Role.NAME, 9)
        writer.fill(writer.width - margin, y, Role.NUMBER, 9, right=True)
        y += writer.mm(4.8)
    writer.line(margin, y, writer.width - margin, y)
    for role in (Role.NUMBER, Role.NUMBER, Role.DATE, Role.NAME):
        y += writer.mm(7)
        writer.put(margin, y, words(rng, 1).upper(), 10)
        writer.fill(writer.width - margin, y, role, 10, right=True)


def card(writer: Writer) -> None:
    """An identity card or a badge: a bar, a face, fields, fine lines behind them."""
    rng, margin = writer.template, writer.mm(4)
    for k in range(rng.randint(6, 14)):
        y = writer.height * (k + rng.random()) / 14
        writer.line(0, y, writer.width, writer.height - y, 0.3)
    writer.bar(0, 0, writer.width, writer.mm(9), _colour(writer))
    writer.put(margin, writer.mm(6.5), words(rng, 2).upper(), 11, fill=(255, 255, 255))
    upright = writer.height > writer.width
    side = writer.mm(24)
    writer.strokes((margin, writer.mm(13), margin + side, writer.mm(13) + side * 1.25), portrait=True)
    x = margin if upright else margin * 2 + side
    y = writer.mm(13) + (side * 1.25 + writer.mm(5) if upright else writer.mm(2))
    roles = [Role.NAME, Role.NAME, Role.DATE, Role.NUMBER, Role.DATE]
    while y < writer.height - writer.mm(7) and roles:
        _labelled(writer, x, y, roles.pop(0), rng.uniform(8, 10))
        y += writer.mm(8.6)


A4: Final = (210.0, 297.0)
KINDS: Final[Mapping[str, tuple[Callable[[Writer], None], tuple[float, float]]]] = {
    "invoice": (invoice, A4),
    "letter": (letter, A4),
    "form": (form, A4),
    "spreadsheet": (spreadsheet, A4),
    "receipt": (receipt, (80.0, 170.0)),
    "identity_card": (card, (85.6, 54.0)),
    "badge": (card, (60.0, 90.0)),
}
"""Painter and size in millimetres."""


def sheet(kind: str, *, template: int, content: int, dpi: int) -> Sheet:
    """The document named by its kind, template, content and resolution; raises KeyError for an unknown kind."""
    painter, millimetres = KINDS[kind]
    seeds = (random.Random(f"{kind}:template:{template}"), random.Random(f"{kind}:content:{template}:{content}"))
    writer = Writer(*seeds, millimetres, dpi)
    painter(writer)
    return writer.sheet()


def render(document: Sheet) -> Image.Image:
    """Draws a sheet as an RGB picture."""
    image = Image.new("RGB", document.size, document.paper)
    pen = ImageDraw.Draw(image)
    for item in document.items:
        if isinstance(item, Text):
            pen.text(item.at, item.text, fill=item.fill, font=font(max(5, round(item.size))), anchor=item.anchor)
        elif isinstance(item, Strokes):
            (_face if item.portrait else _signature)(pen, item)
        elif item.fill is None and (item.box[0] == item.box[2] or item.box[1] == item.box[3] or _slanted(item)):
            pen.line(item.box, fill=item.outline, width=item.width)
        else:
            pen.rectangle(item.box, fill=item.fill, outline=item.outline, width=item.width)
    return image


def _slanted(item: Box) -> bool:
    return item.box[1] > item.box[3] or item.box[0] == 0


def _signature(pen: ImageDraw.ImageDraw, item: Strokes) -> None:
    rng, (left, top, right, bottom) = random.Random(item.seed), item.box
    count = rng.randint(14, 26)
    path = [
        (left + (right - left) * (n + rng.uniform(-0.8, 0.8)) / count, rng.uniform(top, bottom)) for n in range(count)
    ]
    pen.line(path, fill=SIGNATURE, width=max(2, round((bottom - top) / 34)), joint="curve")


def _face(pen: ImageDraw.ImageDraw, item: Strokes) -> None:
    rng, (left, top, right, bottom) = random.Random(item.seed), item.box
    w, h = right - left, bottom - top
    pen.rectangle(item.box, fill=tuple(rng.randint(170, 235) for _ in range(3)))
    x, y, r = left + w * rng.uniform(0.44, 0.56), top + h * rng.uniform(0.36, 0.44), w * rng.uniform(0.2, 0.27)
    hair, skin = rng.choice(((30, 24, 20), (90, 56, 30), (200, 160, 80))), rng.choice(((244, 208, 178), (176, 120, 84)))
    pen.rectangle((x - 1.6 * r, y + 1.5 * r, x + 1.6 * r, bottom), fill=tuple(rng.randint(20, 200) for _ in range(3)))
    pen.ellipse((x - 1.25 * r, y - 1.6 * r, x + 1.25 * r, y + rng.uniform(0.6, 1.6) * r), fill=hair)
    pen.ellipse((x - r, y - 1.2 * r, x + r, y + 1.3 * r), fill=skin)
    for side in (-0.42, 0.42):
        pen.ellipse((x + side * r - 0.14 * r, y - 0.2 * r, x + side * r + 0.14 * r, y), fill=INK)
    mouth = rng.uniform(0.2, 0.8)
    pen.arc((x - 0.5 * r, y + 0.2 * r, x + 0.5 * r, y + mouth * r + 0.1 * r), 20, 160, fill=(150, 50, 50), width=3)
