"""Trains and measures the model that tells a copy from the same layout, on pairs that verify geometrically.

    python -m workers.training.relation --data ../shared/data --out workers/models/local-v1/relation.json

Copies: training pictures and drawn documents under edits, drawn documents scanned again.  Same layout: drawn documents
of one template with other content, filled forms against their blanks, and different pictures of one class of the
archives that verify anyway.  Measured on held-out pictures and seeds.
"""

from __future__ import annotations

import argparse
import io
import json
import random
import tarfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from workers.block_sketch import Agreement, compare, make_sketch
from workers.codebook import Codebook, shipped_codebook
from workers.feature_index import FeatureIndex
from workers.geometry import Geometry, verify
from workers.local_features import LocalFeatures, extract, pack
from workers.pixels import canonical, grey_plane
from workers.relation import FEWEST_CONTENT_BLOCKS, GEOMETRY_ALONE, INSIDE, SIGNS, features
from workers.training.dataset import Item, held_out
from workers.training.drawing import FAMILIES, TRAINING_SEEDS, draw
from workers.training.drawing.pairs import COPIES, Bond, pair
from workers.transformations import TRANSFORMS, paste, screen_photo

PER_GROUP: Final = 40
SOURCES: Final = ("classes/documents", "classes/synthetic", "classes/screenshots", "photos/clothing", "photos/trashnet")
SAME_OBJECT: Final = ("barcode", "qr_code", "chest_xray")
"""Groups in which two pictures often show one and the same thing."""
EDITS_EACH: Final = 4
NEAR_DUPLICATE: Final = 0.98
ROUNDS: Final = 4_000
RATE: Final = 0.5
SHRINKAGE: Final = 1e-3
HIDDEN: Final = ("screen_photo", "paste")

type Plane = NDArray[np.uint8]


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """A pair that verified: what kind it is, whether it is a copy, and what was found."""

    kind: str
    copy: bool
    geometry: Geometry
    agreement: Agreement


def plane_of(image: Image.Image) -> Plane:
    """The plane the decoder makes of an upright picture."""
    return np.asarray(grey_plane(canonical(image, 1)))


def verified(features_of: LocalFeatures, packed: bytes, codebook: Codebook) -> Geometry | None:
    """The transform found as it is or mirrored."""
    found = verify(features_of, packed, codebook, mirror=False)
    return found or verify(features_of, packed, codebook, mirror=True)


def case_of(kind: str, reference: Plane, query: Plane, *, copy: bool) -> Case | None:
    """Compares two planes; None where nothing verifies."""
    codebook = shipped_codebook()
    geometry = verified(extract(query), pack(extract(reference), codebook), codebook)
    if geometry is None:
        return None
    return Case(
        kind=kind, copy=copy, geometry=geometry, agreement=compare(query, make_sketch(reference), geometry.matrix)
    )


def drawn_pairs(first_seed: int, count: int) -> Iterator[Case]:
    """Documents of all kinds: scanned again, re-coded, other content, blank forms."""
    for bond in (Bond.RESCANNED, Bond.RECODED, Bond.OTHER_CONTENT, Bond.BLANK_FORM):
        for seed in range(first_seed, first_seed + count):
            drawn = pair(bond, seed)
            case = case_of(str(bond), plane_of(drawn.first), plane_of(drawn.second), copy=bond in COPIES)
            if case is not None:
                yield case


def edited(image: Image.Image, name: str, rng: random.Random, other: Image.Image) -> Image.Image:
    """The picture after the named edit: one of the benchmark's, a photograph of a screen, or a paste."""
    if name == "screen_photo":
        return screen_photo(image, rng, rng.random())
    if name == "paste":
        return paste(image, rng, other, rng.uniform(0.12, 0.4))
    return TRANSFORMS[name](image, rng, other)


def edited_pictures(pictures: Sequence[Image.Image], seed: int) -> Iterator[Case]:
    """Every picture under a few of the edits, which take turns."""
    names = (*TRANSFORMS, *HIDDEN)
    for number, image in enumerate(pictures):
        rng = random.Random(f"{seed}:{number}")
        large = _enlarged(image)
        for turn in range(EDITS_EACH):
            name = names[(number * EDITS_EACH + turn) % len(names)]
            query = edited(large, name, rng, _enlarged(pictures[(number + 7) % len(pictures)]))
            case = case_of(name, plane_of(image), plane_of(query), copy=True)
            if case is not None:
                yield case


def _enlarged(image: Image.Image) -> Image.Image:
    scale = 512 / max(image.size)
    return image.resize((round(image.width * scale), round(image.height * scale)), Image.Resampling.BICUBIC)


def look_alikes(items: Sequence[Item], limit: int) -> Iterator[Case]:
    """Different pictures that verify against one another, as `limit` searches find them; no near-duplicates."""
    codebook = shipped_codebook()
    planes = [plane_of(item.image) for item in items]
    found = [extract(plane) for plane in planes]
    packed = [pack(each, codebook) for each in found]
    index = FeatureIndex.build(packed, codebook)
    small = np.stack([_thumbnail(plane) for plane in planes])
    for number in range(0, len(items), max(1, len(items) // limit)):
        for candidate in index.candidates(found[number], 4):
            other = candidate.number
            if other == number or float(small[number] @ small[other]) > NEAR_DUPLICATE:
                continue
            geometry = verify(found[number], packed[other], codebook, mirror=candidate.mirrored)
            if geometry is not None:
                agreement = compare(planes[number], make_sketch(planes[other]), geometry.matrix)
                kind = f"look-alike {items[other].group.split('/')[-1]}"
                yield Case(kind=kind, copy=False, geometry=geometry, agreement=agreement)


def _thumbnail(plane: Plane) -> NDArray[np.float32]:
    small = cv2.resize(plane, (16, 16), interpolation=cv2.INTER_AREA).astype(np.float32).ravel()
    small -= small.mean()
    return np.asarray(small / max(1e-6, float(np.linalg.norm(small))), np.float32)


def read_groups(data: Path, *, held: bool, most: int) -> dict[str, list[Item]]:
    """At most `most` pictures of every group of documents and of every source of photographs."""
    groups: dict[str, list[Item]] = {}
    for source in SOURCES:
        with tarfile.open(data / f"{source}.tar") as archive:
            for member in archive:
                name = member.name.split("/")[0]
                key = source if source.startswith("photos/") else f"{source}/{name}"
                group = groups.setdefault(key, [])
                stream = archive.extractfile(member) if member.isfile() and len(group) < most else None
                payload = stream.read() if stream is not None else b""
                if payload and held_out(payload) == held and not any(word in name for word in SAME_OBJECT):
                    image = Image.open(io.BytesIO(payload)).convert("RGB")
                    group.append(Item(source=source, group=key, image=image))
    return groups


def collect(data: Path, *, held: bool, count: int) -> list[Case]:
    """All cases of the training or the held-out side; ``count`` scales them."""
    groups = read_groups(data, held=held, most=3 * count)
    seed = 0 if held else TRAINING_SEEDS
    some = [item.image for group in groups.values() for item in group[: max(1, count // 4)]]
    some += [draw(family, seed + number) for family in FAMILIES for number in range(max(1, count // 20))]
    cases = [*edited_pictures(some, seed), *drawn_pairs(seed, count)]
    return cases + list(look_alikes([item for group in groups.values() for item in group], 10 * count))


def fit(cases: Sequence[Case], names: tuple[str, ...]) -> tuple[NDArray[np.float64], float]:
    """Logistic regression by projected gradient: weights with a sign of their own never cross 0.

    Copies weigh as much as the rest, and within either side every kind as much as the square root of its cases.
    """
    inputs = np.array([features(case.geometry, case.agreement, names) for case in cases])
    wanted = np.array([case.copy for case in cases], float)
    kinds = [case.kind for case in cases]
    weight = np.array([kinds.count(kind) ** -0.5 for kind in kinds])
    for side in (0.0, 1.0):
        weight[wanted == side] /= max(1e-9, 2 * weight[wanted == side].sum())
    mean, scale = inputs.mean(axis=0), inputs.std(axis=0) + 1e-9
    scaled, sign = (inputs - mean) / scale, np.array([SIGNS[name] for name in names])
    solution, bias = np.zeros(len(names)), 0.0
    for _ in range(ROUNDS):
        error = weight * (1 / (1 + np.exp(-np.clip(scaled @ solution + bias, -30, 30))) - wanted)
        solution -= RATE * (scaled.T @ error + SHRINKAGE * solution)
        solution[solution * sign < 0] = 0
        bias -= RATE * float(error.sum())
    return solution / scale, bias - float((solution * mean / scale).sum())


def table(cases: Sequence[Case], model: Mapping[str, Any]) -> dict[str, Any]:
    """Confusion at one half, by kind: verified pairs, how many are called copies, and the mean probability."""
    rows: dict[str, Any] = {}
    for kind in sorted({(not case.copy, case.kind) for case in cases}):
        chosen = [case for case in cases if case.kind == kind[1]]
        odds = np.array([_odds(case, model) for case in chosen])
        rows[kind[1]] = {
            "is": "same_layout" if kind[0] else "copy",
            "verified": len(chosen),
            "called_copy": int((odds > 0).sum()),
            "median": round(float(np.median(1 / (1 + np.exp(-np.clip(odds, -30, 30))))), 3),
        }
    return rows


def _odds(case: Case, model: Mapping[str, Any]) -> float:
    part = model["inside" if case.agreement.content >= FEWEST_CONTENT_BLOCKS else "geometry"]
    names = tuple(part["features"])
    return float(part["bias"]) + float(np.dot(part["weights"], features(case.geometry, case.agreement, names)))


def train(cases: Sequence[Case]) -> dict[str, Any]:
    """Both models as they are written."""
    model: dict[str, Any] = {}
    for part, names in (("inside", INSIDE), ("geometry", GEOMETRY_ALONE)):
        usable = [case for case in cases if part == "geometry" or case.agreement.content >= FEWEST_CONTENT_BLOCKS]
        weights, bias = fit(usable, names)
        rounded = [round(float(weight), 4) for weight in weights]
        model[part] = {"features": list(names), "weights": rounded, "bias": round(bias, 4), "pairs": len(usable)}
    return model


def main() -> None:
    """Collects, trains, measures, writes."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--count", type=int, default=PER_GROUP)
    options = parser.parse_args()
    cv2.setNumThreads(1)
    model = train(collect(options.data, held=False, count=options.count))
    model["held_out"] = table(collect(options.data, held=True, count=options.count), model)
    options.out.write_text(json.dumps(model, indent=1) + "\n")
    for kind, row in model["held_out"].items():
        print(f"{kind:40} {row}")


if __name__ == "__main__":
    main()
