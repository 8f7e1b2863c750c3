"""The background bank: embeddings of ordinary pictures that ship with an encoder.

A picture that lies near many of them (noise, a page of text, a label) lies near any reference that looks like that,
and its cosine must be worth less. The bank holds training photographs of every source, training drawings of every
family, and plain pictures of every kind.

    python -m workers.training.background workers/models/ID [--data ../shared/data]
"""

from __future__ import annotations

import argparse
import itertools
import json
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from workers.encoders.files import EncoderCard, Precision, background_path, calibration_path, read_card
from workers.training.calibration import embed, input_side
from workers.training.dataset import Item, held_out, read_archives, squash
from workers.training.drawing import FAMILIES, TRAINING_SEEDS, draw
from workers.training.drawing.plain import PLAIN, draw_plain

SIDE: Final = 96
PER_GROUP: Final = 24
"""Photographs of one look-alike group (a folder of an archive): text pages, receipts, shirts…"""
PER_SOURCE: Final = 120
PER_FAMILY: Final = 24
PER_KIND: Final = 32
BANK_SEEDS: Final = TRAINING_SEEDS + 500_000_000
KINDS: Final[Mapping[str, str]] = {
    "classes/screenshots": "UI",
    **dict.fromkeys(("photos/clothing", "photos/grocery", "photos/trashnet", "product_render"), "products"),
    **dict.fromkeys(("document_page", "identity_card", "text_page", "label"), "documents"),
    **dict.fromkeys(("user_interface", "dashboard"), "UI"),
}
"""Of a source, a family of drawings or a plain kind, where it is not what its group mostly is."""
LEFT_OUT: Final = ("photos/tiny_imagenet64",)
NEAREST: Final = 3
USUAL: Final = 0.45
"""Mean cosine to the 3 nearest of the bank up to which a picture is ordinary.

With f1-128-v2 (int8) on the recall benchmark half of the queries lie over .48.  One vector, uAP and recall at precision
.99: without a discount .911 and .686, from .65 on about .915 and .74, from .5 .929 and .807, from .45 .932 and .817,
however much lower .932 and .818.
"""


def ordinary(items: Iterator[Item]) -> Iterator[Item]:
    """The first `PER_GROUP` of every group and `PER_SOURCE` of every source."""
    groups: Counter[str] = Counter()
    sources: Counter[str] = Counter()
    for item in items:
        crowded = groups[item.group] >= PER_GROUP or sources[item.source] >= PER_SOURCE
        if item.source in LEFT_OUT or (crowded and not item.source.startswith("classes/")):
            continue
        if groups[item.group] >= PER_GROUP:
            continue
        groups[item.group] += 1
        sources[item.source] += 1
        yield item


def photographs(data: Path | None) -> Iterator[Item]:
    """The training photographs of the bank; none without `data`."""
    return ordinary(read_archives(data, wanted=lambda payload: not held_out(payload)) if data is not None else iter(()))


@dataclass(frozen=True, slots=True, kw_only=True)
class Squares:
    """The bank's pixels, N x side x side x 3, and what each picture is of, as in a set's calibration report."""

    pixels: NDArray[np.uint8]
    kinds: tuple[str, ...]

    @property
    def strata(self) -> list[tuple[str, int]]:
        """The kinds in the pictures' order and how many of each follow one another."""
        return [(kind, len(list(run))) for kind, run in itertools.groupby(self.kinds)]


def kind_of(source: str) -> str:
    """What pictures of a source of photographs are of: documents, UI, products or photographs."""
    return KINDS.get(source, "documents" if source.startswith("classes/") else "photographs")


def bank_pixels(ordinary_pictures: Iterator[Item], side: int = SIDE, per_family: int = PER_FAMILY) -> Squares:
    """The whole bank: the pictures handed in and the project's own."""
    pictures = [(kind_of(item.source), squash(item.image, side)) for item in ordinary_pictures]
    for family in FAMILIES:
        kind = KINDS.get(family, "drawings")
        pictures += [(kind, squash(draw(family, BANK_SEEDS + index), side)) for index in range(per_family)]
    for plain in PLAIN:
        kind = KINDS.get(plain, "plain pictures")
        pictures += [(kind, squash(draw_plain(plain, index), side)) for index in range(PER_KIND)]
    squares = np.stack([np.asarray(picture) for _, picture in pictures])
    return Squares(pixels=squares, kinds=tuple(kind for kind, _ in pictures))


def write_bank(card: EncoderCard, precision: Precision, squares: Squares) -> None:
    """Write one precision's bank, and its numbers where the calibration will be: it is measured with the discount."""
    vectors = embed(card.files[precision].path, squares.pixels)
    np.save(background_path(card.folder, precision), vectors.astype(np.float16))
    path = calibration_path(card.folder, precision)
    values = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    values["background"] = {
        "nearest": NEAREST,
        "usual": USUAL,
        "vectors": len(vectors),
        "strata": squares.strata,
    }
    path.write_text(json.dumps(values, separators=(",", ":")) + "\n", encoding="utf-8")


def main() -> None:
    """Command line: a bank beside each model that has a calibration of its own, and its two numbers in that."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("folder", type=Path, help="of an encoder: card, models, calibrations")
    parser.add_argument("--data", type=Path, default=None)
    arguments = parser.parse_args()
    card = read_card(arguments.folder)
    squares = bank_pixels(photographs(arguments.data), input_side(card.files["fp32"].path))
    for precision in card.calibrated:
        write_bank(card, precision, squares)


if __name__ == "__main__":
    main()
