"""Every transformation at three strengths, and how far the copies of some pictures are found under each."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from PIL import Image, ImageEnhance, ImageFilter, ImageOps

from workers import transformations as to
from workers.training.drawing import draw
from workers.transformations import Edit, canonical

BESIDE: Final = "product_render"

type Steps = tuple[tuple[str, Edit], ...]


def _over[T](values: Sequence[T], label: str, edit: Callable[[Image.Image, T], Image.Image]) -> Steps:
    """One step a value, of an edit that throws no dice; `label` is a format of the value."""

    def step(value: T) -> Edit:
        return lambda image, _rng, _other: edit(image, value)

    return tuple((label.format(value), step(value)) for value in values)


def _thrown[T](values: Sequence[T], label: str, edit: Callable[[Image.Image, random.Random, T], Image.Image]) -> Steps:
    """One step a value, of an edit that throws dice."""

    def step(value: T) -> Edit:
        return lambda image, rng, _other: edit(image, rng, value)

    return tuple((label.format(value), step(value)) for value in values)


def _then_jpeg(edit: Callable[[Image.Image], Image.Image]) -> Steps:
    """An edit that has no strength of its own: as it is, then recompressed harder and harder."""

    def step(quality: int) -> Edit:
        return lambda image, _rng, _other: to.jpeg(edit(image), quality)

    return (("as it is", lambda image, _rng, _other: edit(image)), *((f"JPEG {q}", step(q)) for q in (50, 15)))


def _beside[T](
    values: Sequence[T], label: str, edit: Callable[[Image.Image, random.Random, Image.Image, T], Image.Image]
) -> Steps:
    """One step a value, of an edit that needs another picture."""

    def step(value: T) -> Edit:
        return lambda image, rng, other: edit(image, rng, other, value)

    return tuple((label.format(value), step(value)) for value in values)


def _two_tones(image: Image.Image) -> Image.Image:
    return image.convert("1").convert("RGB")


STRENGTHS: Final[Mapping[str, Steps]] = MappingProxyType(
    {
        "jpeg": _over((60, 30, 10), "quality {}", to.jpeg),
        "resize": _over((2, 4, 8), "1/{}", to.shrink),
        "crop, large": _thrown((0.8, 0.65, 0.5), "{:.0%} of the area", to.crop),
        "crop, small": _thrown((0.35, 0.25, 0.1), "{:.0%} of the area", to.crop),
        "tilt": _thrown((5, 10, 20), "{} degrees", to.tilt),
        "turn": _over((30, 45, 60), "{} degrees", to.turn),
        "quarter turn": _then_jpeg(lambda image: image.transpose(to.TURN_90)),
        "half turn": _then_jpeg(lambda image: image.transpose(to.TURN_180)),
        "mirror": _then_jpeg(ImageOps.mirror),
        "upside down": _then_jpeg(ImageOps.flip),
        "brighter": _over((1.3, 1.7, 2.2), "x {}", lambda image, by: ImageEnhance.Brightness(image).enhance(by)),
        "darker": _over((0.7, 0.4, 0.2), "x {}", lambda image, by: ImageEnhance.Brightness(image).enhance(by)),
        "contrast": _over((1.5, 2.0, 0.4), "x {}", lambda image, by: ImageEnhance.Contrast(image).enhance(by)),
        "saturation": _over((1.5, 2.5, 0.2), "x {}", lambda image, by: ImageEnhance.Color(image).enhance(by)),
        "grey": (
            ("half", lambda image, _rng, _other: ImageEnhance.Color(image).enhance(0.5)),
            ("whole", lambda image, _rng, _other: to.grey(image)),
            ("two tones", lambda image, _rng, _other: _two_tones(image)),
        ),
        "blur": _over((2, 5, 9), "sigma {} px", lambda image, by: image.filter(ImageFilter.GaussianBlur(by))),
        "caption": _thrown((1, 2, 4), "{} lines", to.caption),
        "emoji": _thrown((0.05, 0.15, 0.3), "{:.0%} covered", to.emoji),
        "screenshot": _thrown((0.75, 0.5, 0.25), "{:.0%} of the window", to.screenshot),
        "aspect": _over((1.2, 1.5, 2.0), "x {}", to.stretch),
        "noise": _thrown((10, 25, 50), "sigma {}", to.noise),
        "collage": _beside((2, 3, 4), "one of {0} x {0}", to.collage),
        "paste on a picture": _beside((0.5, 0.3, 0.15), "{:.0%} of it", to.paste),
        "border": _thrown((0.05, 0.15, 0.3), "{:.0%} of the side", to.border),
        "perspective": _thrown((0.08, 0.16, 0.25), "corners {:.0%} in", to.perspective),
        "photo of a screen": _thrown((0.2, 0.6, 1.0), "strength {}", to.screen_photo),
        "combination": _thrown(
            ((0.8, 3, 60), (0.6, 5, 40), (0.4, 12, 25)),
            "crop, colour, tilt, caption, JPEG {0[2]}",
            lambda image, rng, how: to.combo(image, rng, *how),
        ),
    }
)
"""Transformation -> (what its strength is called, edit), from weak to strong; pictures of 512 px (`canonical`)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sighting:
    """What a search says of one edited picture: was its own reference matched, and with which score (0 where not)."""

    matched: bool
    score: float


@dataclass(frozen=True, slots=True, kw_only=True)
class StrengthRow:
    """How the copies fared under one transformation at one strength; `tried` pictures, scores 0..100."""

    transformation: str
    strength: str
    tried: int
    matched: int
    mean_score: float
    lowest_score: float


def edits_of(images: Sequence[Image.Image], *, seed: int = 11) -> Iterator[tuple[str, str, int, Image.Image]]:
    """(transformation, strength, number of the image, edited image), all images of a strength in a row.

    The same for the same images and seed. What is pasted beside an image is the next one, a drawing for the last.
    Images may have any size; they are brought to 512 px.
    """
    pictures = [canonical(image.convert("RGB")) for image in images]
    others = [*pictures[1:], canonical(draw(BESIDE, seed))]
    for name, steps in STRENGTHS.items():
        for strength, edit in steps:
            for number, (picture, other) in enumerate(zip(pictures, others, strict=False)):
                yield name, strength, number, edit(picture, random.Random(f"{seed}:{name}:{strength}:{number}"), other)


def robustness(
    images: Sequence[Image.Image], search: Callable[[int, Image.Image], Sighting], *, seed: int = 11
) -> tuple[StrengthRow, ...]:
    """How far edited copies of `images` are found by `search(number of the image, edited image)`.

    One row a transformation and strength, in the order of `STRENGTHS`; none for no images. Every image costs 81
    searches. Whatever `search` raises passes through.
    """
    rows: dict[tuple[str, str], list[Sighting]] = {}
    for name, strength, number, edited in edits_of(images, seed=seed):
        rows.setdefault((name, strength), []).append(search(number, edited))
    return tuple(
        StrengthRow(
            transformation=name,
            strength=strength,
            tried=len(seen),
            matched=sum(one.matched for one in seen),
            mean_score=sum(one.score for one in seen) / len(seen),
            lowest_score=min(one.score for one in seen),
        )
        for (name, strength), seen in rows.items()
    )
