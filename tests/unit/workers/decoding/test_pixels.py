"""Every kind of picture becomes the same two reductions."""

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from tests.image_factories import make_picture
from workers.decoding.pixels import (
    CANONICAL_SIDE,
    LONGEST_SIDE,
    LOW_CONTRAST_LEVELS,
    LOW_INFORMATION_QUALITY,
    canonical,
    grey_plane,
    low_information,
    reducible,
    squash,
)

SIDE = 32


def encoder_pixels(image: Image.Image, orientation: int = 1) -> NDArray[np.int16]:
    return np.asarray(squash(reducible(image), SIDE, orientation), dtype=np.int16)


@pytest.mark.parametrize("mode", ["L", "LA", "P", "PA", "RGB", "RGBA", "RGBX", "CMYK", "YCbCr", "HSV"])
def test_every_mode_keeps_the_picture(mode: str) -> None:
    image = make_picture()
    expected = image.convert("L").convert("RGB") if mode in {"L", "LA"} else image
    assert np.abs(encoder_pixels(image.convert(mode)) - encoder_pixels(expected)).mean() < 8


@pytest.mark.parametrize(
    ("dtype", "mode", "top"),
    [(np.uint16, "I;16", 257), (np.int32, "I", 257), (np.float32, "F", 1 / 255), (np.float32, "F", 1)],
)
def test_deep_samples_are_scaled(dtype: type, mode: str, top: float) -> None:
    grey = make_picture().convert("L")
    deep = Image.fromarray((np.asarray(grey, dtype=np.float64) * top).astype(dtype))
    assert deep.mode == mode
    assert np.abs(encoder_pixels(deep) - encoder_pixels(grey)).max() <= 2


def test_numbers_without_a_range_are_stretched_and_holes_are_black() -> None:
    values = np.full((40, 40), -500.0, dtype=np.float32)
    values[:20] = 1500.0
    values[0, 0] = np.nan
    pixels = np.asarray(reducible(Image.fromarray(values)))
    assert (pixels[5, 5], pixels[30, 30]) == (255, 0)


def test_one_bit_pictures_average_to_grey() -> None:
    board = Image.fromarray((np.indices((64, 64)).sum(axis=0) % 2 * 255).astype(np.uint8)).convert("1")
    assert encoder_pixels(board).min() == encoder_pixels(board).max() == 128


def test_transparency_is_white() -> None:
    clear = Image.new("RGBA", (50, 50), (200, 0, 0, 0))
    assert (encoder_pixels(clear) == 255).all()
    half = Image.new("LA", (50, 50), (0, 128))
    assert set(np.unique(encoder_pixels(half))) <= {126, 127, 128}


def test_a_colour_key_is_transparent() -> None:
    image = Image.new("RGB", (50, 50), (10, 20, 30))
    image.info["transparency"] = (10, 20, 30)
    assert (encoder_pixels(image) == 255).all()


@pytest.mark.parametrize("orientation", range(1, 9))
def test_orientation_is_undone(orientation: int) -> None:
    # What a camera stores for each orientation, from the upright picture.
    stored = {
        2: Image.Transpose.FLIP_LEFT_RIGHT,
        3: Image.Transpose.ROTATE_180,
        4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE,
        6: Image.Transpose.ROTATE_90,
        7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_270,
    }
    upright = make_picture(64, 96)
    image = upright.transpose(stored[orientation]) if orientation > 1 else upright
    # One level: averaging rows before columns rounds differently from columns before rows.
    assert np.abs(encoder_pixels(image, orientation) - encoder_pixels(upright)).max() <= 1
    assert canonical(image, orientation).size == upright.size


@pytest.mark.parametrize(
    ("size", "expected"),
    [((300, 200), (300, 200)), ((1023, 1023), (1023, 1023)), ((2048, 1536), (683, 512)), ((5000, 3), (2500, 3))],
)
def test_canonical_size(size: tuple[int, int], expected: tuple[int, int]) -> None:
    assert canonical(Image.new("L", size), 1).size == expected


def test_canonical_picture_is_bounded() -> None:
    for size in ((100_000, 1), (9000, 700), (4000, 4000)):
        picture = canonical(Image.new("L", size), 1)
        assert max(picture.size) <= LONGEST_SIDE
        assert min(picture.size) >= min(*size, CANONICAL_SIDE) - 1


def test_growing_pictures_are_interpolated() -> None:
    tiny = Image.fromarray(np.array([[0, 255]], dtype=np.uint8))
    assert len(np.unique(encoder_pixels(tiny))) > 2


def test_low_information_is_a_blank_page_or_one_colour() -> None:
    picture = make_picture()
    assert not low_information(picture, LOW_INFORMATION_QUALITY)
    assert low_information(picture, LOW_INFORMATION_QUALITY - 1)
    noise = np.random.default_rng(1).integers(100, 100 + LOW_CONTRAST_LEVELS, (SIDE, SIDE, 3), dtype=np.uint8)
    assert low_information(Image.fromarray(noise), 100)


@pytest.mark.parametrize(
    ("size", "plane"),
    [((1600, 900), (512, 288)), ((512, 700), (374, 512)), ((200, 100), (200, 100)), ((4096, 1), (512, 1))],
)
def test_the_plane_is_grey_and_small(size: tuple[int, int], plane: tuple[int, int]) -> None:
    picture = grey_plane(make_picture().resize(size))
    assert (picture.mode, picture.size) == ("L", plane)
