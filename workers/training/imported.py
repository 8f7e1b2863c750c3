"""The calibration and the background bank of an imported encoder, from a folder of ordinary pictures and drawings.

Half of the pictures and the calibration's drawings are compared with each other, the other half and the bank's drawings
become the bank. Pictures of one folder count as look-alikes of each other; a flat folder holds pictures of all kinds.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import Final

from PIL import Image

from workers.encoder_files import read_card
from workers.training.background import PER_FAMILY, bank_pixels, write_bank
from workers.training.calibration import input_side, write_calibration
from workers.training.dataset import Item
from workers.training.drawing import FAMILIES
from workers.training.specimens import collect, unseen_drawings

ENDINGS: Final = frozenset({".jpg", ".jpeg", ".png", ".webp", ".bmp"})
LARGEST_PIXELS: Final = 50_000_000
PICTURES: Final = 600
"""Compared pictures, every second one as a reference of 25 views: 8,700 runs of the encoder."""


def calibrate_version(folder: Path, images: Path | None, pictures: int = PICTURES) -> None:
    """Writes `calibration.json` and `background.npy` of the fp32 file in `folder`.

    At most `pictures` pictures are compared, half of them from `images`; raises FileNotFoundError where that folder
    holds none, ValueError where too few are left to measure anything.
    """
    card = read_card(folder)
    side = input_side(card.files["fp32"].path)
    paths = [] if images is None else picture_paths(images, pictures)
    per_family = max(2, (pictures - len(paths) // 2) // len(FAMILIES))
    specimens = collect(chain(items(paths[::2], images), unseen_drawings(per_family)), side=side)
    write_bank(card, "fp32", bank_pixels(items(paths[1::2], images), side, min(PER_FAMILY, per_family)))
    write_calibration(card, "fp32", specimens)


def picture_paths(images: Path, most: int) -> list[Path]:
    """At most `most` picture files under a folder, drawn with a fixed seed; raises FileNotFoundError for none."""
    paths = sorted(path for path in images.rglob("*") if path.suffix.lower() in ENDINGS and path.is_file())
    if not paths:
        raise FileNotFoundError(f"no pictures under {images}")
    random.Random(0).shuffle(paths)
    return paths[:most]


def items(paths: list[Path], root: Path | None) -> Iterator[Item]:
    """The pictures that can be read; each group is a folder, or the picture itself where all lie in one folder."""
    flat = len({path.parent for path in paths}) == 1
    for number, path in enumerate(paths):
        try:
            with Image.open(path) as image:
                if image.width * image.height > LARGEST_PIXELS:
                    continue
                picture = image.convert("RGB")
        except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
            continue
        group = f"images/{number}" if flat or root is None else f"images/{path.parent.relative_to(root)}"
        yield Item(source=group, group=group, image=picture)


__all__ = ["PICTURES", "calibrate_version", "items", "picture_paths"]
