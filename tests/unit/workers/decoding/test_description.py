"""What is clear is judged as it looks on white, and on black where that is another picture."""

import numpy as np
import pytest
from PIL import Image

from tests.image_factories import make_picture
from workers.decoding.description import Described, describe
from workers.decoding.formats.frame_walk import Picture
from workers.decoding.pixels import reducible
from workers.decoding.reference_views import VIEWS

SIDE = 32
SHAPES = make_picture(240, 160, seed=5).convert("L").point(lambda value: 255 if value > 128 else 0)


def described(image: Image.Image) -> list[Described]:
    return list(describe(Picture(index=3, image=image, size=image.size, orientation=1), reducible(image), SIDE))


def drawn(colour: tuple[int, int, int], mode: str = "RGBA") -> Image.Image:
    picture = Image.new("RGBA", SHAPES.size, (*colour, 0))
    picture.putalpha(SHAPES)
    return picture.convert(mode)


def test_a_picture_without_clear_parts_is_described_once() -> None:
    (only,) = described(make_picture())
    assert (only.frame.index, only.frame.size, only.frame.low_information) == (3, (320, 200), False)
    assert len(described(make_picture().convert("RGBA"))) == 1


@pytest.mark.parametrize("mode", ["RGBA", "LA"])
def test_white_on_nothing_shows_on_black(mode: str) -> None:
    on_white, on_black = described(drawn((255, 255, 255), mode))
    assert on_white.frame.low_information
    assert not on_black.frame.low_information
    assert np.asarray(on_black.picture).mean() == pytest.approx(np.asarray(SHAPES).mean(), abs=2)


def test_black_on_nothing_shows_on_white_alone() -> None:
    (on_white,) = described(drawn((0, 0, 0)))
    assert not on_white.frame.low_information


def test_colours_on_nothing_show_on_both() -> None:
    picture = make_picture(240, 160)
    picture.putalpha(SHAPES)
    assert [each.frame.low_information for each in described(picture)] == [False, False]


def test_a_palette_with_a_clear_colour() -> None:
    picture = drawn((255, 255, 255)).convert("RGBA").quantize(4)
    assert picture.mode == "P"
    assert [each.frame.low_information for each in described(picture)] == [True, False]


def test_nearly_opaque_is_opaque() -> None:
    picture = make_picture()
    picture.putalpha(253)
    assert len(described(picture)) == 1


def test_what_hides_in_clear_pixels_is_found() -> None:
    picture = make_picture()
    picture.putalpha(0)
    on_white, hidden = described(picture)
    assert on_white.frame.low_information
    assert hidden.frame.pdq == described(make_picture())[0].frame.pdq


def test_nothing_at_all_is_described_once() -> None:
    assert len(described(Image.new("RGBA", (60, 60), (0, 0, 0, 0)))) == 1


def test_views_are_those_of_the_picture_described() -> None:
    on_black = described(drawn((255, 255, 255)))[1]
    frame = on_black.with_views()
    assert len(frame.views) == len(VIEWS) - 1
    assert {len(view) for view in frame.views} == {SIDE * SIDE * 3}
