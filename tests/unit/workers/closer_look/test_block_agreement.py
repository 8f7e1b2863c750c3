"""What blocks say: places that stand out apart from the largest one, sharpness, nothing to say."""

import math

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFilter

from workers.closer_look.block_agreement import NOTHING_COMPARABLE, Agreement
from workers.closer_look.block_sketch import compare, make_sketch
from workers.decoding.pixels import canonical, grey_plane
from workers.training.drawing import draw

PAGE = draw("document_page", 1, size=(600, 800))


def compared(edited: Image.Image) -> Agreement:
    reference, image = (np.asarray(grey_plane(canonical(picture, 1))) for picture in (PAGE, edited))
    return compare(image, make_sketch(reference), np.eye(2, 3))


def painted(*boxes: tuple[int, int, int, int]) -> Image.Image:
    image = PAGE.copy()
    for box in boxes:
        ImageDraw.Draw(image).rectangle(box, fill=(90, 90, 90), outline=(0, 0, 0), width=8)
    return image


def test_one_patch_is_no_separate_place_and_many_are() -> None:
    one = compared(painted((150, 250, 350, 450)))
    many = compared(
        painted(
            *(
                (100 + 150 * column, 200 + 140 * row, 160 + 150 * column, 230 + 140 * row)
                for column in range(3)
                for row in range(4)
            )
        )
    )
    assert (one.patches, one.elsewhere) == (0, 0.0)
    assert many.patches >= 8
    assert many.elsewhere > 0.03


def test_what_reaches_the_rim_is_no_place() -> None:
    framed = painted((0, 0, 600, 60), (0, 740, 600, 800), (0, 0, 50, 800))
    assert compared(framed).patches <= 1


def test_a_blurred_image_is_not_legible() -> None:
    assert compared(PAGE).legible
    assert not compared(PAGE.filter(ImageFilter.GaussianBlur(9))).legible


def test_nothing_comparable_says_nothing() -> None:
    assert (NOTHING_COMPARABLE.comparable, NOTHING_COMPARABLE.patches) == (0, 0)
    assert math.isclose(NOTHING_COMPARABLE.share, 1)


@pytest.mark.parametrize("contrast", [0.5, 1.5])
def test_contrast_and_its_own_picture_stay_usual(contrast: float) -> None:
    other = PAGE.point(lambda value: int(value * contrast * 0.6))
    assert compared(other).usual == pytest.approx(1, abs=0.5)
