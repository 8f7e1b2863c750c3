"""The enrolled views of a reference: their number, order and sizes."""

import numpy as np
import pytest
from PIL import Image

from tests.image_factories import make_picture
from workers.decoding.pixels import UPRIGHT, squash
from workers.decoding.reference_views import CROP_SIDE, FILLS, TILT, TILT_SIDE, VIEWS, reference_views, squashed_views

TILTS = 8


def test_the_whole_picture_comes_first() -> None:
    picture = make_picture(seed=1)
    views = reference_views(picture)
    assert len(views) == len(VIEWS)
    assert views[0] is picture


def test_crops_hold_sixty_per_cent() -> None:
    crops = reference_views(Image.new("RGB", (1000, 600)))[1:-TILTS]
    assert {crop.size for crop in crops} == {(round(1000 * CROP_SIDE), round(600 * CROP_SIDE))}


def test_turning_happens_on_a_small_copy() -> None:
    views = reference_views(Image.new("RGB", (5000, 3000)))
    assert max(max(view.size) for view in views[-TILTS:]) <= TILT_SIDE * 1.2


@pytest.mark.parametrize("size", [(1, 1), (2, 1), (1, 500), (96, 96), (3000, 7)])
def test_every_size_has_its_views(size: tuple[int, int]) -> None:
    assert all(min(view.size) >= 1 for view in reference_views(Image.new("RGB", size)))


def test_crops_reach_every_corner() -> None:
    picture = make_picture(300, 200, seed=2)
    crops = reference_views(picture)[1:-TILTS]
    assert crops[0].getpixel((0, 0)) == picture.getpixel((0, 0))
    assert crops[-1].getpixel((crops[-1].width - 1, crops[-1].height - 1)) == picture.getpixel((299, 199))


def test_a_cut_tilt_keeps_the_frame() -> None:
    grown, _, cut, *_ = reference_views(Image.new("RGB", (200, 100)))[-TILTS:]
    assert cut.size == (200, 100)
    assert grown.width > 200


@pytest.mark.parametrize("size", [(640, 480), (480, 640), (300, 300), (200, 900), (100, 60), (60, 100), (3000, 40)])
def test_views_squashed_together_are_those_squashed_one_by_one(size: tuple[int, int]) -> None:
    picture = make_picture(*size, seed=3)
    for side in (96, 128):
        one_by_one = [squash(view, side, UPRIGHT).tobytes() for view in reference_views(picture)[1:]]
        assert [view.tobytes() for view in squashed_views(picture, side)] == one_by_one


@pytest.mark.parametrize("size", [(300, 200), (200, 301), (129, 131)])
def test_a_tilt_is_one_turn_of_the_picture_however_it_is_framed_and_filled(size: tuple[int, int]) -> None:
    picture = make_picture(*size, seed=4)
    turns = [
        picture.rotate(angle, Image.Resampling.BICUBIC, expand=grown, fillcolor=fill)
        for angle in (TILT, -TILT)
        for grown in (True, False)
        for fill in FILLS.values()
    ]
    for view, turn in zip(reference_views(picture)[-TILTS:], turns, strict=True):
        assert view.size == turn.size
        # The middle is a sum of two numbers either way: in the last digit they may differ, and round apart.
        off = np.abs(np.asarray(view, np.int16) - np.asarray(turn))
        assert off.max() <= 1
        assert (off > 0).mean() < 0.001
