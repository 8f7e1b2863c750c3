"""What calibration looks at: held-out photographs and unseen drawings, each clean and edited, as pixels and PDQ hashes.

Everything here depends on the encoder by its side only, so a new model is calibrated in a minute from the same file.
"""

from __future__ import annotations

import argparse
import random
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from workers.decoding.pdq import pdq
from workers.decoding.pixels import canonical, grey_plane
from workers.decoding.reference_views import reference_views
from workers.training.dataset import DRAWN, Item, held_out, read_archives, squash
from workers.training.drawing import FAMILIES, draw
from workers.training.edits import EDITS

SIDE: Final = 96
# Calibration draws from seeds of its own, below the training seeds and far from what a demo or test would use.
CALIBRATION_SEEDS: Final = 700_000_000
UPRIGHT: Final = 1  # EXIF's orientation of a picture that needs no turn
REFERENCE_EVERY: Final = 4
LEFT_OUT: Final = ("photos/tiny_imagenet64",)

type Bits = NDArray[np.uint8]


@dataclass(frozen=True, slots=True, kw_only=True)
class Specimens:
    """N pictures, each twice, squashed to the encoder's side S.

    `clean` and `edited`: N x S x S x 3 uint8; `clean_pdq`: N x 32 packed bytes; `edited_pdq` and `turned_pdq`
    N x 8 x 32 are the dihedral variants of the edited and of the clean picture; `group` names look-alikes.  `planes`
    are the grey planes, all of the clean pictures and then all of the edited ones, flat; `plane_sizes` 2N x 2 their
    widths and heights.  `rows` are the R pictures that play references, `views` R x V x S x S x 3 their enrolled views.
    """

    clean: NDArray[np.uint8]
    edited: NDArray[np.uint8]
    turned_pdq: Bits
    edited_pdq: Bits
    planes: NDArray[np.uint8]
    plane_sizes: NDArray[np.int64]
    group: NDArray[np.str_]
    source: NDArray[np.str_]
    rows: NDArray[np.int64]
    views: NDArray[np.uint8]

    @property
    def reference_pdq(self) -> Bits:
        """R x 32: the references' hashes."""
        return self.turned_pdq[self.rows, 0]

    def plane(self, number: int) -> NDArray[np.uint8]:
        """Height x width: number < N is a clean picture's, N + number an edited one's."""
        ends = np.cumsum(self.plane_sizes.prod(axis=1))
        width, height = self.plane_sizes[number]
        return self.planes[ends[number] - width * height : ends[number]].reshape(height, width)

    def save(self, path: Path) -> None:
        """One uncompressed file."""
        np.savez(
            path,
            clean=self.clean,
            edited=self.edited,
            turned_pdq=self.turned_pdq,
            edited_pdq=self.edited_pdq,
            planes=self.planes,
            plane_sizes=self.plane_sizes,
            group=self.group,
            source=self.source,
            rows=self.rows,
            views=self.views,
        )


def load(path: Path) -> Specimens:
    """Reads what `Specimens.save` wrote."""
    with np.load(path) as arrays:
        return Specimens(**{name: arrays[name] for name in arrays.files})


def pdq_variants(image: Image.Image) -> Bits:
    """8 x 32 packed PDQ bits of the dihedral variants, as the worker hashes them: the picture as it is first."""
    hashes = pdq(np.asarray(canonical(image, UPRIGHT).convert("L"))).variants
    return np.stack([np.frombuffer(bytes.fromhex(text), np.uint8) for text in hashes])


def plane_of(image: Image.Image) -> NDArray[np.uint8]:
    """Height x width grey plane, as the worker reduces it."""
    return np.asarray(grey_plane(canonical(image, UPRIGHT)))


def unseen_drawings(per_family: int) -> Iterator[Item]:
    """`per_family` drawings of every family from the calibration seeds."""
    for family in FAMILIES:
        for index in range(per_family):
            yield Item(source=DRAWN, group=f"{DRAWN}/{family}", image=draw(family, CALIBRATION_SEEDS + index))


def held_out_photos(data: Path) -> Iterator[Item]:
    """The quarter of the archives that no training has seen."""
    return (item for item in read_archives(data, wanted=held_out) if item.source not in LEFT_OUT)


def view_squares(image: Image.Image, side: int = SIDE) -> NDArray[np.uint8]:
    """V x side x side x 3: a reference's enrolled views as the encoder is fed them."""
    return np.stack([np.asarray(squash(view, side)) for view in reference_views(image)])


def collect(items: Iterator[Item], seed: int = 0, side: int = SIDE) -> Specimens:
    """Squashes, edits (one edit each, at random) and hashes every picture; every fourth one plays a reference."""
    rng = random.Random(seed)
    names = tuple(EDITS)
    rows: list[tuple[NDArray[np.uint8], NDArray[np.uint8], Bits, Bits, str, str]] = []
    views: list[NDArray[np.uint8]] = []
    planes: tuple[list[NDArray[np.uint8]], list[NDArray[np.uint8]]] = ([], [])
    for number, item in enumerate(items):
        edited = EDITS[rng.choice(names)](item.image, rng)
        rows.append(
            (
                np.asarray(squash(item.image, side)),
                np.asarray(squash(edited, side)),
                pdq_variants(item.image),
                pdq_variants(edited),
                item.group,
                item.source,
            )
        )
        planes[0].append(plane_of(item.image))
        planes[1].append(plane_of(edited))
        if number % REFERENCE_EVERY == 0:
            views.append(view_squares(item.image, side))
    clean, changed, turned, edited_pdq, group, source = zip(*rows, strict=True)
    return Specimens(
        clean=np.stack(clean),
        edited=np.stack(changed),
        turned_pdq=np.stack(turned),
        edited_pdq=np.stack(edited_pdq),
        planes=np.concatenate([plane.ravel() for half in planes for plane in half]),
        plane_sizes=np.array([plane.shape[::-1] for half in planes for plane in half]),
        group=np.array(group),
        source=np.array(source),
        rows=np.arange(0, len(rows), REFERENCE_EVERY),
        views=np.stack(views),
    )


def main() -> None:
    """Command line: draws, reads and edits everything once; encoders are then calibrated from the file."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--drawings", type=int, default=160, help="of every family")
    parser.add_argument("--side", type=int, default=SIDE, help="of the encoder's input")
    arguments = parser.parse_args()
    items = chain(held_out_photos(arguments.data), unseen_drawings(arguments.drawings))
    collect(items, side=arguments.side).save(arguments.out)


if __name__ == "__main__":
    main()
