"""The classifiers' features and their bank of `other` pictures.

The codebook and the projections are fitted on training pictures of every source; the bank holds vectors, never
pictures, of other training photographs of every source, of drawings of every family and of pictures of nothing.  Kept
to the sources of a free licence, three of garments, groceries and waste, every tenth photograph of a landscape was
taken for a document.  False positives are counted on photographs alone, and on more than a head is fitted against.

    python -m workers.training.classifier_bank workers/models/ID --data ../shared/data
"""

from __future__ import annotations

import argparse
import hashlib
import heapq
import json
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import Final, Literal

import cv2
import numpy as np

from workers.classifying.bank import HANDMADE, bank_path, to_bytes
from workers.classifying.dense_features import Floats, Pixels, grid_descriptors
from workers.classifying.vectors import (
    COLOURS,
    EDGES,
    FEATURES,
    KINDS,
    SHAPE,
    TEXTURE,
    WORDS,
    FeatureModel,
    Projection,
    load_features,
)
from workers.decoding.pixels import canonical, grey_plane
from workers.encoders.files import EncoderCard, read_card
from workers.training.background import BANK_SEEDS
from workers.training.calibration import embed, input_side
from workers.training.dataset import Item, held_out, opened, read_files, squash
from workers.training.drawing import FAMILIES, draw
from workers.training.drawing.plain import draw_plain

PER_SOURCE: Final = 180
"""Photographs of a source for the bank, and as many others for the projections, as far as there are."""
COUNTED: Final = 2000
"""Photographs of what the sources have beyond that, at random, which no head is fitted on but false positives are
counted on.

Where one unseen photograph in 200 was to be given a label, .05 to .3 % were with the bank's own counted alone: they
are as many of a small source as of a large one, and few.  With the pictures of nothing, which are 2 % of the bank and
were half of the ten highest, 0 to .05 %.
"""
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
LENGTHS: Final = MappingProxyType({"descriptor": 32, WORDS: 256, EDGES: 128, TEXTURE: 192, COLOURS: 64, SHAPE: 9})
FLOOR: Final = 0.001
"""Of the largest variance, that every axis is taken to have more than its own: the last ones are noise.

Axes of equal spread, on pictures that the bank does not hold, name 3 documents in 100 more of 5 examples a label and 1
of 20 than axes as they are: what all pages share no longer outweighs what tells them apart.  Fitted on the bank itself,
they let 3.6 % of unseen photographs through where one in 50 was to be.
"""
ROUNDS: Final = 30
SEED: Final = 11


Part = Literal["axes", "bank", "counted"]
"""What a picture is for: the codebook and the projections, to fit heads against, or to count false positives alone.

No photograph is for two: its own axes keep more of a picture than of one that is yet to come, whose false positives it
is to foretell.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What is kept of a picture; drawings are for the projections and for the bank."""

    source: str
    part: Part
    pixels: Pixels
    plane: Pixels
    descriptors: Floats

    @property
    def fits(self) -> bool:
        """Whether the codebook and the projections are fitted on it."""
        return self.part == "axes"

    @property
    def other(self) -> bool:
        """Whether it goes into the bank."""
        return self.source == "drawn" or not self.fits

    @property
    def ordinary(self) -> bool:
        """Whether it shows no document, and false positives are counted on it."""
        return self.source not in {"drawn", "plain"}

    def described(self, model: FeatureModel) -> Floats:
        """Return the hand-made kinds side by side."""
        return model.join(model.kinds(self.descriptors, self.plane, self.pixels))


def pictures(data: Path) -> Iterator[tuple[Item, Part]]:
    """Training photographs, an even share of each source, the project's drawings and pictures of nothing; then others.

    With each, what it is for: every second photograph for the projections, and the drawings.
    """
    left: list[tuple[int, str, str, bytes]] = []
    chosen: dict[str, list[tuple[int, str, str, bytes]]] = defaultdict(list)
    for source, group, payload in read_files(data):
        if source in LEFT_OUT or held_out(payload):
            continue
        key, most = (group, PER_CLASS) if _shows_document(source) else (source, 2 * PER_SOURCE)
        heapq.heappush(chosen[key], (-_drawn_number(payload), source, group, payload))
        if len(chosen[key]) > most:
            _, _, of_group, beyond = heapq.heappop(chosen[key])
            if key == source:
                left.append((_drawn_number(beyond, again=True), source, of_group, beyond))
    for of_source in chosen.values():
        # By the number that was drawn, so that no class of a source falls to one side.
        for place, (_, source, group, payload) in enumerate(sorted(of_source)):
            part: Part = "axes" if _shows_document(source) or place % 2 == 0 else "bank"
            yield Item(source=source, group=group, image=opened(payload)), part
    for family in FAMILIES:
        for index in range(PER_FAMILY):
            yield Item(source="drawn", group=family, image=draw(family, BANK_SEEDS + index)), "axes"
    for kind in NOTHING:
        for index in range(PER_KIND):
            yield Item(source="plain", group=kind, image=draw_plain(kind, index)), "bank"
    for _, source, group, payload in sorted(left)[:COUNTED]:
        yield Item(source=source, group=group, image=opened(payload)), "counted"


def _shows_document(source: str) -> bool:
    """Tell whether its pictures are for the projections alone."""
    return source.startswith("classes/")


def _drawn_number(payload: bytes, *, again: bool = False) -> int:
    """A number that says nothing of the picture, the same on every machine: the smallest are taken.

    ``again``: another one, that says nothing of the first.
    """
    digest = hashlib.sha256(payload).hexdigest()
    return int(digest[16:32] if again else digest[:16], 16)


def see(item: Item, side: int, *, part: Part = "axes") -> Seen:
    """What the worker would compute from the picture; ``part`` as `pictures` says."""
    plane = np.asarray(grey_plane(canonical(item.image, 1)))
    return Seen(
        source=item.source,
        part=part,
        pixels=np.asarray(squash(item.image, side)),
        plane=plane,
        descriptors=grid_descriptors(plane).astype(np.float16).astype(np.float32),
    )


def project(vectors: Floats, length: int, *, whitened: bool = False) -> Projection:
    """Principal axes of n x m vectors; ``whitened``: of equal spread."""
    mean = vectors.mean(axis=0)
    variances, axes = _principal(vectors - mean, length)
    if whitened:
        axes = axes * np.sqrt(variances[0] / (variances + FLOOR * variances[0]))
    return Projection(mean=mean.astype(np.float32), axes=np.ascontiguousarray(axes, np.float32))


def _principal(centred: Floats, length: int) -> tuple[Floats, Floats]:
    """The largest variances and their axes, from whichever of the two products is smaller."""
    count, width = centred.shape
    fewer = count < width
    product = centred @ centred.T if fewer else centred.T @ centred
    found, vectors = np.linalg.eigh(product / (count - 1))
    variances = np.asarray(found[::-1][:length], np.float32)
    axes = np.asarray(vectors[:, ::-1][:, :length], np.float32)
    if fewer:
        axes = centred.T @ axes / np.sqrt(np.maximum(variances * (count - 1), 1e-12))
    return variances, axes


def fit_features(pictured: list[Seen]) -> FeatureModel:
    """The codebook and the projections; raises ValueError where there are too few pictures."""
    seen = [one for one in pictured if one.fits]
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
        # All places of a shape are kept: there is nothing that all shapes share and that would outweigh the rest.
        kind: project(np.stack([kinds[kind] for kinds in found]), LENGTHS[kind], whitened=kind != SHAPE)
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
    np.savez(
        HANDMADE,
        kinds=to_bytes(np.stack(handmade)),
        ordinary=np.array([one.ordinary for one in bank]),
        fits=np.array([one.part != "counted" for one in bank]),
    )
    pixels = np.stack([one.pixels for one in bank])
    for precision in card.calibrated:
        np.save(bank_path(card, precision), to_bytes(embed(card.files[precision].path, pixels)))
    facts = {
        "features": model.name,
        "pictures": dict(Counter(one.source for one in bank if one.part != "counted")),
        "counted only": dict(Counter(one.source for one in bank if one.part == "counted")),
        "kept": "vectors only",
    }
    (HANDMADE.parent / "bank.json").write_text(json.dumps(facts, indent=1) + "\n", encoding="utf-8")


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("folder", type=Path, help="of an encoder: card, models, calibrations")
    parser.add_argument("--data", type=Path, required=True)
    arguments = parser.parse_args()
    card = read_card(arguments.folder)
    side = input_side(card.files["fp32"].path)
    seen = [see(item, side, part=part) for item, part in pictures(arguments.data)]
    write_features(fit_features(seen))
    write_bank(card, seen, load_features())


if __name__ == "__main__":
    main()
