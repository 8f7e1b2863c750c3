"""Pairs that verify geometrically and whose relation is known: what `workers.training.relation` is fitted on.

Copies: pictures and drawn documents under edits, drawn documents scanned or coded again.  Same layout: drawn documents
of one template with other content, filled forms against their blanks, and different pictures of one class of the
archives that verify anyway.
"""

from __future__ import annotations

import hashlib
import io
import random
import tarfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from types import MappingProxyType
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from workers.closer_look.codebook import Codebook, shipped_codebook
from workers.closer_look.feature_index import FeatureIndex
from workers.closer_look.geometry import Geometry, verify
from workers.closer_look.local_features import REFERENCE_FEATURES, LocalFeatures, extract, pack
from workers.decoding.pixels import canonical, grey_plane
from workers.training.dataset import Item
from workers.training.drawing import FAMILIES, TRAINING_SEEDS, draw
from workers.training.drawing.pairs import COPIES, Bond, pair
from workers.transformations import TRANSFORMS, paste, screen_photo

SOURCES: Final = (
    "classes/documents",
    "classes/synthetic",
    "classes/screenshots",
    "photos/clothing",
    "photos/trashnet",
    "photos/imagenet_samples",
    "photos/bsds500",
)
SAME_OBJECT: Final = ("barcode", "qr_code", "chest_xray")
"""Groups in which two pictures often show one and the same thing."""
NEAR_DUPLICATE: Final = 0.98
"""Correlation of two 16 x 16 thumbnails from which they are taken for one picture."""
EDITS: Final = (*TRANSFORMS, "paste", "screen_photo", "screen_photo", "screen_photo")
RESOLUTIONS: Final = (100, 150)
"""DPI of the drawn documents: the plane has 44 of an A4 page, so more takes time and changes nothing."""
EDITED_SIDE: Final = 512
SEARCHES: Final = 160
CANDIDATES: Final = 4

type Plane = NDArray[np.uint8]
type Progress = Callable[[str], None]


class Side(StrEnum):
    """What a pair is used for: to fit, to choose, or to be looked at once at the end."""

    TRAINING = "training"
    VALIDATION = "validation"
    HELD_OUT = "held_out"


FIRST_SEED: Final[Mapping[Side, int]] = MappingProxyType(
    {Side.TRAINING: TRAINING_SEEDS, Side.VALIDATION: TRAINING_SEEDS + 700_000_000, Side.HELD_OUT: 1_000_000}
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Amounts:
    """How many pairs are made of each kind: pictures under edits, and of each bond of drawn documents."""

    edits: int
    bonds: Mapping[Bond, int]
    pictures: int

    def __post_init__(self) -> None:
        """Raises ValueError for a negative amount."""
        if min(self.edits, self.pictures, *self.bonds.values()) < 0:
            raise ValueError("amounts are not negative")


TO_FIT: Final = Amounts(
    edits=10 * len(EDITS),
    bonds={Bond.OTHER_CONTENT: 84, Bond.BLANK_FORM: 40, Bond.RESCANNED: 63, Bond.RECODED: 28},
    pictures=24,
)
TO_MEASURE: Final = Amounts(
    edits=8 * len(EDITS),
    bonds={Bond.OTHER_CONTENT: 63, Bond.BLANK_FORM: 32, Bond.RESCANNED: 63, Bond.RECODED: 21},
    pictures=16,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Verified:
    """Two planes that verify: ``geometry`` maps the reference's to the query's."""

    kind: str
    copy: bool
    reference: Plane
    query: Plane
    geometry: Geometry


def side_of(payload: bytes) -> Side:
    """A quarter of all files is held out, by content; a quarter of the others validates."""
    number = int(hashlib.sha256(payload).hexdigest(), 16)
    if number % 4 == 0:
        return Side.HELD_OUT
    return Side.VALIDATION if number // 4 % 4 == 0 else Side.TRAINING


def plane_of(image: Image.Image) -> Plane:
    """The plane the decoder makes of an upright picture."""
    return np.asarray(grey_plane(canonical(image, 1)))


def verified(kind: str, reference: Plane, query: Plane, *, copy: bool) -> Verified | None:
    """Look for the transform as the worker does; None where nothing verifies."""
    codebook = shipped_codebook()
    geometry = _transform(extract(query), pack(extract(reference, limit=REFERENCE_FEATURES), codebook), codebook)
    if geometry is None:
        return None
    return Verified(kind=kind, copy=copy, reference=reference, query=query, geometry=geometry)


def _transform(query: LocalFeatures, packed: bytes, codebook: Codebook) -> Geometry | None:
    found = (verify(query, packed, codebook, mirror=mirror) for mirror in (False, True))
    return max(found, key=lambda each: 0 if each is None else each.inliers)


def drawn_pairs(side: Side, bonds: Mapping[Bond, int]) -> Iterator[Verified]:
    """Documents of all kinds, by bond: scanned again, coded again, other content, against their blanks."""
    for bond, count in bonds.items():
        for seed in range(FIRST_SEED[side], FIRST_SEED[side] + count):
            drawn = pair(bond, seed, resolutions=RESOLUTIONS)
            kind = f"{bond} {drawn.kind}" if bond not in COPIES else str(bond)
            found = verified(kind, plane_of(drawn.first), plane_of(drawn.second), copy=bond in COPIES)
            if found is not None:
                yield found


def edited(image: Image.Image, name: str, rng: random.Random, other: Image.Image) -> Image.Image:
    """The picture after the named edit: one of the benchmark's, a photograph of a screen, or a paste."""
    if name == "screen_photo":
        return screen_photo(image, rng, rng.random())
    if name == "paste":
        return paste(image, rng, other, rng.uniform(0.12, 0.4))
    return TRANSFORMS[name](image, rng, other)


def edited_pictures(pictures: Sequence[Image.Image], seed: int, count: int) -> Iterator[Verified]:
    """``count`` pairs: the edits take turns, and so do the pictures."""
    for number in range(count):
        name, image = EDITS[number % len(EDITS)], pictures[number * 7 % len(pictures)]
        other = _at_scale(pictures[(number * 7 + 3) % len(pictures)])
        query = edited(_at_scale(image), name, random.Random(f"{seed}:{number}"), other)
        found = verified(name, plane_of(image), plane_of(query), copy=True)
        if found is not None:
            yield found


def _at_scale(image: Image.Image) -> Image.Image:
    scale = EDITED_SIDE / max(image.size)
    size = max(1, round(image.width * scale)), max(1, round(image.height * scale))
    return image.resize(size, Image.Resampling.BICUBIC)


def look_alikes(items: Sequence[Item]) -> Iterator[Verified]:
    """Different pictures that verify against one another, as at most `SEARCHES` searches find them."""
    codebook = shipped_codebook()
    planes = [plane_of(item.image) for item in items]
    found = [extract(plane) for plane in planes]
    packed = [pack(each, codebook) for each in found]
    index = FeatureIndex.build(packed, codebook)
    small = np.stack([_thumbnail(plane) for plane in planes])
    for number in range(0, len(items), -(-len(items) // SEARCHES)):
        for candidate in index.candidates(found[number], CANDIDATES):
            other = candidate.number
            if other == number or float(small[number] @ small[other]) > NEAR_DUPLICATE:
                continue
            geometry = verify(found[number], packed[other], codebook, mirror=candidate.mirrored)
            if geometry is not None:
                kind = f"look_alike {items[other].group.split('/')[-1]}"
                reference, query = planes[other], planes[number]
                yield Verified(kind=kind, copy=False, reference=reference, query=query, geometry=geometry)


def _thumbnail(plane: Plane) -> NDArray[np.float32]:
    small = cv2.resize(plane, (16, 16), interpolation=cv2.INTER_AREA).astype(np.float32).ravel()
    small -= small.mean()
    return np.asarray(small / max(1e-6, float(np.linalg.norm(small))), np.float32)


def read_groups(data: Path, side: Side, most: int) -> dict[str, list[Item]]:
    """At most ``most`` pictures of every group of documents and of every source of photographs."""
    groups: dict[str, list[Item]] = {}
    for source in SOURCES:
        with tarfile.open(data / f"{source}.tar") as archive:
            for member in archive:
                name = member.name.split("/")[0]
                key = source if source.startswith("photos/") else f"{source}/{name}"
                group = groups.setdefault(key, [])
                stream = archive.extractfile(member) if member.isfile() and len(group) < most else None
                payload = stream.read() if stream is not None else b""
                if payload and side_of(payload) == side and not any(word in name for word in SAME_OBJECT):
                    image = Image.open(io.BytesIO(payload)).convert("RGB")
                    group.append(Item(source=source, group=key, image=image))
    return groups


def collect(data: Path, side: Side, amounts: Amounts, progress: Progress) -> list[Verified]:
    """All pairs of one side."""
    items = [item for group in read_groups(data, side, amounts.pictures).values() for item in group]
    seed = FIRST_SEED[side]
    pictures = [item.image for item in items[:: max(1, len(items) // 60)]]
    pictures += [draw(family, seed + number) for number in range(2) for family in FAMILIES]
    progress(f"{side}: {len(items)} pictures read, {len(pictures)} of them or drawn to be edited")
    pairs = list(edited_pictures(pictures, seed, amounts.edits))
    progress(f"{side}: {len(pairs)} of {amounts.edits} edited pictures verify")
    documents = list(drawn_pairs(side, amounts.bonds))
    progress(f"{side}: {len(documents)} of {sum(amounts.bonds.values())} drawn pairs verify")
    others = list(look_alikes(items))
    progress(f"{side}: {len(others)} look-alikes verify")
    return [*pairs, *documents, *others]
