"""The calibrations and background banks of a version that was imported or trained here: pictures and drawings.

Half of the pictures and the calibration's drawings are compared with each other, the other half and the bank's drawings
become the bank. Pictures of one folder count as look-alikes of each other; a flat folder holds pictures of all kinds.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import chain
from pathlib import Path
from typing import Final

from workers.encoders.files import read_card
from workers.training.background import PER_FAMILY, bank_pixels, write_bank
from workers.training.calibration import input_side, write_calibration
from workers.training.drawing import FAMILIES
from workers.training.folder import picture_paths, read_pictures
from workers.training.local_strengths import verified_pairs
from workers.training.specimens import collect, unseen_drawings

PICTURES: Final = 600
"""Compared pictures, every second one as a reference of 25 views: 8,700 runs of the encoder."""


def calibrate_version(
    folder: Path, images: Path | None, pictures: int = PICTURES, wanted: Callable[[bytes], bool] = lambda _: True
) -> None:
    """Writes a calibration and a background bank beside each model file in `folder` that has one of its own.

    At most `pictures` pictures are compared, half of them from `images`, of which those count whose bytes are `wanted`
    (a training must not have seen them); raises FileNotFoundError where that folder holds none, ValueError where too
    few are left to measure anything.
    """
    card = read_card(folder)
    side = input_side(card.files["fp32"].path)
    paths: Sequence[Path] = () if images is None else _wanted(images, pictures, wanted)
    per_family = max(2, (pictures - len(paths) // 2) // len(FAMILIES))
    specimens = collect(chain(read_pictures(paths[::2], images), unseen_drawings(per_family)), side=side)
    squares = bank_pixels(read_pictures(paths[1::2], images), side, min(PER_FAMILY, per_family))
    verified = verified_pairs(specimens)
    for precision in card.calibrated:
        write_bank(card, precision, squares)
        write_calibration(card, precision, specimens, verified)


def _wanted(images: Path, most: int, wanted: Callable[[bytes], bool]) -> list[Path]:
    found: list[Path] = []
    for path in picture_paths(images):
        if len(found) == most:
            break
        if wanted(path.read_bytes()):
            found.append(path)
    return found


__all__ = ["PICTURES", "calibrate_version"]
