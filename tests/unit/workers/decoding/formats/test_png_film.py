"""An animated PNG's frames are composed as Pillow composes them where it follows the standard, and as that has it."""

import struct

import numpy as np
import pytest
from PIL import Image

from tests.film_factories import Part, make_apng, make_parts, seen_in_full
from tests.image_factories import make_animation, make_file, make_picture
from tests.png_factories import interlaced
from workers.decoding.formats.film_canvas import composed
from workers.decoding.formats.picture_formats import open_picture
from workers.decoding.formats.png_film import png_film

SIZE = (61, 47)


def by_pillow(data: bytes) -> list[Image.Image]:
    """Return the frames, the file opened for each: of one that was seen Pillow forgets what it was drawn on."""
    pictures = []
    for index in range(open_picture(data, "image/png").n_frames):  # type: ignore[attr-defined]
        image = open_picture(data, "image/png")
        image.seek(index)
        pictures.append(image.convert("RGBA"))
    return pictures


def by_parts(data: bytes, count: int = 100) -> list[Image.Image]:
    return seen_in_full(png_film(open_picture(data, "image/png"), data, count))


def assert_same(found: list[Image.Image], expected: list[Image.Image]) -> None:
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_array_equal(np.asarray(one.convert("RGBa")), np.asarray(other.convert("RGBa")))


@pytest.mark.parametrize("over", [(True, True, False), (False, True, True), (False,)])
@pytest.mark.parametrize("seed", range(6))
def test_every_disposal_and_blend_is_as_pillow_has_it(seed: int, over: tuple[bool, ...]) -> None:
    disposals = [int(choice) for choice in np.random.default_rng(seed).integers(0, 3, 9)]
    data = make_apng(SIZE, make_parts(SIZE, disposals, seed=seed * 10, over=over))
    assert_same(by_parts(data), by_pillow(data))


@pytest.mark.parametrize("mode", ["L", "RGB", "LA"])
def test_colours_of_every_kind_are_read(mode: str) -> None:
    data = make_apng(SIZE, make_parts(SIZE, [0] * 5), mode)
    assert_same(by_parts(data), by_pillow(data))


@pytest.mark.parametrize("colours", [4, 256])
def test_what_pillow_writes_is_read(colours: int) -> None:
    data = make_animation(*(make_picture(*SIZE, seed=seed) for seed in range(3)), image_format="PNG")
    assert_same(by_parts(data), by_pillow(data))
    shades = [make_picture(*SIZE).quantize(colours)] * 2
    shades[1] = shades[0].transpose(Image.Transpose.ROTATE_180)
    data = make_file(shades[0], save_all=True, append_images=shades[1:])
    assert_same(by_parts(data), by_pillow(data))


def test_half_clear_pixels_leave_an_opaque_canvas_opaque() -> None:
    below, above = Image.new("RGBA", SIZE, (200, 100, 50, 255)), Image.new("RGBA", (9, 9), (0, 0, 200, 128))
    data = make_apng(SIZE, [Part(picture=below), Part(picture=above, at=(4, 4), over=True)])
    colour = by_parts(data)[1].getpixel((5, 5))
    assert isinstance(colour, tuple)
    assert np.abs(np.subtract(colour, (100, 50, 125, 255))).max() <= 1


def test_the_first_frame_is_not_drawn_on_what_other_programs_show() -> None:
    parts = make_parts(SIZE, [0, 0], over=(True,))
    still = make_picture(*SIZE, seed=9)
    found = by_parts(make_apng(SIZE, parts, still=still.convert("RGBA")))
    assert_same(found[:1], [still.convert("RGBA")])
    assert_same(found[1:], by_pillow(make_apng(SIZE, parts)))


def test_what_is_cleared_of_opaque_colours_is_clear() -> None:
    data = make_apng(SIZE, [Part(picture=make_picture(*SIZE), disposal=1), Part(picture=make_picture(9, 9))], "RGB")
    assert by_parts(data)[1].getpixel((30, 30)) == (0, 0, 0, 0)


def test_stills_and_interlaced_films_are_left_to_others() -> None:
    still = make_file(make_picture(*SIZE))
    film = interlaced(make_apng(SIZE, make_parts(SIZE, [0, 0])))
    for data in (still, film):
        assert png_film(open_picture(data, "image/png"), data, 9) is None


@pytest.mark.parametrize("box", [(60, 40, 9, 9), (0, 0, 62, 47), (2**31, 2**31, 2**31, 2**31)])
def test_a_film_ends_before_a_frame_that_is_not_on_its_canvas(box: tuple[int, int, int, int]) -> None:
    data = make_apng(SIZE, make_parts(SIZE, [0] * 3))
    left, top, width, height = box
    third = data.rindex(b"fcTL") + 8
    moved = data[:third] + struct.pack(">4I", width, height, left, top) + data[third + 16 :]
    assert_same(by_parts(moved), by_pillow(data)[:2])


def test_a_frame_of_no_pixels_hides_none_that_follows() -> None:
    data = make_apng(SIZE, make_parts(SIZE, [0] * 3, over=(False,)))
    second = data.index(b"fcTL", data.index(b"fcTL") + 1) + 8
    one, two, three = by_parts(data[:second] + bytes(8) + data[second + 8 :])
    assert one.tobytes() == two.tobytes() != three.tobytes()


@pytest.mark.parametrize("share", [0.5, 0.8])
def test_a_film_that_is_cut_shows_what_is_whole_and_then_fails(share: float) -> None:
    data = make_apng(SIZE, make_parts(SIZE, [0] * 4))
    short = data[: int(share * len(data))]
    film = png_film(open_picture(data, "image/png"), short, 100)
    assert film is not None
    images = composed(film, (1, 1), 10)
    assert_same([next(images) for _ in film.frames[1:]], by_pillow(data)[: len(film.frames) - 1])
    with pytest.raises(OSError, match="truncated"):
        next(images)


def test_no_more_frames_are_looked_for_than_are_asked_for() -> None:
    assert len(by_parts(make_apng(SIZE, make_parts(SIZE, [0] * 4)), 2)) == 2
