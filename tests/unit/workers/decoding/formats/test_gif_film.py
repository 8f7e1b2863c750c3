"""A GIF's frames are composed as Pillow composes them, and a hostile one costs no more than its canvas."""

import struct

import numpy as np
import pytest
from PIL import Image

from tests.film_factories import Part, make_gif, make_parts, seen_by_pillow, seen_in_full
from tests.image_factories import make_animation, make_file, make_picture
from workers.decoding.formats.film_canvas import composed
from workers.decoding.formats.gif_film import gif_film
from workers.decoding.formats.picture_formats import open_picture

SIZE = (61, 47)


def by_pillow(data: bytes) -> list[Image.Image]:
    return seen_by_pillow(data, "image/gif")


def by_parts(data: bytes, count: int = 100) -> list[Image.Image]:
    return seen_in_full(gif_film(open_picture(data, "image/gif"), data, count))


def assert_same(data: bytes) -> None:
    for found, expected in zip(by_parts(data), by_pillow(data), strict=True):
        np.testing.assert_array_equal(np.asarray(found.convert("RGBa")), np.asarray(expected.convert("RGBa")))


@pytest.mark.parametrize("interlaced", [False, True])
@pytest.mark.parametrize("over", [(True, True, False), (False, True, True), (False,)])
@pytest.mark.parametrize("seed", range(4))
def test_every_disposal_is_as_pillow_has_it(seed: int, over: tuple[bool, ...], interlaced: bool) -> None:
    disposals = [int(choice) for choice in np.random.default_rng(seed).integers(0, 4, 9)]
    assert_same(make_gif(SIZE, make_parts(SIZE, disposals, seed=seed * 10, over=over), interlaced=interlaced))


@pytest.mark.parametrize("disposal", range(4))
@pytest.mark.parametrize("clear", [False, True])
def test_a_first_frame_may_be_a_part(disposal: int, clear: bool) -> None:
    part = Part(picture=make_picture(20, 30).convert("RGBA"), at=(7, 9), disposal=disposal, over=clear)
    assert_same(make_gif(SIZE, [part, Part(picture=make_picture(9, 9, seed=2).convert("RGBA"), at=(1, 1))]))


def test_what_pillow_writes_is_read() -> None:
    assert_same(make_animation(*(make_picture(*SIZE, seed=seed) for seed in range(3))))
    greys = [make_picture(*SIZE, seed=seed).convert("L") for seed in range(3)]
    assert_same(make_file(greys[0], "GIF", save_all=True, append_images=greys[1:]))
    assert_same(make_file(make_picture(*SIZE).convert("L"), "GIF"))


def placed(at: tuple[int, int], size: tuple[int, int] = (9, 9)) -> bytes:
    """Return a film whose second of three frames says that it is elsewhere, and of another size."""
    parts = [Part(picture=make_picture(*each, seed=1).convert("RGBA")) for each in (SIZE, (9, 9), (5, 5))]
    data = make_gif(SIZE, parts)
    told = data.index(struct.pack("<B4H", 0x2C, 0, 0, 9, 9))
    return data[: told + 1] + struct.pack("<4H", *at, *size) + data[told + 9 :]


def test_of_a_frame_beyond_the_canvas_what_is_on_it_is_drawn() -> None:
    second = by_parts(placed((57, 40)))[1]
    expected = by_pillow(placed((0, 0)))
    expected[0].paste(expected[1].crop((0, 0, 4, 7)), (57, 40))
    np.testing.assert_array_equal(np.asarray(second), np.asarray(expected[0]))
    one, two, three = by_parts(placed((60_000, 60_000)))
    assert one.tobytes() == two.tobytes() != three.tobytes()


def test_a_frame_of_no_pixels_hides_none_that_follows() -> None:
    one, two, three = by_parts(placed((3, 3), (0, 9)))
    assert one.tobytes() == two.tobytes() != three.tobytes()


def test_a_frame_that_is_larger_than_its_canvas_is_refused() -> None:
    with pytest.raises(OSError, match="larger than its canvas"):
        by_parts(placed((0, 0), (65_535, 65_535)))


@pytest.mark.parametrize("share", [0.4, 0.6, 0.9])
def test_a_film_that_is_cut_shows_what_is_whole_and_then_fails(share: float) -> None:
    data = make_gif(SIZE, make_parts(SIZE, [0] * 6))
    film = gif_film(open_picture(data, "image/gif"), data[: int(share * len(data))], 100)
    assert film is not None
    images = composed(film, (1, 1), 10)
    expected = by_pillow(data)
    for number in range(len(film.frames) - 1):
        assert np.array_equal(np.asarray(next(images).convert("RGBa")), np.asarray(expected[number].convert("RGBa")))
    with pytest.raises(ValueError, match="not enough"):
        next(images)


def test_no_more_frames_are_looked_for_than_are_asked_for() -> None:
    data = make_gif(SIZE, make_parts(SIZE, [0] * 6))
    assert len(by_parts(data, 2)) == 2
    assert gif_film(open_picture(data, "image/gif"), data[:800], 0) is None
