"""What both encoders see of a picture: the whole of it, enrolled views, and what people do to pictures.

A converter is trained on some pictures and measured on others: neither it nor, where they were trained by this project,
the encoders have seen those whose files `dataset.held_out` names.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Final, Protocol, Self

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from workers.decoding.reference_views import VIEWS, reference_views
from workers.training.dataset import DRAWN, Item, held_out, read_archives, squash
from workers.training.drawing import FAMILIES, TRAINING_SEEDS, draw
from workers.training.edits import EDITS
from workers.training.folder import picture_paths, read_pictures

LARGEST: Final = 384
"""Pixels of the long side: encoders see 128 of them."""
SEEDS: Final = TRAINING_SEEDS + 700_000_000
"""Drawings that neither training nor calibration has."""
DRAWN_SHARE: Final = 0.25
VIEWS_SEEN: Final = 2
"""Of a picture that is trained on: its views look alike, and another picture teaches more."""

type Vectors = NDArray[np.float32]
type Report = Callable[[str], None]


class Embeds(Protocol):
    """An encoder."""

    @property
    def side(self) -> int:
        """Of its squares, in pixels."""
        ...

    def embed(self, pixels: Sequence[bytes]) -> Vectors:
        """Return n x dimension, L2 = 1."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """P pictures by both encoders: ``source`` P x K x D, ``target`` P x K x E, L2 = 1.

    Of the K squares of a picture the first is the whole, ``views`` more are enrolled views, the rest edited copies.
    """

    source: Vectors
    target: Vectors
    views: int

    def swapped(self) -> Self:
        """The same, for the way back."""
        return replace(self, source=self.target, target=self.source)

    def part(self, rows: slice) -> Self:
        """Some of the pictures."""
        return replace(self, source=self.source[rows], target=self.target[rows])


def training_items(data: Path | None, images: Path | None, count: int) -> Iterator[Item]:
    """At most `count` pictures to train on, a quarter of them drawings, all of them where there are no others.

    Raises FileNotFoundError where `images` holds no pictures or `data` no archives.
    """
    return _items(data, images, count, lambda payload: not held_out(payload), SEEDS)


def held_out_items(data: Path | None, images: Path | None, count: int) -> Iterator[Item]:
    """At most `count` pictures to measure on, otherwise as ``training_items``."""
    return _items(data, images, count, held_out, SEEDS + count * len(FAMILIES))


def _items(
    data: Path | None, images: Path | None, count: int, wanted: Callable[[bytes], bool], seeds: int
) -> Iterator[Item]:
    if data is not None and not any(data.glob("*/*.tar")):
        raise FileNotFoundError(f"no archives under {data}")
    photographs = round(count * (1 - DRAWN_SHARE))
    found = 0
    for item in islice(_photographs(data, images, wanted, photographs), photographs):
        found += 1
        yield item
    beside = round(found * DRAWN_SHARE / (1 - DRAWN_SHARE)) if found else count
    for number in range(min(beside, count - found)):
        family = FAMILIES[number % len(FAMILIES)]
        image = draw(family, seeds + number // len(FAMILIES))
        yield Item(source=DRAWN, group=f"{DRAWN}/{family}", image=image)


def _photographs(data: Path | None, images: Path | None, wanted: Callable[[bytes], bool], count: int) -> Iterator[Item]:
    if images is not None:
        yield from read_pictures(picture_paths(images), images, wanted)
    if data is not None:
        # Archive after archive would give the first one's pictures alone.
        chosen: list[Item] = []
        rng = random.Random(count)
        for number, item in enumerate(read_archives(data, wanted=wanted)):
            if len(chosen) < count:
                chosen.append(item)
            elif (place := rng.randrange(number + 1)) < count:
                chosen[place] = item
        yield from chosen


def look(items: Iterator[Item], source: Embeds, target: Embeds, *, every_view: bool, seed: int, report: Report) -> Seen:
    """Embed pictures by both encoders: with ``every_view`` all views and every edit of each, else some at random.

    Raises ValueError where there are no pictures.
    """
    rng = random.Random(seed)
    rows: tuple[list[Vectors], list[Vectors]] = ([], [])
    for item in items:
        squares = _squares(item.image, rng, every_view=every_view)
        for encoder, found in ((source, rows[0]), (target, rows[1])):
            found.append(encoder.embed([squash(square, encoder.side).tobytes() for square in squares]))
        if len(rows[0]) % 100 == 0:
            report(f"seen {len(rows[0])} pictures")
    if not rows[0]:
        raise ValueError("there are no pictures that both encoders could see")
    views = len(VIEWS) - 1 if every_view else VIEWS_SEEN
    return Seen(source=np.stack(rows[0]), target=np.stack(rows[1]), views=views)


def _squares(image: Image.Image, rng: random.Random, *, every_view: bool) -> list[Image.Image]:
    small = image.copy()
    small.thumbnail((LARGEST, LARGEST))
    whole, *views = reference_views(small)
    if every_view:
        return [whole, *views, *(edit(small, rng) for edit in EDITS.values())]
    edits = tuple(EDITS.values())
    return [
        whole,
        *rng.sample(views, VIEWS_SEEN),
        *(rng.choice(edits)(each, rng) for each in (small, rng.choice(views))),
    ]
