"""PDQ against its reference library, and against itself on turned pictures."""

import io

import numpy as np
import pdqhash
import pytest
from PIL import Image

from shared.core.hashing import Variant, hamming
from tests.image_factories import make_file, make_picture
from workers.decoding.child import Limits, decode
from workers.decoding.pdq import BAND, GRID, PdqHashes, pdq, sampling_bands
from workers.training.drawing import draw

ROUNDING_BITS = 4
"""The library sums in single precision as it slides; bits that sit on the median fall either way."""
TRANSPOSES = {
    Variant.TURN_90: Image.Transpose.ROTATE_90,
    Variant.TURN_180: Image.Transpose.ROTATE_180,
    Variant.TURN_270: Image.Transpose.ROTATE_270,
    Variant.FLIP_TOP_BOTTOM: Image.Transpose.FLIP_TOP_BOTTOM,
    Variant.FLIP_LEFT_RIGHT: Image.Transpose.FLIP_LEFT_RIGHT,
    Variant.TRANSPOSE: Image.Transpose.TRANSPOSE,
    Variant.TRANSVERSE: Image.Transpose.TRANSVERSE,
}
SIZES = [(64, 64), (240, 160), (160, 240), (513, 771), (33, 700), (5, 5)]


def hashed(image: Image.Image) -> PdqHashes:
    return pdq(np.asarray(image.convert("L")))


def reference(image: Image.Image) -> tuple[str, int]:
    bits, quality = pdqhash.compute(np.asarray(image.convert("L").convert("RGB")))
    return np.packbits(np.asarray(bits, dtype=np.uint8)).tobytes().hex(), quality


@pytest.mark.parametrize("size", SIZES)
def test_upright_hash_is_the_library_s(size: tuple[int, int]) -> None:
    image = make_picture(*size)
    expected, quality = reference(image)
    found = hashed(image)
    assert hamming(found.variants[Variant.UPRIGHT], expected) <= ROUNDING_BITS
    assert abs(found.quality - quality) <= 1


@pytest.mark.parametrize("length", [600, 640, 683, 750, 768, 1000, 1023, 1024])
def test_only_pixels_that_count_are_multiplied(length: int) -> None:
    sample, window = length / GRID, length / (2 * GRID) + 1
    widths = [band.last - band.first for band in sampling_bands(length, 1)]
    assert max(widths) <= (BAND - 1) * sample + 2 * window + 2
    rows = np.concatenate([band.weights.sum(axis=1) for band in sampling_bands(length, 1)])
    np.testing.assert_allclose(rows, 1.0, rtol=1e-5)


@pytest.mark.parametrize("image_format", ["PNG", "JPEG"])
@pytest.mark.parametrize("size", [(700, 520), (1280, 853), (1023, 1031), (2400, 1610), (3001, 1999), (600, 4400)])
@pytest.mark.parametrize("family", ["poster", "floor_plan"])
def test_the_hash_of_a_file_is_the_library_s_of_the_full_picture(
    family: str, size: tuple[int, int], image_format: str
) -> None:
    data = make_file(draw(family, 3).resize(size, Image.Resampling.BICUBIC), image_format)
    with Image.open(io.BytesIO(data)) as image:
        expected, _ = reference(image)
    (frame,) = decode(data, Limits(side=32, max_pixels=10_000_000)).frames
    assert hamming(frame.pdq[0], expected) <= ROUNDING_BITS


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("variant", TRANSPOSES)
def test_each_variant_is_the_hash_of_the_turned_picture(variant: Variant, size: tuple[int, int]) -> None:
    image = make_picture(*size)
    turned = image.transpose(TRANSPOSES[variant])
    assert hamming(hashed(image).variants[variant], hashed(turned).variants[Variant.UPRIGHT]) <= ROUNDING_BITS
    assert hamming(hashed(image).variants[variant], reference(turned)[0]) <= ROUNDING_BITS


def test_a_flat_picture_has_no_quality() -> None:
    assert hashed(Image.new("L", (100, 100), 128)).quality == 0


@pytest.mark.parametrize("size", [(1, 1), (4, 100), (100, 4)])
def test_a_sliver_has_no_hash(size: tuple[int, int]) -> None:
    assert hashed(make_picture(*size)) == PdqHashes(variants=("0" * 64,) * 8, quality=0)
