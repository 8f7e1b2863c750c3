"""The enrolled views of a reference: their number, order and sizes."""

import pytest
from PIL import Image

from tests.image_factories import make_picture
from workers.reference_views import CROP_SIDE, TILT_SIDE, VIEWS, reference_views


def test_the_whole_picture_comes_first() -> None:
    picture = make_picture(seed=1)
    views = reference_views(picture)
    assert len(views) == len(VIEWS)
    assert views[0] is picture


def test_crops_hold_sixty_per_cent() -> None:
    crops = reference_views(Image.new("RGB", (1000, 600)))[1:6]
    assert {crop.size for crop in crops} == {(round(1000 * CROP_SIDE), round(600 * CROP_SIDE))}


def test_turning_happens_on_a_small_copy() -> None:
    views = reference_views(Image.new("RGB", (5000, 3000)))
    assert max(max(view.size) for view in views[6:]) <= TILT_SIDE * 1.2


@pytest.mark.parametrize("size", [(1, 1), (2, 1), (1, 500), (96, 96), (3000, 7)])
def test_every_size_has_its_views(size: tuple[int, int]) -> None:
    assert all(min(view.size) >= 1 for view in reference_views(Image.new("RGB", size)))


def test_a_quarter_turn_swaps_the_sides() -> None:
    views = reference_views(Image.new("RGB", (200, 100)))
    assert views[-1].size == views[-2].size == (100, 200)
