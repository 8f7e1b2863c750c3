"""The transformations: each edits, none breaks on an odd picture, and dice decide nothing else."""

import random

import numpy as np
import pytest
from PIL import Image

from tests.image_factories import make_picture
from workers import transformations as to
from workers.transformations import LONG_SIDE, TRANSFORMS, canonical

ODD_SIZES = ((512, 1), (1, 512), (512, 40), (37, 512))


@pytest.mark.parametrize("name", TRANSFORMS)
def test_a_transformation_edits_and_repeats_itself(name: str) -> None:
    picture, other = canonical(make_picture(seed=1)), canonical(make_picture(seed=2))
    first, again = (TRANSFORMS[name](picture, random.Random(3), other) for _ in range(2))
    assert first.mode == "RGB"
    assert first.tobytes() == again.tobytes()
    assert first.size != picture.size or first.tobytes() != picture.tobytes()


@pytest.mark.parametrize("size", ODD_SIZES)
@pytest.mark.parametrize("name", TRANSFORMS)
def test_odd_sizes_survive(name: str, size: tuple[int, int]) -> None:
    edited = TRANSFORMS[name](make_picture(*size), random.Random(3), canonical(make_picture(seed=2)))
    assert min(edited.size) >= 1


def test_the_canonical_picture_has_one_long_side() -> None:
    assert canonical(make_picture(100, 50)).size == (LONG_SIDE, 256)
    assert canonical(make_picture(1, 4000)).size == (1, LONG_SIDE)


def test_a_crop_has_the_area_it_says() -> None:
    cut = to.crop(make_picture(500, 300), random.Random(1), 0.25)
    assert cut.size == (250, 150)


def test_a_paste_covers_the_share_it_says() -> None:
    flat = Image.new("RGB", (400, 400), (255, 0, 0))
    sheet = to.paste(flat, random.Random(1), Image.new("RGB", (400, 400), (0, 0, 0)), 0.25)
    assert np.asarray(sheet)[..., 0].mean() / 255 == pytest.approx(0.25, abs=0.01)


def test_a_paste_never_leaves_the_sheet() -> None:
    sheet = to.paste(make_picture(512, 20), random.Random(1), make_picture(20, 512, seed=2), 0.5)
    assert sheet.size == (20, 512)


def test_perspective_moves_every_corner_inwards() -> None:
    white = Image.new("RGB", (200, 100), "white")
    seen = np.asarray(to.perspective(white, random.Random(4), 0.2).convert("L"))
    assert seen[50, 100] == 255
    assert 0.5 < (seen > 128).mean() < 1.0
