"""The named edits: what each does to size and colour, and that a seed names its result."""

import io
import random

import numpy as np
import pytest
from PIL import Image

from workers.training.drawing import draw
from workers.training.edits import EDITS, edited, encode

SIZE = (640, 480)


@pytest.fixture(scope="module")
def picture() -> Image.Image:
    return draw("dashboard", 5, size=SIZE)


def apply(name: str, image: Image.Image) -> Image.Image:
    return EDITS[name](image, random.Random(1))


@pytest.mark.parametrize("name", EDITS)
def test_a_seed_names_the_result(name: str, picture: Image.Image) -> None:
    assert edited(picture, name, 7) == edited(picture, name, 7)


@pytest.mark.parametrize("name", EDITS)
def test_every_edit_changes_something_and_stays_rgb(name: str, picture: Image.Image) -> None:
    result = apply(name, picture)
    assert result.mode == "RGB"
    assert result.tobytes() != picture.tobytes()


@pytest.mark.parametrize("name", EDITS)
def test_the_bytes_are_a_jpeg(name: str, picture: Image.Image) -> None:
    with Image.open(io.BytesIO(edited(picture, name, 1))) as image:
        assert image.format == "JPEG"


def test_a_crop_keeps_sixty_per_cent(picture: Image.Image) -> None:
    width, height = apply("crop_60", picture).size
    assert width * height == pytest.approx(0.6 * SIZE[0] * SIZE[1], rel=0.01)


def test_a_quarter_turn_swaps_the_sides(picture: Image.Image) -> None:
    assert apply("rotate_90", picture).size == SIZE[::-1]


def test_half_size_is_half(picture: Image.Image) -> None:
    assert apply("half_size", picture).size == (SIZE[0] // 2, SIZE[1] // 2)


def test_grey_has_no_colour(picture: Image.Image) -> None:
    pixels = np.asarray(apply("grey", picture), np.int16)
    assert np.ptp(pixels, axis=2).max() == 0


def test_saturation_grows(picture: Image.Image) -> None:
    def spread(image: Image.Image) -> float:
        return float(np.ptp(np.asarray(image, np.int16), axis=2).mean())

    assert spread(apply("saturate", picture)) > spread(picture)


def test_lower_quality_makes_smaller_files(picture: Image.Image) -> None:
    assert len(encode(picture, quality=30)) < len(encode(picture))


def test_an_unknown_edit_is_refused(picture: Image.Image) -> None:
    with pytest.raises(KeyError):
        edited(picture, "fold", 1)
