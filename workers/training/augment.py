"""Views of a cached picture: one affine warp (crop, turn, mirror), then colour, overlays, degradation.

A weak view stands for the enrolled reference, a strong one for an edited copy; `hardness` (0..1) scales the latter.

    python -m workers.training.augment --sheet views.png [--cache FOLDER]

draws a contact sheet of them, to be looked at by a person.
"""

from __future__ import annotations

import argparse
import math
import random
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from workers.training.dataset import LARGE, SMALL, open_cache, squash
from workers.training.drawing import FAMILIES, draw

SIDE: Final = 96
LETTERS: Final = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789    .,!?"
# Small tilts are what people and scanners do; any-angle turns of a whole picture need their own share to be learned.
TURNS: Final = ((0.38, "none"), (0.53, "quarter"), (0.78, "any"), (1.0, "tilt"))
BORDERS: Final = (
    cv2.BORDER_CONSTANT,
    cv2.BORDER_CONSTANT,
    cv2.BORDER_CONSTANT,
    cv2.BORDER_REFLECT_101,
    cv2.BORDER_REPLICATE,
)

type Pixels = NDArray[np.uint8]
type Colour = tuple[int, int, int]
type Crop = tuple[float, float, float, float]


class Picture:
    """One cached picture: both square copies and the true width / height."""

    __slots__ = ("aspect", "large", "small")

    def __init__(self, large: Pixels, small: Pixels, aspect: float) -> None:
        self.large = large
        self.small = small
        self.aspect = aspect


def any_colour(rng: random.Random) -> Colour:
    """Black, white, grey or any colour: what tools fill empty corners with."""
    kind = rng.random()
    if kind < 0.35:
        return 0, 0, 0
    if kind < 0.65:
        return 255, 255, 255
    return rng.randrange(256), rng.randrange(256), rng.randrange(256)


def random_crop(rng: random.Random, smallest: float) -> Crop:
    """(left, top, width, height) in 0..1 with an area of `smallest`..1 and a ratio of .55 to 1.8."""
    area, ratio = rng.uniform(smallest, 1.0), math.exp(rng.uniform(math.log(0.55), math.log(1.8)))
    width, height = min(1.0, math.sqrt(area * ratio)), min(1.0, math.sqrt(area / ratio))
    return rng.uniform(0, 1 - width), rng.uniform(0, 1 - height), width, height


def warp(
    picture: Picture, crop: Crop, angle: float, *, expand: bool, mirror: bool, flip: bool, border: int, fill: Colour
) -> Pixels:
    """The crop, turned by `angle` degrees in the picture's true geometry, squashed to 96 x 96.

    `expand` grows the frame to hold the turned picture, as image editors do; else the corners are cut.
    """
    left, top, width, height = crop
    source = picture.small if max(width, height) * picture.large.shape[0] / SIDE > 1.9 and angle else picture.large
    side = source.shape[0]
    x0, y0 = int(left * side), int(top * side)
    x1, y1 = max(x0 + 8, int((left + width) * side)), max(y0 + 8, int((top + height) * side))
    cut = source[y0:y1, x0:x1]
    rows, columns = cut.shape[:2]
    if angle == 0.0:
        shrinking = columns > SIDE and rows > SIDE
        view = cv2.resize(cut, (SIDE, SIDE), interpolation=cv2.INTER_AREA if shrinking else cv2.INTER_LINEAR)
        view = view[:, ::-1] if mirror else view
        return np.ascontiguousarray(view[::-1] if flip else view)
    turn = math.radians(angle)
    cos, sin = math.cos(turn), math.sin(turn)
    true_width, true_height = picture.aspect * columns, float(rows)
    frame_width = abs(true_width * cos) + abs(true_height * sin) if expand else true_width
    frame_height = abs(true_width * sin) + abs(true_height * cos) if expand else true_height
    sx, sy = frame_width / SIDE * (-1 if mirror else 1), frame_height / SIDE * (-1 if flip else 1)
    matrix = np.array([[cos * sx / picture.aspect, sin * sy / picture.aspect, 0], [-sin * sx, cos * sy, 0]])
    centre = np.array([(SIDE - 1) / 2, (SIDE - 1) / 2])
    matrix[:, 2] = np.array([(columns - 1) / 2, (rows - 1) / 2]) - matrix[:, :2] @ centre
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    return np.asarray(
        cv2.warpAffine(cut, matrix, (SIDE, SIDE), flags=flags, borderMode=border, borderValue=fill), np.uint8
    )


def weak_view(picture: Picture, rng: random.Random) -> Pixels:
    """The reference's side: mostly the whole picture, sometimes cropped, recoloured or degraded a little."""
    crop = (0.0, 0.0, 1.0, 1.0) if rng.random() < 0.6 else random_crop(rng, 0.5)
    view = warp(picture, crop, 0.0, expand=False, mirror=False, flip=False, border=cv2.BORDER_CONSTANT, fill=(0, 0, 0))
    if rng.random() < 0.3:
        view = recolour(view, rng, 0.3)
    return degrade(view, rng, 0.3) if rng.random() < 0.2 else view


def strong_view(picture: Picture, rng: random.Random, hardness: float, other: Picture) -> Pixels:
    """The copy's side: what people do to a picture before they send it; `other` lends pixels for pastes."""
    crop = random_crop(rng, 0.5 - 0.42 * hardness) if rng.random() < 0.65 else (0.0, 0.0, 1.0, 1.0)
    fill = any_colour(rng)
    view = warp(
        picture,
        crop,
        _angle(rng) if rng.random() < hardness else 0.0,
        expand=rng.random() < 0.6,
        mirror=rng.random() < 0.4,
        flip=rng.random() < 0.1,
        border=rng.choice(BORDERS),
        fill=fill,
    )
    if rng.random() < 0.7:
        view = recolour(view, rng, 0.3 + 0.7 * hardness)
    if rng.random() < 0.3 * hardness:
        view = paste(view, rng, other)
    if rng.random() < 0.35 * hardness:
        view = overlay(view, rng, other)
    if rng.random() < 0.12 * hardness:
        view = photograph(view, rng)
    if rng.random() < 0.25 + 0.3 * hardness:
        view = degrade(view, rng, hardness)
    if rng.random() < 0.05 * hardness:
        view = 255 - view if rng.random() < 0.5 else _equalise(view)
    return view


def _angle(rng: random.Random) -> float:
    draw = rng.random()
    kind = next(name for limit, name in TURNS if draw < limit)
    if kind == "quarter":
        return rng.choice((90.0, 180.0, 270.0))
    if kind == "any":
        return rng.uniform(-180, 180)
    return rng.uniform(-15, 15) if kind == "tilt" else 0.0


def recolour(view: Pixels, rng: random.Random, strength: float) -> Pixels:
    """Brightness, contrast, saturation, hue, channel gains, gamma, grey; `strength` scales every range."""
    pixels = view.astype(np.float32)
    if rng.random() < 0.6:
        pixels *= math.exp(rng.uniform(math.log(0.5), math.log(1.6)) * strength)
    if rng.random() < 0.6:
        mean = pixels.mean()
        pixels = (pixels - mean) * math.exp(rng.uniform(math.log(0.5), math.log(1.7)) * strength) + mean
    if rng.random() < 0.3 * strength:
        pixels = pixels.mean(axis=2, keepdims=True).repeat(3, axis=2)
    elif rng.random() < 0.6:
        grey = pixels.mean(axis=2, keepdims=True)
        factor = rng.uniform(0.1, 1) if rng.random() < 0.5 else rng.uniform(1, 2.3)
        pixels = grey + (pixels - grey) * (1 + (factor - 1) * strength)
    if rng.random() < 0.3:
        pixels *= np.array([1 + rng.uniform(-0.25, 0.25) * strength for _ in range(3)], np.float32)
    clipped = np.clip(pixels, 0, 255)
    if rng.random() < 0.2:
        clipped = (255 * (clipped / 255) ** math.exp(rng.uniform(-0.5, 0.5) * strength)).astype(np.float32)
    result = clipped.astype(np.uint8)
    return _shift_hue(result, rng, strength) if rng.random() < 0.15 else result


def _shift_hue(view: Pixels, rng: random.Random, strength: float) -> Pixels:
    hsv = cv2.cvtColor(view, cv2.COLOR_RGB2HSV)
    hsv[..., 0] = (hsv[..., 0].astype(np.int16) + int(rng.uniform(-40, 40) * strength)) % 180
    return np.asarray(cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB), np.uint8)


def _equalise(view: Pixels) -> Pixels:
    return np.stack([cv2.equalizeHist(np.ascontiguousarray(view[..., channel])) for channel in range(3)], axis=2)


def whole(picture: Picture) -> Pixels:
    """The whole picture at 96 x 96, untouched."""
    return np.asarray(cv2.resize(picture.small, (SIDE, SIDE), interpolation=cv2.INTER_AREA), np.uint8)


def paste(view: Pixels, rng: random.Random, other: Picture) -> Pixels:
    """The picture on something else: another picture, a flat colour, a drawn screen, one quarter of a collage."""
    kind = rng.random()
    if kind < 0.4:
        ground = whole(other).copy()
    else:
        ground = np.empty_like(view)
        ground[:] = any_colour(rng)
        if kind > 0.6:
            _decorate(ground, rng)
    area = 0.25 if rng.random() < 0.15 else rng.uniform(0.2, 0.85)
    ratio = math.exp(rng.uniform(-0.3, 0.3))
    width = min(SIDE, max(16, int(SIDE * math.sqrt(area * ratio))))
    height = min(SIDE, max(16, int(SIDE * math.sqrt(area / ratio))))
    x, y = rng.randint(0, SIDE - width), rng.randint(0, SIDE - height)
    ground[y : y + height, x : x + width] = cv2.resize(view, (width, height), interpolation=cv2.INTER_AREA)
    return ground


def _decorate(ground: Pixels, rng: random.Random) -> None:
    for _ in range(rng.randint(2, 7)):
        x, y = rng.randrange(SIDE), rng.randrange(SIDE)
        if rng.random() < 0.5:
            cv2.rectangle(ground, (x, y), (x + rng.randint(4, 60), y + rng.randint(2, 20)), any_colour(rng), -1)
        else:
            _write(ground, rng, (x - 20, y), rng.uniform(0.2, 0.4))


def _write(view: Pixels, rng: random.Random, at: tuple[int, int], scale: float) -> None:
    text = "".join(rng.choice(LETTERS) for _ in range(rng.randint(3, 18)))
    face = rng.choice((cv2.FONT_HERSHEY_SIMPLEX, cv2.FONT_HERSHEY_DUPLEX, cv2.FONT_HERSHEY_COMPLEX))
    colour = any_colour(rng)
    if rng.random() < 0.4:
        cv2.putText(view, text, at, face, scale, tuple(255 - c for c in colour), 3, cv2.LINE_AA)
    cv2.putText(view, text, at, face, scale, colour, rng.choice((1, 1, 2)), cv2.LINE_AA)


def overlay(view: Pixels, rng: random.Random, other: Picture) -> Pixels:
    """Captions on the picture or on a bar, a box or disc over part of it, a patch of another picture."""
    result = view.copy()
    kind = rng.random()
    if kind < 0.55:
        bar = rng.randint(8, 20)
        y = rng.choice((0, SIDE - bar))
        if rng.random() < 0.5:
            cv2.rectangle(result, (0, y), (SIDE, y + bar), any_colour(rng), -1)
        for _ in range(rng.randint(1, 3)):
            at_y = y + bar - 3 if rng.random() < 0.6 else rng.randint(10, SIDE)
            _write(result, rng, (rng.randint(-5, 40), at_y), rng.uniform(0.2, 0.7))
    elif kind < 0.8:
        x, y, radius = rng.randrange(SIDE), rng.randrange(SIDE), rng.randint(5, 26)
        if rng.random() < 0.5:
            cv2.circle(result, (x, y), radius, any_colour(rng), -1, cv2.LINE_AA)
        else:
            cv2.rectangle(result, (x, y), (x + radius * 2, y + radius), any_colour(rng), -1)
    else:
        side = rng.randint(16, 44)
        x, y = rng.randint(0, SIDE - side), rng.randint(0, SIDE - side)
        result[y : y + side, x : x + side] = cv2.resize(whole(other), (side, side), interpolation=cv2.INTER_AREA)
    return result


def photograph(view: Pixels, rng: random.Random) -> Pixels:
    """A photograph of a screen or a sheet: seen at an angle, lit from one side, often with moire."""
    corners = np.array([[0, 0], [SIDE, 0], [SIDE, SIDE], [0, SIDE]], np.float32)
    inset = rng.uniform(0.0, 0.12) * SIDE
    jitter = np.array([[rng.uniform(-0.1, 0.1) * SIDE for _ in range(2)] for _ in range(4)], np.float32)
    target = corners + inset * np.sign(SIDE / 2 - corners) + jitter
    seen = cv2.warpPerspective(
        view, cv2.getPerspectiveTransform(corners, target.astype(np.float32)), (SIDE, SIDE), borderValue=any_colour(rng)
    )
    across, down = np.meshgrid(np.arange(SIDE, dtype=np.float32), np.arange(SIDE, dtype=np.float32))
    angle = rng.uniform(0, math.pi)
    along = across * math.cos(angle) + down * math.sin(angle)
    light = 1 + rng.uniform(-0.35, 0.35) * (along / SIDE - 0.5)
    if rng.random() < 0.6:
        light += moire(along, down, rng)
    return np.clip(seen * light[..., None], 0, 255).astype(np.uint8)


def moire(along: NDArray[np.float32], down: NDArray[np.float32], rng: random.Random) -> NDArray[np.float32]:
    """Gain of the beat between a screen's grid and a sensor's: two fine gratings and their slow product."""
    period, amplitude = rng.uniform(2.2, 9.0), rng.uniform(0.03, 0.16)
    first = np.sin(2 * math.pi * along / period)
    second = np.sin(2 * math.pi * (along + rng.uniform(-0.15, 0.15) * down) / (period * rng.uniform(1.02, 1.15)))
    return np.asarray(amplitude * (0.4 * first + 0.6 * first * second), np.float32)


def degrade(view: Pixels, rng: random.Random, hardness: float) -> Pixels:
    """One of blur, down and up again, noise, JPEG, sharpening."""
    action: Callable[[Pixels, random.Random, float], Pixels] = rng.choice(
        (_blur, _shrink, _noise, _jpeg, _jpeg, _sharpen)
    )
    return action(view, rng, hardness)


def _blur(view: Pixels, rng: random.Random, hardness: float) -> Pixels:
    return np.asarray(cv2.GaussianBlur(view, (0, 0), rng.uniform(0.3, 0.6 + 1.2 * hardness)), np.uint8)


def _shrink(view: Pixels, rng: random.Random, hardness: float) -> Pixels:
    side = rng.randint(round(64 - 36 * hardness), 72)
    small = cv2.resize(view, (side, side), interpolation=cv2.INTER_AREA)
    way = rng.choice((cv2.INTER_LINEAR, cv2.INTER_NEAREST, cv2.INTER_CUBIC))
    return np.asarray(cv2.resize(small, (SIDE, SIDE), interpolation=way), np.uint8)


def _noise(view: Pixels, rng: random.Random, hardness: float) -> Pixels:
    generator = np.random.default_rng(rng.getrandbits(32))
    noise = generator.standard_normal(view.shape, np.float32) * rng.uniform(4, 10 + 26 * hardness)
    return np.clip(view + noise, 0, 255).astype(np.uint8)


def _jpeg(view: Pixels, rng: random.Random, hardness: float) -> Pixels:
    quality = rng.randint(round(40 - 32 * hardness), 75)
    encoded = cv2.imencode(".jpg", view[..., ::-1], (cv2.IMWRITE_JPEG_QUALITY, quality))[1]
    decoded = cv2.imdecode(encoded, cv2.IMREAD_COLOR)
    return np.ascontiguousarray(np.asarray(decoded, np.uint8)[..., ::-1])


def _sharpen(view: Pixels, rng: random.Random, hardness: float) -> Pixels:
    blurred = cv2.GaussianBlur(view, (0, 0), 1.0).astype(np.float32)
    return np.clip(view + (view - blurred) * rng.uniform(0.3, 1 + hardness), 0, 255).astype(np.uint8)


def contact_sheet(pictures: Sequence[Picture], columns: int, hardness: float, seed: int = 0) -> Image.Image:
    """A row a picture: the whole picture, a weak view, then strong views; the next row's picture lends its pixels."""
    rng = random.Random(seed)
    gap = 4
    rows = len(pictures)
    sheet = Image.new("RGB", ((columns + 2) * (SIDE + gap) + gap, rows * (SIDE + gap) + gap), (128, 128, 128))
    for row, picture in enumerate(pictures):
        other = pictures[(row + 1) % rows]
        views = [whole(picture), weak_view(picture, rng)]
        views += [strong_view(picture, rng, hardness, other) for _ in range(columns)]
        for column, view in enumerate(views):
            sheet.paste(Image.fromarray(view), (gap + column * (SIDE + gap), gap + row * (SIDE + gap)))
    return sheet


def _drawn(number: int) -> Picture:
    image = draw(FAMILIES[number * 7 % len(FAMILIES)], number)
    return Picture(np.asarray(squash(image, LARGE)), np.asarray(squash(image, SMALL)), image.width / image.height)


def _cached(folder: Path, count: int) -> list[Picture]:
    corpus = open_cache(folder)
    numbers = np.linspace(0, len(corpus) - 1, count).astype(int)
    return [Picture(corpus.large[at], corpus.small[at], float(corpus.aspect[at])) for at in numbers]


def main() -> None:
    """Command line: the contact sheet of drawings, or of cached training pictures."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--sheet", type=Path, required=True, help="PNG to write")
    parser.add_argument("--cache", type=Path, default=None, help="written by a training run")
    parser.add_argument("--rows", type=int, default=12)
    parser.add_argument("--columns", type=int, default=12)
    parser.add_argument("--hardness", type=float, default=1.0)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    drawn = arguments.cache is None
    pictures = [_drawn(n) for n in range(arguments.rows)] if drawn else _cached(arguments.cache, arguments.rows)
    contact_sheet(pictures, arguments.columns, arguments.hardness, arguments.seed).save(arguments.sheet)


if __name__ == "__main__":
    main()
