"""The training pictures: tar archives of JPEGs and the project's own drawings, cached as squares.

A picture is cached twice, squashed to 256 and to 128 px (uint8), with its true aspect ratio beside it so that rotations
happen in the picture's own geometry. Files whose SHA-256 is 0 modulo 4 are held out: never trained on, only measured.
"""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from workers.training.drawing import FAMILIES, TRAINING_SEEDS, draw

LARGE: Final = 256
SMALL: Final = 128
HELD_OUT_MODULUS: Final = 4
DRAWN: Final = "drawn"
# Share of a random draw relative to 1: tiny_imagenet64 is blurred when enlarged, scenes15 is greyscale.
SOURCE_WEIGHTS: Final[Mapping[str, float]] = {
    "photos/tiny_imagenet64": 0.25,
    "photos/scenes15": 0.4,
    "classes/documents": 1.6,
    "classes/handwriting": 1.6,
    "classes/screenshots": 1.6,
    "classes/synthetic": 1.6,
}

type Pixels = NDArray[np.uint8]


def held_out(payload: bytes) -> bool:
    """True for a quarter of all files, by content, so that the split survives renaming and re-packing."""
    return int(hashlib.sha256(payload).hexdigest(), 16) % HELD_OUT_MODULUS == 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """One picture of a source: where it came from, which look-alike group it is in, its pixels."""

    source: str
    group: str
    image: Image.Image


def read_archives(data: Path, *, wanted: Callable[[bytes], bool]) -> Iterator[Item]:
    """Every wanted JPEG of `photos/*.tar` and `classes/*.tar` under `data`, in a fixed order; groups are folders."""
    for source, group, payload in read_files(data):
        if wanted(payload):
            yield Item(source=source, group=group, image=opened(payload))


def read_files(data: Path) -> Iterator[tuple[str, str, bytes]]:
    """Source, group and bytes of every such JPEG, which nobody has decoded yet."""
    for archive in sorted((*data.glob("photos/*.tar"), *data.glob("classes/*.tar"))):
        source = f"{archive.parent.name}/{archive.stem}"
        with tarfile.open(archive) as tar:
            for member in tar:
                stream = tar.extractfile(member) if member.isfile() else None
                if stream is not None and member.name.lower().endswith((".jpg", ".jpeg")):
                    yield source, f"{source}/{member.name.split('/')[0]}", stream.read()


def opened(payload: bytes) -> Image.Image:
    """The RGB pixels of a file; raises OSError where they cannot be read."""
    return Image.open(io.BytesIO(payload)).convert("RGB")


def read_drawings(per_family: int) -> Iterator[Item]:
    """`per_family` training drawings of every family, from the seeds reserved for training."""
    for family in FAMILIES:
        for index in range(per_family):
            yield Item(source=DRAWN, group=f"{DRAWN}/{family}", image=draw(family, TRAINING_SEEDS + index))


def squash(image: Image.Image, side: int) -> Image.Image:
    """The whole picture as a square, no letter box: area average where it shrinks, bilinear where it grows."""
    shrinking = min(image.size) >= side
    return image.resize((side, side), Image.Resampling.BOX if shrinking else Image.Resampling.BILINEAR)


@dataclass(frozen=True, slots=True, kw_only=True)
class Corpus:
    """All cached pictures: N x 256 x 256 x 3 and N x 128 x 128 x 3 uint8, width / height, group and source numbers."""

    large: Pixels
    small: Pixels
    aspect: NDArray[np.float32]
    group: NDArray[np.int32]
    source: NDArray[np.int32]
    groups: tuple[str, ...]
    sources: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.large)


def build_cache(items: Iterator[Item], folder: Path, *, capacity: int = 40_000) -> Corpus:
    """Writes at most `capacity` pictures to memory-mapped files under `folder` and opens them."""
    folder.mkdir(parents=True, exist_ok=True)
    aspects: list[float] = []
    groups: list[str] = []
    sources: list[str] = []
    with (folder / "large.u8").open("wb") as large, (folder / "small.u8").open("wb") as small:
        for item, _ in zip(items, range(capacity), strict=False):
            square = squash(item.image, LARGE)
            large.write(square.tobytes())
            small.write(square.reduce(LARGE // SMALL).tobytes())
            aspects.append(item.image.width / item.image.height)
            groups.append(item.group)
            sources.append(item.source)
    (folder / "meta.json").write_text(json.dumps({"aspect": aspects, "group": groups, "source": sources}))
    return open_cache(folder)


def open_cache(folder: Path) -> Corpus:
    """Opens a cache written by `build_cache`; raises FileNotFoundError where there is none."""
    meta = json.loads((folder / "meta.json").read_text())
    count = len(meta["aspect"])
    group_names, source_names = tuple(sorted(set(meta["group"]))), tuple(sorted(set(meta["source"])))
    group_number = {name: number for number, name in enumerate(group_names)}
    source_number = {name: number for number, name in enumerate(source_names)}
    return Corpus(
        large=np.memmap(folder / "large.u8", np.uint8, "r", shape=(count, LARGE, LARGE, 3)),
        small=np.memmap(folder / "small.u8", np.uint8, "r", shape=(count, SMALL, SMALL, 3)),
        aspect=np.array(meta["aspect"], np.float32),
        group=np.array([group_number[name] for name in meta["group"]], np.int32),
        source=np.array([source_number[name] for name in meta["source"]], np.int32),
        groups=group_names,
        sources=source_names,
    )


class Sampler:
    """Draws the pictures of a batch: drawings of few families, look-alikes of one group, the rest by source weight.

    Look-alikes in one batch are what makes a negative hard: other garments on the same floor, other charts of one kind.
    """

    def __init__(
        self, corpus: Corpus, rng: np.random.Generator, *, drawn_share: float = 0.36, alike_share: float = 0.2
    ) -> None:
        self.rng = rng
        self.drawn_share = drawn_share
        self.alike_share = alike_share
        drawn = np.array([name.startswith(f"{DRAWN}/") for name in corpus.groups])
        members = {number: np.flatnonzero(corpus.group == number) for number in range(len(corpus.groups))}
        self.families = [rows for number, rows in members.items() if drawn[number]]
        self.alike = [rows for number, rows in members.items() if not drawn[number] and len(rows) >= 24]
        # Garments of every kind lie on one floor: whole sources count as look-alikes too, as often as their groups.
        by_source = [np.flatnonzero(corpus.source == number) for number in range(len(corpus.sources))]
        photographed = [rows for rows in by_source if len(rows) >= 24 and not drawn[corpus.group[rows[0]]]]
        self.alike += photographed * max(1, len(self.alike) // max(1, len(photographed)))
        self.photos = np.flatnonzero(~drawn[corpus.group])
        weight = np.array([SOURCE_WEIGHTS.get(corpus.sources[number], 1.0) for number in corpus.source[self.photos]])
        self.cumulative = np.cumsum(weight / weight.sum()) if len(weight) else weight

    def batch(self, count: int) -> NDArray[np.int64]:
        """`count` different row numbers (fewer where the corpus is smaller)."""
        picked: list[int] = []
        if self.families:
            share = 1.0 if not len(self.photos) else self.drawn_share
            chosen = self.rng.choice(len(self.families), size=min(4, len(self.families)), replace=False)
            pool = np.concatenate([self.families[number] for number in chosen])
            picked += self._take(pool, round(count * share))
        if self.alike:
            picked += self._take(self.alike[self.rng.integers(len(self.alike))], round(count * self.alike_share))
        if len(self.photos):
            at = np.searchsorted(self.cumulative, self.rng.random(count - len(picked)))
            picked += self.photos[np.minimum(at, len(self.photos) - 1)].tolist()
        return np.unique(np.array(picked, np.int64))

    def _take(self, pool: NDArray[np.int64], count: int) -> list[int]:
        return [int(row) for row in self.rng.choice(pool, size=min(count, len(pool)), replace=False)]
