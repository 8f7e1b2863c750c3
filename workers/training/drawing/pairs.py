"""Drawn pairs with a known answer: the same document again, another one of its template, or one with a small change.

Every function is pure: the seed names the pair on every machine.  Documents have 150 to 300 DPI unless told otherwise.
"""

from __future__ import annotations

import io
import math
import random
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final

import numpy as np
from PIL import Image, ImageDraw, ImageEnhance, ImageFilter

from workers.training.drawing.canvas import INK, font
from workers.training.drawing.forms import GREY, KINDS, Role, Sheet, Text, made_up, render, sheet, words

DPI: Final = (150, 300)
TILT_DEGREES: Final = 2.0
RETOUCHED_AREA: Final = 0.01
FORMS: Final = ("form", "invoice", "identity_card", "badge")
"""Kinds that exist blank."""


class Bond(StrEnum):
    """How the two pictures of a pair relate."""

    RESCANNED = "rescanned"
    RECODED = "recoded"
    OTHER_CONTENT = "other_content"
    BLANK_FORM = "blank_form"
    DIGIT = "digit"
    NAME = "name"
    DATE = "date"
    RETOUCHED = "retouched"


COPIES: Final = frozenset({Bond.RESCANNED, Bond.RECODED})
EDITS: Final = (Bond.DIGIT, Bond.NAME, Bond.DATE, Bond.RETOUCHED)


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """Two RGB pictures of a document of ``kind``."""

    first: Image.Image
    second: Image.Image
    bond: Bond
    kind: str


def pair(bond: Bond, seed: int, *, resolutions: tuple[int, int] = DPI) -> Pair:
    """The pair named by (bond, seed): kinds take turns; ``resolutions`` are the least and the most DPI."""
    rng = random.Random(f"{bond}:{seed}")
    kinds = FORMS if bond == Bond.BLANK_FORM else tuple(KINDS)
    kind = kinds[seed % len(kinds)]
    dpi = rng.randint(*resolutions)
    template = rng.getrandbits(40)
    document = sheet(kind, template=template, content=0, dpi=dpi)
    first = render(document)
    if bond == Bond.RESCANNED:
        second = rescanned(first, rng)
    elif bond == Bond.RECODED:
        second = recoded(first, rng)
    elif bond == Bond.RETOUCHED:
        second = recoded(retouched(first, document, rng), rng)
    elif bond in EDITS:
        second = recoded(render(changed(document, bond, rng)), rng)
    else:
        other = render(sheet(kind, template=template, content=1, dpi=dpi))
        second = (rescanned if rng.random() < 0.5 else recoded)(other, rng)
        first = render(document.blank()) if bond == Bond.BLANK_FORM else first
    return Pair(first=first, second=second, bond=bond, kind=kind)


def changed(document: Sheet, bond: Bond, rng: random.Random) -> Sheet:
    """The document with one digit of an amount, one digit of a date, or one name changed."""
    role = {Bond.DIGIT: Role.NUMBER, Bond.DATE: Role.DATE, Bond.NAME: Role.NAME}[bond]
    filled = [(at, item) for at, item in enumerate(document.items) if isinstance(item, Text)]
    texts = [pair for pair in filled if pair[1].role == role]
    if not texts:  # a spreadsheet has neither names nor dates, a letter sometimes no amounts
        texts = [pair for pair in filled if pair[1].role in {Role.NUMBER, Role.DATE}]
    at, item = rng.choice(texts)
    text = item.text
    while text == item.text:
        text = made_up(role, rng) if item.role == Role.NAME else _other_digit(item.text, rng)
    return replace(document, items=(*document.items[:at], replace(item, text=text), *document.items[at + 1 :]))


def _other_digit(text: str, rng: random.Random) -> str:
    at = rng.choice([n for n, letter in enumerate(text) if letter.isdigit()])
    return text[:at] + rng.choice("0123456789") + text[at + 1 :]


def retouched(image: Image.Image, document: Sheet, rng: random.Random) -> Image.Image:
    """One per cent of the area around something filled in: painted over, cloned from elsewhere, or smeared."""
    item = document.items[rng.choice(document.filled())]
    centre = item.at if isinstance(item, Text) else (image.width / 2, image.height / 2)
    across = math.sqrt(RETOUCHED_AREA * image.width * image.height * rng.uniform(1, 6))
    width, height = round(across), round(RETOUCHED_AREA * image.width * image.height / across)
    left = min(max(0, round(centre[0] - width * rng.random())), image.width - width)
    top = min(max(0, round(centre[1] - height / 2)), image.height - height)
    result, box = image.copy(), (left, top, left + width, top + height)
    style = rng.randrange(3)
    if style == 0:
        result.paste(document.paper, box)
    elif style == 1:
        x, y = rng.randint(0, image.width - width), rng.randint(0, image.height - height)
        result.paste(image.crop((x, y, x + width, y + height)), box)
    else:
        result.paste(image.crop(box).filter(ImageFilter.GaussianBlur(height / 6)), box)
    return result


def recoded(image: Image.Image, rng: random.Random) -> Image.Image:
    """The very same content: another size (50 to 200 %), another format, JPEG 60 to 95, a slight blur; one or more."""
    if rng.random() < 0.5:
        scale = math.exp(rng.uniform(math.log(0.5), math.log(2))) if max(image.size) < 1800 else rng.uniform(0.5, 1)
        size = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
        image = image.resize(size, rng.choice((Image.Resampling.BILINEAR, Image.Resampling.LANCZOS)))
    if rng.random() < 0.3:
        image = image.filter(ImageFilter.GaussianBlur(rng.uniform(0.2, 0.8)))
    style = rng.random()
    if style < 0.7:
        return _saved(image, "JPEG", rng.randint(60, 95))
    return _saved(image, "WEBP", rng.randint(70, 95)) if style < 0.85 else image


def rescanned(image: Image.Image, rng: random.Random) -> Image.Image:
    """Printed and scanned again: tilt up to 2 degrees, slight perspective, blur, brightness, noise, JPEG."""
    scale = rng.uniform(0.6, 1.0) if max(image.size) > 1800 else rng.uniform(0.8, 1.2)
    size = (round(image.width * scale), round(image.height * scale))
    image = _tilted(image.resize(size, Image.Resampling.BILINEAR), rng)
    image = image.filter(ImageFilter.GaussianBlur(rng.uniform(0.3, 1.1) * max(size) / 1754))
    image = ImageEnhance.Contrast(image).enhance(rng.uniform(0.75, 1.15))
    image = ImageEnhance.Brightness(image).enhance(rng.uniform(0.85, 1.1))
    return _saved(_noisy(image, rng.uniform(1, 7), rng), "JPEG", rng.randint(50, 90))


def _tilted(image: Image.Image, rng: random.Random) -> Image.Image:
    width, height = image.size
    angle = math.radians(rng.uniform(-TILT_DEGREES, TILT_DEGREES))
    sine, cosine = math.sin(angle), math.cos(angle)
    zoom = rng.uniform(0.97, 1.03)
    x, y = width / 2 * (1 + rng.uniform(-0.02, 0.02)), height / 2 * (1 + rng.uniform(-0.02, 0.02))
    a, b, d, e = cosine * zoom, -sine * zoom, sine * zoom, cosine * zoom
    bend = (rng.uniform(-0.01, 0.01) / width, rng.uniform(-0.01, 0.01) / height)
    factors = (a, b, width / 2 - a * x - b * y, d, e, height / 2 - d * x - e * y, *bend)
    paper = image.getpixel((2, height // 2))
    return image.transform(image.size, Image.Transform.PERSPECTIVE, factors, Image.Resampling.BILINEAR, fillcolor=paper)


def _noisy(image: Image.Image, levels: float, rng: random.Random) -> Image.Image:
    source = np.random.RandomState(rng.getrandbits(32))
    noise = source.normal(0, levels, (image.height, image.width, 1)).astype(np.float32)
    return Image.fromarray(np.clip(np.asarray(image, np.float32) + noise, 0, 255).astype(np.uint8))


def _saved(image: Image.Image, codec: str, quality: int) -> Image.Image:
    stream = io.BytesIO()
    image.save(stream, codec, quality=quality)
    with Image.open(stream) as saved:
        return saved.convert("RGB")


NEAR_EMPTY: Final = ("scan_noise", "letterhead", "ruled", "signature")


def near_empty(seed: int, *, height: int = 1240) -> Image.Image:
    """A page with next to nothing on it: scan noise, a letterhead, ruled lines, or one signature, in turns."""
    style = NEAR_EMPTY[seed % len(NEAR_EMPTY)]
    rng = random.Random(f"near_empty:{seed}")
    width = round(height / math.sqrt(2))
    tone = rng.randint(232, 255)
    image = Image.new("RGB", (width, height), (tone, tone, tone - rng.randint(0, 10)))
    pen = ImageDraw.Draw(image)
    margin = width * rng.uniform(0.08, 0.14)
    if style == "letterhead":
        for y, points, count, fill in (
            (0.06, rng.uniform(0.018, 0.03), 2, INK),
            (0.08, 0.01, 5, GREY),
            (0.97, 0.009, 9, GREY),
        ):
            face = font(round(height * points))
            pen.text((margin, height * y), words(rng, count), fill=fill, font=face, anchor="ls")
    elif style == "ruled":
        step = height * rng.uniform(0.02, 0.035)
        for row in range(1, int(height / step)):
            pen.line((0, row * step, width, row * step), fill=(170, 186, 214), width=rng.choice((1, 2)))
        if rng.random() < 0.5:
            pen.line((margin, 0, margin, height), fill=(220, 130, 130), width=2)
    elif style == "signature":
        left, top = rng.uniform(margin, width * 0.6), rng.uniform(height * 0.6, height * 0.85)
        path = [(left + width * 0.012 * n, top + rng.uniform(0, height * 0.04)) for n in range(rng.randint(12, 24))]
        pen.line(path, fill=(24, 34, 120), width=max(2, height // 420), joint="curve")
    return _saved(_noisy(image, rng.uniform(0.5, 6), rng), "JPEG", rng.randint(60, 92))
