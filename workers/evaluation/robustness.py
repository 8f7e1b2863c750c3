"""Which edits of a user's own images are found: every transformation at every strength through the whole inspection."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from PIL import Image, ImageOps

from shared.extract.sniff import sniff
from shared.types import Verdict
from workers.decoding.formats import picture_formats
from workers.evaluation.strengths import STRENGTHS, edits_of

QUALITY: Final = 90
"""JPEG quality at which an edited picture is sent, the usual one of editors."""


class Inspects(Protocol):
    """The inspection, such as an Inspector."""

    async def inspect(self, data: bytes, sha256: str) -> Verdict:
        """Return the verdict; never raises."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """One of the user's images, RGB, and the reference that its copies should be found as."""

    name: str
    reference: str
    image: Image.Image


@dataclass(frozen=True, slots=True, kw_only=True)
class Copy:
    """An edited copy, as a file."""

    subject: Subject
    transformation: str
    strength: str
    data: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What the inspection said of a copy.

    ``found``: its reference is among the set's matches, however low; ``matched``: something of the set reaches its
    threshold, which is what policies act on; ``score``: the set's best, 0 for none.
    """

    name: str
    transformation: str
    strength: str
    found: bool
    matched: bool
    score: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """How the copies under one transformation at one strength fared; ``worst_image`` has the lowest score."""

    transformation: str
    strength: str
    tried: int
    found: int
    matched: int
    mean_score: float
    lowest_score: float
    worst_image: str


def open_picture(data: bytes) -> Image.Image:
    """Return an upright RGB picture of bytes that the sandbox has decoded before."""
    picture_formats.register()
    with picture_formats.open_picture(data, sniff(data)) as image:  # the user's own, decoded before
        upright = ImageOps.exif_transpose(image)
        if upright.has_transparency_data:
            layer = upright.convert("RGBA")
            white = Image.new("RGBA", layer.size, "white")
            return Image.alpha_composite(white, layer).convert("RGB")
        return upright.convert("RGB")


def copies_of(subjects: Sequence[Subject]) -> tuple[Iterator[Copy], int]:
    """Return every edited copy, made when it is asked for, and how many there are."""
    edited = edits_of([subject.image for subject in subjects])
    copies = (
        Copy(subject=subjects[number], transformation=name, strength=strength, data=_jpeg(image))
        for name, strength, number, image in edited
    )
    return copies, len(subjects) * sum(map(len, STRENGTHS.values()))


def _jpeg(image: Image.Image) -> bytes:
    stream = io.BytesIO()
    image.convert("RGB").save(stream, "JPEG", quality=QUALITY)
    return stream.getvalue()


async def try_copy(inspector: Inspects, set_name: str, copy: Copy) -> Outcome:
    """Return how one copy fares in a set."""
    verdict = await inspector.inspect(copy.data, hashlib.sha256(copy.data).hexdigest())
    matches = [match for match in verdict.matches if match.set == set_name]
    return Outcome(
        name=copy.subject.name,
        transformation=copy.transformation,
        strength=copy.strength,
        found=any(match.reference == copy.subject.reference for match in matches),
        matched=any(match.matched for match in matches),
        score=max((match.score for match in matches), default=0.0),
    )


def tabulate(outcomes: Sequence[Outcome]) -> tuple[Row, ...]:
    """Return one row a transformation and strength: the lowest share matched first, then the lowest mean score."""
    groups: dict[tuple[str, str], list[Outcome]] = {}
    for outcome in outcomes:
        groups.setdefault((outcome.transformation, outcome.strength), []).append(outcome)
    rows = [_row(name, strength, group) for (name, strength), group in groups.items()]
    return tuple(sorted(rows, key=lambda row: (row.matched / row.tried, row.mean_score)))


def _row(transformation: str, strength: str, outcomes: Sequence[Outcome]) -> Row:
    worst = min(outcomes, key=lambda outcome: outcome.score)
    return Row(
        transformation=transformation,
        strength=strength,
        tried=len(outcomes),
        found=sum(outcome.found for outcome in outcomes),
        matched=sum(outcome.matched for outcome in outcomes),
        mean_score=round(sum(outcome.score for outcome in outcomes) / len(outcomes), 2),
        lowest_score=round(worst.score, 2),
        worst_image=worst.name,
    )
