"""Films of a large canvas are seen as Pillow would show them, reduced, frame after frame."""

import numpy as np
import pytest
from PIL import Image

from shared.extract.sniff import sniff
from tests.film_factories import MAKERS, Part
from tests.image_factories import make_animation, make_file, make_picture
from workers.decoding.formats.films import WHOLE_FILM_PIXELS, ReducedFilm, reduced_film
from workers.decoding.formats.picture_formats import open_picture
from workers.decoding.pixels import reduced, reducible

SIZE = (2100, 1500)
LARGE = (3600, 2400)


def film_of(data: bytes, count: int = 100) -> ReducedFilm | None:
    return reduced_film(open_picture(data, sniff(data)), data, count)


def parts_of(size: tuple[int, int]) -> list[Part]:
    """Return frames of which the later ones change a part of a canvas, at no block's edge."""
    parts = [Part(picture=make_picture(*size).convert("RGBA"))]
    for number in range(1, 4):
        picture = make_picture(size[0] // 3, size[1] // 3, seed=number + 1).convert("RGBA")
        picture.paste((0, 0, 0, 0), (50, 60, 301, 203))
        parts.append(Part(picture=picture, at=(202 * number, 102 * number), over=True, disposal=number % 2))
    return parts


def by_pillow(data: bytes, index: int) -> Image.Image:
    image = open_picture(data, sniff(data))
    image.seek(index)
    image.load()
    return reduced(reducible(image))


@pytest.mark.parametrize("image_format", MAKERS)
@pytest.mark.parametrize(("size", "most", "mean"), [(SIZE, 1, 0.3), (LARGE, 60, 1.0)])
def test_parts_are_laid_on_the_canvas(image_format: str, size: tuple[int, int], most: int, mean: float) -> None:
    data = MAKERS[image_format](size, parts_of(size))
    film = film_of(data)
    assert film is not None
    assert (film.size, size[0] * size[1] > WHOLE_FILM_PIXELS) == (size, True)
    for index, image in enumerate(film.images):
        expected = by_pillow(data, index).convert("RGBA").convert("RGBa")
        off = np.abs(np.asarray(image.convert("RGBA").convert("RGBa")).astype(int) - np.asarray(expected))
        assert image.size == expected.size
        assert off.max() <= most
        assert off.mean() <= mean


@pytest.mark.parametrize("image_format", MAKERS)
def test_a_frame_that_is_the_whole_is_what_a_still_of_it_is(image_format: str) -> None:
    options = {"lossless": True, "quality": 0, "method": 0} if image_format == "WEBP" else {}
    data = make_animation(make_picture(*SIZE), make_picture(*SIZE, seed=2), image_format=image_format, **options)
    film = film_of(data)
    assert film is not None
    assert film.scale == (2, 2)
    for index, image in enumerate(film.images):
        expected = by_pillow(data, index)
        np.testing.assert_array_equal(np.asarray(image.convert("RGB")), np.asarray(expected.convert("RGB")))


def test_a_still_gif_is_a_film_of_one_frame() -> None:
    film = film_of(make_file(make_picture(*SIZE).convert("L"), "GIF"))
    assert film is not None
    assert [image.size for image in film.images] == [(1050, 750)]


@pytest.mark.parametrize(
    "data",
    [
        make_animation(make_picture(1000, 1000), make_picture(1000, 1000, seed=2)),
        make_file(Image.new("L", SIZE)),
        make_file(Image.new("L", SIZE), "WEBP"),
        make_file(Image.new("L", SIZE), "TIFF"),
    ],
    ids=["small", "still PNG", "still WebP", "no film"],
)
def test_what_is_small_or_no_film_is_left_to_others(data: bytes) -> None:
    assert film_of(data) is None


def test_a_film_of_few_rows_is_left_to_others() -> None:
    picture = Image.new("L", (3_000_000, 2))
    data = make_file(picture, save_all=True, append_images=[picture.point(lambda _: 9)])
    assert film_of(data) is None
