"""PDQ of real photographs, at many sizes, against the reference library on the full picture."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import numpy as np
import pdqhash
import pytest
from PIL import Image

from shared.core.hashing import hamming
from shared.core.matching import MIN_PDQ_QUALITY
from tests.image_factories import make_file
from workers.decoding.child import Limits, decode

pytestmark = pytest.mark.corpus

ARCHIVES: Final = ("bsds500", "imagenet_samples", "pets", "trashnet")
PICTURES_EACH: Final = 4
LONG_SIDES: Final = (300, 700, 1300, 1900)
"""Below the size at which pictures are reduced, between and beyond; none a multiple of another."""
LIMITS: Final = Limits(side=32, max_pixels=20_000_000)
BITS: Final = 4


def photographs(corpus: Path) -> Iterator[Image.Image]:
    for archive in ARCHIVES:
        with tarfile.open(corpus / "photos" / f"{archive}.tar") as tar:
            names = sorted(member.name for member in tar if member.isfile())
            for name in names[:: len(names) // PICTURES_EACH][:PICTURES_EACH]:
                stream = tar.extractfile(name)
                assert stream is not None
                yield Image.open(io.BytesIO(stream.read())).convert("RGB")


def resized(picture: Image.Image, long_side: int) -> Image.Image:
    scale = long_side / max(picture.size)
    width, height = (round(side * scale) for side in picture.size)
    return picture.resize((width, height), Image.Resampling.BICUBIC)


def reference(data: bytes) -> tuple[str, int]:
    with Image.open(io.BytesIO(data)) as image:
        bits, quality = pdqhash.compute(np.asarray(image.convert("L").convert("RGB")))
    return np.packbits(np.asarray(bits, dtype=np.uint8)).tobytes().hex(), quality


def test_hashes_of_photographs_are_the_library_s_at_any_size(corpus: Path) -> None:
    distances = []
    for picture in photographs(corpus):
        for long_side in LONG_SIDES:
            data = make_file(resized(picture, long_side), "JPEG", quality=90)
            expected, quality = reference(data)
            if quality >= MIN_PDQ_QUALITY:
                (frame,) = decode(data, LIMITS).frames
                distances.append(hamming(frame.pdq[0], expected))
    assert len(distances) >= 0.9 * len(ARCHIVES) * PICTURES_EACH * len(LONG_SIDES)
    assert np.percentile(distances, 99, method="higher") <= BITS
