"""The pictures that workers are asked about: JPEG files, drawn by this project and photographs where there are."""

from __future__ import annotations

import io
import os
import random
import statistics
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Final

import numpy as np
from PIL import Image

from workers.evaluation.pictures import has_archives, read_archives
from workers.training.drawing import FAMILIES, draw

CORPUS: Final = Path(os.environ.get("SAFELIGHT_CORPUS", Path(__file__).resolve().parents[2] / "shared" / "data"))
"""Where photographs may be."""
SIZE: Final = (800, 600)
QUALITY: Final = 80
GRAIN: Final = 6.0
"""Standard deviation of the noise on photographs that are enlarged: they would be all too easy to decode without."""
QUESTION_SEEDS: Final = 40_000
REFERENCE_SEEDS: Final = 50_000
SKIPPED_PHOTOGRAPHS: Final = 7
"""Of each that is taken: archives are sorted, and one class of content after the other says little about a mix."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Mix:
    """JPEG files and what they are."""

    files: tuple[bytes, ...]
    photographs: int

    def describe(self) -> str:
        """Return what they are, for a report."""
        kilobytes = statistics.mean(map(len, self.files)) / 1000
        kinds = f"{len(self.files) - self.photographs} drawn by this project"
        if self.photographs:
            kinds += f" and {self.photographs} photographs (enlarged, with grain)"
        width, height = SIZE
        return f"JPEG, {width} x {height}, quality {QUALITY}, {kilobytes:.0f} KB on average: {kinds}"


def make_mix(count: int, corpus: Path = CORPUS) -> Mix:
    """Return ``count`` pictures, every other one a photograph where ``corpus`` has archives of them."""
    photographs = tuple(islice(_photographs(corpus), count // 2)) if has_archives(corpus) else ()
    drawn = tuple(drawings(count - len(photographs), QUESTION_SEEDS))
    return Mix(files=_shuffled([*drawn, *photographs]), photographs=len(photographs))


def drawings(count: int, first_seed: int) -> Iterator[bytes]:
    """Yield drawn pictures, of all families in turn, none like another."""
    for number in range(count):
        yield encoded(draw(FAMILIES[number % len(FAMILIES)], first_seed + number).convert("RGB").resize(SIZE))


def encoded(picture: Image.Image) -> bytes:
    """Return the picture as a JPEG file."""
    file = io.BytesIO()
    picture.save(file, "JPEG", quality=QUALITY)
    return file.getvalue()


def distinct(data: bytes, number: int) -> bytes:
    """Return a JPEG of the same pixels that no cache has seen: ``number`` is in a comment behind its first marker."""
    if data[:2] != b"\xff\xd8":
        raise ValueError("this is no JPEG")
    note = number.to_bytes(8)
    return data[:2] + b"\xff\xfe" + (len(note) + 2).to_bytes(2) + note + data[2:]


def _photographs(corpus: Path) -> Iterator[bytes]:
    source = np.random.default_rng(QUESTION_SEEDS)
    for picture in islice(read_archives(corpus, ("photos",)), 0, None, SKIPPED_PHOTOGRAPHS):
        pixels = np.asarray(picture.open().convert("RGB").resize(SIZE, Image.Resampling.BICUBIC), dtype=np.float32)
        grainy = pixels + source.standard_normal(pixels.shape, dtype=np.float32) * GRAIN
        yield encoded(Image.fromarray(grainy.clip(0, 255).astype(np.uint8)))


def _shuffled(files: Sequence[bytes]) -> tuple[bytes, ...]:
    order = list(files)
    random.Random(QUESTION_SEEDS).shuffle(order)
    return tuple(order)
