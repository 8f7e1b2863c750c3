"""The pictures of an evaluation: archives, a folder, or drawn ones; near-duplicates removed, cut into three roles.

Only files whose SHA-256 is 0 modulo 4 are taken from archives: no training has seen them. A folder is the user's own,
which no training has seen either. Pictures are read when they are used, one at a time.
"""

from __future__ import annotations

import io
import random
import tarfile
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from shared.errors import UsageError
from workers.decoding.pixels import canonical as upright
from workers.decoding.pixels import reducible
from workers.decoding.protocol import FORMATS
from workers.training.dataset import DRAWN, held_out
from workers.training.drawing import FAMILIES, draw

REFERENCES: Final[Mapping[str, int]] = MappingProxyType(
    {"photos/imagenet_samples": 120, "photos/bsds500": 50, "photos/clothing": 130}
)
"""Where the benchmark's 300 references come from; hard on purpose: most garments lie on the same floor."""
BENCHMARK: Final = sum(REFERENCES.values())
LEFT_OUT: Final = frozenset({"photos/tiny_imagenet64"})
"""64 px originals say little about pictures of today."""
DISTRACTORS: Final = 1220
NEGATIVES: Final = 1080
NEAR_DUPLICATE: Final = 0.98
THUMBNAIL: Final = 16
CHUNK: Final = 512
EVALUATION_SEEDS: Final = 600_000_000
"""Drawings from here on are neither trained on (above 1,000,000,000) nor calibrated with (700,000,000)."""
EXIF_ORIENTATION: Final = 0x0112
UPRIGHT: Final = 1
MAX_PIXELS: Final = 50_000_000
MAX_FILES: Final = 20_000
LEAST: Final = 10
SUFFIXES: Final = frozenset({".jpg", ".jpeg", ".png", ".gif", ".webp", ".bmp", ".tif", ".tiff"})
SCREENS: Final = frozenset({"spreadsheet_screenshot", "source_code_screenshot", "app_screenshot"})
PRODUCTS: Final = frozenset({"photos/clothing", "photos/grocery", "photos/trashnet"})

type Thumbnails = NDArray[np.float32]


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """One picture that can be opened: where it is from, its look-alikes' group, its kind of content."""

    source: str
    group: str
    stratum: str
    opener: Callable[[], Image.Image]

    def open(self) -> Image.Image:
        """Its RGB pixels; raises OSError where they cannot be read."""
        return self.opener()


@dataclass(frozen=True, slots=True, kw_only=True)
class Split:
    """Pictures by role: those to be found, those that stand beside them, those that are nobody's copy."""

    references: tuple[Picture, ...]
    distractors: tuple[Picture, ...]
    negatives: tuple[Picture, ...]


def read_picture(data: bytes) -> Image.Image:
    """The RGB picture of a file's bytes; raises OSError for any that is none, or is over `MAX_PIXELS`."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with Image.open(io.BytesIO(data), formats=FORMATS) as image:
                if image.width * image.height > MAX_PIXELS:
                    raise OSError(f"{image.width} x {image.height} pixels are too many")
                orientation = image.getexif().get(EXIF_ORIENTATION, UPRIGHT)
                image.load()  # what needs no conversion would be read after its file was closed
                return upright(reducible(image), orientation)
    except OSError:
        raise
    except Exception as error:  # a broken file makes Pillow raise anything
        raise OSError(f"not a picture: {type(error).__name__}") from error


def read_archives(data: Path, kinds: Sequence[str] = ("photos", "classes")) -> Iterator[Picture]:
    """Every held-out JPEG of the tar archives under the `kinds` of `data`, in a fixed order; groups are folders."""
    for source, group, payload in members(data, kinds):
        if held_out(payload):
            yield _archived(source, group, payload)


def read_trained(data: Path, kinds: Sequence[str]) -> Iterator[Picture]:
    """The other pictures of the archives: a training may have seen them, so they stand by and are never asked for."""
    for source, group, payload in members(data, kinds):
        if not held_out(payload):
            yield _archived(source, group, payload)


def members(data: Path, kinds: Sequence[str]) -> Iterator[tuple[str, str, bytes]]:
    """Source, group and bytes of every JPEG of the archives under the `kinds` of `data`, in a fixed order."""
    for archive in sorted(path for kind in kinds for path in data.glob(f"{kind}/*.tar")):
        source = f"{archive.parent.name}/{archive.stem}"
        with tarfile.open(archive) as tar:
            for member in tar:
                stream = tar.extractfile(member) if member.isfile() else None
                if stream is not None and member.name.lower().endswith((".jpg", ".jpeg")):
                    yield source, f"{source}/{member.name.split('/')[0]}", stream.read()


def _archived(source: str, group: str, payload: bytes) -> Picture:
    stratum = stratum_of(source, group)
    return Picture(source=source, group=group, stratum=stratum, opener=partial(read_picture, payload))


def stratum_of(source: str, group: str) -> str:
    """The kind of content: documents, user interfaces, products, photographs, drawn."""
    if source == DRAWN:
        return "drawn"
    if source.startswith("classes/"):
        return "user interfaces" if group.rsplit("/", 1)[-1] in SCREENS else "documents"
    return "products" if source in PRODUCTS else "photographs"


def read_folder(folder: Path) -> Iterator[Picture]:
    """The picture files under `folder`, at most `MAX_FILES`, by name; the first folder below it is the source."""
    files = sorted(path for path in folder.rglob("*") if path.suffix.lower() in SUFFIXES and path.is_file())
    for path in files[:MAX_FILES]:
        parts = path.relative_to(folder).parts
        source = parts[0] if len(parts) > 1 else folder.name
        opener = partial(_read_file, path)
        yield Picture(source=source, group="/".join(parts[:-1]) or source, stratum="pictures", opener=opener)


def _read_file(path: Path) -> Image.Image:
    return read_picture(path.read_bytes())


def drawn_pictures(count: int, *, first: int = 0) -> Iterator[Picture]:
    """`count` drawings, the families in turn, that neither training nor calibration has seen; `first` skips some."""
    for number in range(first, first + count):
        family = FAMILIES[number % len(FAMILIES)]
        opener = partial(draw, family, EVALUATION_SEEDS + number)
        yield Picture(source=DRAWN, group=f"{DRAWN}/{family}", stratum="drawn", opener=opener)


def has_archives(data: Path) -> bool:
    """Whether `data` is laid out as archives of the benchmark."""
    return any(data.glob("photos/*.tar"))


def readable(pictures: Iterable[Picture]) -> tuple[list[Picture], Thumbnails]:
    """Those that can be opened, and N x 256 standardised grey thumbnails: their dot product is the correlation."""
    kept, rows = [], []
    for picture in pictures:
        try:
            grey = picture.open().convert("L").resize((THUMBNAIL, THUMBNAIL), Image.Resampling.BOX)
        except OSError:
            continue
        kept.append(picture)
        rows.append(np.asarray(grey, np.float32).ravel())
    thumbnails = np.stack(rows) if rows else np.empty((0, THUMBNAIL * THUMBNAIL), np.float32)
    thumbnails = thumbnails - thumbnails.mean(axis=1, keepdims=True)
    length = np.linalg.norm(thumbnails, axis=1, keepdims=True)
    return kept, np.asarray(thumbnails / np.maximum(length, 1e-6), np.float32)


def without_near_duplicates(pictures: Iterable[Picture]) -> list[Picture]:
    """Drops what cannot be read, and every picture that looks like an earlier one."""
    kept, thumbnails = readable(pictures)
    fresh = []
    for at in range(0, len(kept), CHUNK):
        alike = thumbnails[at : at + CHUNK] @ thumbnails[: at + CHUNK].T > NEAR_DUPLICATE
        fresh.append(~np.tril(alike, at - 1).any(axis=1))
    keep = np.concatenate(fresh) if fresh else np.empty(0, np.bool_)
    return [picture for picture, is_fresh in zip(kept, keep, strict=True) if is_fresh]


def split_archives(data: Path, references: int, share: float = 1.0) -> Split:
    """The benchmark: held-out pictures, shuffled by a fixed seed, references by the shares of `REFERENCES`.

    `share` makes the other two roles smaller.
    """
    pictures = [picture for picture in read_archives(data) if picture.source not in LEFT_OUT]
    random.Random(7).shuffle(pictures)
    wanted = {source: round(count * references / BENCHMARK) for source, count in REFERENCES.items()}
    chosen: list[Picture] = []
    rest: list[Picture] = []
    for picture in without_near_duplicates(pictures):
        if wanted.get(picture.source, 0) > 0:
            wanted[picture.source] -= 1
            chosen.append(picture)
        else:
            rest.append(picture)
    return _roles(chosen, rest, share)


def split_plain(pictures: Iterable[Picture], references: int, share: float = 1.0) -> Split:
    """Any pictures, shuffled by a fixed seed, in the benchmark's proportions where they are fewer than it has.

    Raises UsageError for fewer than `LEAST` different ones.
    """
    fresh = without_near_duplicates(pictures)
    random.Random(7).shuffle(fresh)
    if len(fresh) < LEAST:
        raise UsageError(f"an evaluation needs {LEAST} different pictures at least; here are {len(fresh)}")
    whole = BENCHMARK + DISTRACTORS + NEGATIVES
    count = min(references, max(1, len(fresh) * BENCHMARK // whole))
    return _roles(fresh[:count], fresh[count:], min(share, len(fresh) / whole))


def _roles(chosen: list[Picture], rest: list[Picture], share: float) -> Split:
    distractors, negatives = round(DISTRACTORS * share), round(NEGATIVES * share)
    return Split(
        references=tuple(chosen),
        distractors=tuple(rest[:distractors]),
        negatives=tuple(rest[distractors : distractors + negatives]),
    )
