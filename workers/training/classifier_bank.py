"""The classifiers' features and their bank of `other` pictures.

The codebook and the projections are fitted on training pictures of every source; the bank holds vectors, never
pictures, of training photographs of every source, of drawings of every family and of pictures of nothing.  Kept to the
sources of a free licence, three of garments, groceries and waste, every tenth photograph of a landscape was taken for a
document.

    python -m workers.training.classifier_bank workers/models/ID --data ../shared/data
"""

from __future__ import annotations

import argparse
import heapq
import json
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import Final

import cv2
import numpy as np

from workers.classifying.bank import HANDMADE, bank_path, to_bytes
from workers.classifying.dense_features import Floats, Pixels, grid_descriptors
from workers.classifying.vectors import (
    COLOURS,
    EDGES,
    FEATURES,
    KINDS,
    TEXTURE,
    WORDS,
    FeatureModel,
    Projection,
    load_features,
)
from workers.encoder_files import EncoderCard, read_card
from workers.pixels import canonical, grey_plane
from workers.training.background import BANK_SEEDS
from workers.training.calibration import embed, input_side
from workers.training.dataset import Item, held_out, read_archives, squash
from workers.training.drawing import FAMILIES, draw
from workers.training.drawing.plain import draw_plain

PER_SOURCE: Final = 180
PER_CLASS: Final = 24
"""Pictures of documents, for the codebook and the projections alone: a label may be one of theirs."""
PER_FAMILY: Final = 10
PER_KIND: Final = 8
NOTHING: Final = ("noise", "blobs", "clouds", "gradient")
"""Plain pictures that show nothing; a page of nothing but text or a label may be what somebody looks for."""
LEFT_OUT: Final = ("photos/tiny_imagenet64",)
SAMPLED: Final = 60
"""Grid descriptors of a picture that the codebook is fitted on."""
CENTRES: Final = 64
LENGTHS: Final = MappingProxyType({"descriptor": 32, WORDS: 256, EDGES: 128, TEXTURE: 128, COLOURS: 64})
WHITENED: Final = 0.5
"""Halfway between axes as they are and axes of equal spread, of texture: one pattern, the flat one, outweighs all."""
ROUNDS: Final = 30
SEED: Final = 11


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What is kept of a picture; ``other``: it goes into the bank, ``ordinary``: as a picture of no document."""

    source: str
    other: bool
    ordinary: bool
    pixels: Pixels
    plane: Pixels
    descriptors: Floats

    def described(self, model: FeatureModel) -> Floats:
        """Return the hand-made kinds side by side."""
        return model.join(model.kinds(self.descriptors, self.plane, self.pixels))


def pictures(data: Path) -> Iterator[Item]:
    """Training photographs, an even share of each source, the project's drawings and pictures of nothing."""
    chosen: dict[str, list[tuple[int, int, Item]]] = defaultdict(list)
    for number, item in enumerate(read_archives(data, wanted=lambda payload: not held_out(payload))):
        if item.source in LEFT_OUT:
            continue
        key, most = (item.group, PER_CLASS) if _shows_document(item) else (item.source, PER_SOURCE)
        heapq.heappush(chosen[key], (-_drawn_number(item), number, item))
        if len(chosen[key]) > most:
            heapq.heappop(chosen[key])
    for of_source in chosen.values():
        yield from (item for _, _, item in sorted(of_source, key=lambda entry: entry[1]))
    for family in FAMILIES:
        for index in range(PER_FAMILY):
            yield Item(source="drawn", group=family, image=draw(family, BANK_SEEDS + index))
    for kind in NOTHING:
        for index in range(PER_KIND):
            yield Item(source="plain", group=kind, image=draw_plain(kind, index))


def _shows_document(item: Item) -> bool:
    """Tell whether it is for the codebook alone."""
    return item.source.startswith("classes/")


def _drawn_number(item: Item) -> int:
    """A number that says nothing of the picture, the same on every machine: the smallest are taken."""
    small = np.asarray(squash(item.image, 8), np.int64).ravel()
    return int((small * np.arange(1, small.size + 1)).sum() * 2654435761 % (1 << 32))


def see(item: Item, side: int) -> Seen:
    """What the worker would compute from the picture."""
    plane = np.asarray(grey_plane(canonical(item.image, 1)))
    return Seen(
        source=item.source,
        other=not _shows_document(item),
        ordinary=item.source != "drawn",
        pixels=np.asarray(squash(item.image, side)),
        plane=plane,
        descriptors=grid_descriptors(plane).astype(np.float16).astype(np.float32),
    )


def project(vectors: Floats, length: int, whitened: float = 0.0) -> Projection:
    """Principal axes of n x m vectors; ``whitened`` 1: of equal spread, 0: as they are."""
    mean = vectors.mean(axis=0)
    spreads, axes = np.linalg.eigh(np.cov((vectors - mean).T))
    kept, spread = axes[:, ::-1][:, :length], np.sqrt(np.maximum(spreads[::-1][:length], 1e-12))
    scaled = kept * (spread[0] / spread) ** whitened
    return Projection(mean=mean.astype(np.float32), axes=np.ascontiguousarray(scaled, np.float32))


def fit_features(seen: list[Seen]) -> FeatureModel:
    """The codebook and the projections; raises ValueError where there are too few pictures."""
    rng = np.random.default_rng(SEED)
    sample = np.concatenate([one.descriptors[rng.permutation(len(one.descriptors))[:SAMPLED]] for one in seen])
    shorter = project(sample, LENGTHS["descriptor"])
    cv2.setRNGSeed(SEED)
    until = (cv2.TERM_CRITERIA_MAX_ITER, ROUNDS, 0.0)
    short = np.ascontiguousarray(shorter.apply(sample))
    _, _, centres = cv2.kmeans(short, CENTRES, None, until, 1, cv2.KMEANS_PP_CENTERS)  # type: ignore[call-overload]
    plain = FeatureModel(name="", descriptor=shorter, centres=centres, projections=MappingProxyType({}))
    found = [plain.kinds(one.descriptors, one.plane, one.pixels) for one in seen]
    projections = {
        kind: project(np.stack([kinds[kind] for kinds in found]), LENGTHS[kind], WHITENED if kind == TEXTURE else 0.0)
        for kind in KINDS
    }
    return replace(plain, projections=MappingProxyType(projections))


def write_features(model: FeatureModel, path: Path = FEATURES) -> None:
    """Write the projections in half precision."""
    arrays = {"descriptor_mean": model.descriptor.mean, "descriptor_axes": model.descriptor.axes}
    arrays["centres"] = model.centres
    for kind, projection in model.projections.items():
        arrays |= {f"{kind}_mean": projection.mean, f"{kind}_axes": projection.axes}
    path.parent.mkdir(parents=True, exist_ok=True)
    halves = {name: array.astype(np.float16) for name, array in arrays.items()}
    np.savez(path, **halves)  # type: ignore[arg-type]


def write_bank(card: EncoderCard, seen: list[Seen], model: FeatureModel) -> None:
    """Write the bank's hand-made kinds, and the encoder's vectors beside each of its files."""
    bank = [one for one in seen if one.other]
    handmade = [one.described(model) for one in bank]
    np.savez(HANDMADE, kinds=to_bytes(np.stack(handmade)), ordinary=np.array([one.ordinary for one in bank]))
    pixels = np.stack([one.pixels for one in bank])
    for precision in card.calibrated:
        np.save(bank_path(card, precision), to_bytes(embed(card.files[precision].path, pixels)))
    facts = {"features": model.name, "pictures": dict(Counter(one.source for one in bank)), "kept": "vectors only"}
    (HANDMADE.parent / "bank.json").write_text(json.dumps(facts, indent=1) + "\n", encoding="utf-8")


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("folder", type=Path, help="of an encoder: card, models, calibrations")
    parser.add_argument("--data", type=Path, required=True)
    arguments = parser.parse_args()
    card = read_card(arguments.folder)
    side = input_side(card.files["fp32"].path)
    seen = [see(item, side) for item in pictures(arguments.data)]
    write_features(fit_features(seen))
    write_bank(card, seen, load_features())


if __name__ == "__main__":
    main()
