"""The drawing surface: colours, shapes and text stay inside what Pillow accepts, whatever the seed."""

import math
import random

import pytest

from workers.training.drawing.canvas import Canvas, blend, polygon


def canvas(seed: int = 0) -> Canvas:
    return Canvas(random.Random(seed), (200, 100), (250, 250, 250))


@pytest.mark.parametrize("share", [0.0, 0.25, 1.0])
def test_blend_mixes_channel_by_channel(share: float) -> None:
    assert blend((0, 100, 200), (200, 100, 0), share) == (round(200 * share), 100, round(200 - 200 * share))


def test_a_polygon_has_its_corners_on_the_circle() -> None:
    corners = polygon((10.0, 20.0), 5.0, 6)
    assert len(corners) == 6
    assert [math.dist(corner, (10.0, 20.0)) for corner in corners] == pytest.approx([5.0] * 6)


def test_colours_are_bytes() -> None:
    drawn = canvas()
    colours = [drawn.colour(saturation, value) for saturation in (0.0, 0.5, 2.0) for value in (0.0, 1.0, 3.0)]
    assert all(0 <= channel <= 255 for colour in colours for channel in colour)


def test_lengths_are_at_least_a_pixel() -> None:
    assert canvas().px(0.0001) == 1


def test_a_gradient_goes_from_one_colour_to_the_other() -> None:
    drawn = canvas()
    drawn.gradient((0, 0, 0), (255, 255, 255))
    assert drawn.image.getpixel((5, 0)) == (0, 0, 0)
    assert drawn.image.getpixel((5, 99)) == (255, 255, 255)


def test_an_empty_gradient_paints_nothing() -> None:
    drawn = canvas()
    before = drawn.image.tobytes()
    drawn.gradient((0, 0, 0), (9, 9, 9), box=(50, 50, 50, 50))
    assert drawn.image.tobytes() == before
