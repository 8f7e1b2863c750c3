"""A canvas shows what composing every pixel shows: in full exactly, reduced as nearly as its blocks allow."""

from collections.abc import Iterator

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from tests.film_factories import Part, make_parts
from tests.image_factories import make_picture
from workers.decoding.formats.film_canvas import (
    CLEAR,
    FULL_CANVAS_PIXELS,
    After,
    Colour,
    Film,
    Frame,
    composed,
    scale_shown,
)
from workers.decoding.pixels import reduction

SIZE = (61, 47)
AFTER = (After.KEPT, After.FILLED, After.RESTORED)


def framed(part: Part, fill: Colour = CLEAR) -> Frame:
    def strips(rows: int) -> Iterator[Image.Image]:
        for top in range(0, part.picture.height, rows):
            yield part.picture.crop((0, top, part.picture.width, min(top + rows, part.picture.height)))

    box = (*part.at, part.at[0] + part.picture.width, part.at[1] + part.picture.height)
    return Frame(box=box, over=part.over, after=AFTER[part.disposal], strips=strips, fill=fill)


def nothing_drawn(rows: int) -> list[Image.Image]:
    return []


def film_of(*frames: Frame, size: tuple[int, int] = SIZE, background: Colour = CLEAR) -> Film:
    return Film(size=size, frames=frames, background=background)


def shown(film: Film, scale: tuple[int, int] = (1, 1), rows: int = 10) -> list[NDArray[np.int64]]:
    return [premultiplied(image) for image in composed(film, scale, rows)]


def premultiplied(image: Image.Image) -> NDArray[np.int64]:
    return np.asarray(image.convert("RGBA").convert("RGBa")).astype(int)


def by_pixels(parts: list[Part], fill: Colour = CLEAR) -> list[Image.Image]:
    canvas, pictures = Image.new("RGBA", SIZE), []
    for part in parts:
        before = canvas.copy()
        box = (*part.at, part.at[0] + part.picture.width, part.at[1] + part.picture.height)
        if part.over:
            canvas.alpha_composite(part.picture, part.at)
        else:
            canvas.paste(part.picture, part.at)
        pictures.append(canvas.copy())
        if AFTER[part.disposal] is After.RESTORED:
            canvas = before
        elif AFTER[part.disposal] is After.FILLED:
            canvas.paste(fill, box)
    return pictures


def disposals(seed: int) -> list[int]:
    return [int(choice) for choice in np.random.default_rng(seed).integers(0, 3, 9)]


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("fill", [CLEAR, (200, 90, 10, 255)])
def test_a_full_canvas_shows_every_pixel(seed: int, fill: Colour) -> None:
    parts = make_parts(SIZE, disposals(seed), seed=seed * 10, over=[(True, False), (False, True, True)][seed % 2])
    found = shown(film_of(*(framed(part, fill) for part in parts)))
    for one, expected in zip(found, by_pixels(parts, fill), strict=True):
        np.testing.assert_array_equal(one, premultiplied(expected))


@pytest.mark.parametrize("scale", [(2, 2), (4, 3)])
@pytest.mark.parametrize("seed", range(4))
def test_a_reduced_canvas_shows_nearly_that(seed: int, scale: tuple[int, int]) -> None:
    parts = make_parts(SIZE, disposals(seed), seed=seed * 10)
    found = shown(film_of(*map(framed, parts)), scale)
    off = [
        np.abs(one - premultiplied(expected.reduce(scale))).mean()
        for one, expected in zip(found, by_pixels(parts), strict=True)
    ]
    assert off[0] < 0.5
    assert max(off) < 14  # a third of all pixels are holes, at random: no block is all of one frame


@pytest.mark.parametrize("scale", [(2, 2), (4, 3)])
def test_blocks_that_a_frame_covers_are_exact(scale: tuple[int, int]) -> None:
    part = Part(picture=make_picture(37, 29, seed=2).convert("RGBA"), at=(12, 12))
    parts = [Part(picture=make_picture(*SIZE).convert("RGBA")), part]
    found = shown(film_of(*map(framed, parts)), scale)[1]
    expected = premultiplied(by_pixels(parts)[1].reduce(scale))
    whole = np.s_[12 // scale[1] : (12 + 29) // scale[1], 12 // scale[0] : (12 + 37) // scale[0]]
    assert np.abs(found - expected)[whole].max() <= 1
    inside = np.s_[: -(-(12 + 29) // scale[1]), : -(-(12 + 37) // scale[0])]
    found[inside] = expected[inside] = 0
    assert np.abs(found - expected).max() <= 1


def test_frames_that_are_the_whole_are_what_a_still_comes_to() -> None:
    size = (1300, 1100)
    pictures = [make_picture(*size, seed=seed) for seed in (1, 2)]
    film = film_of(*(framed(Part(picture=each)) for each in pictures), size=size)
    assert film.is_of_wholes()
    assert film.scale() == scale_shown(size, film.scale()) == reduction(size) == (2, 2)
    for picture, image in zip(pictures, composed(film, film.scale(), 10), strict=True):
        assert image.mode == "RGB"
        np.testing.assert_array_equal(np.asarray(image), np.asarray(picture.reduce(2)))


def test_what_is_shown_of_a_full_canvas_is_reduced() -> None:
    size = (1300, 1100)
    parts = [Part(picture=make_picture(*size)), Part(picture=make_picture(100, 90, seed=2), at=(7, 9))]
    film = film_of(*map(framed, parts), size=size)
    assert film.scale() == (1, 1)
    assert scale_shown(size, (1, 1)) == (2, 2)
    expected = parts[0].picture.copy()
    expected.paste(parts[1].picture, parts[1].at)
    *_, last = composed(film, (1, 1), 10)
    np.testing.assert_array_equal(np.asarray(last), np.asarray(expected.reduce(2)))


@pytest.mark.parametrize(
    ("size", "after", "scale"),
    [
        ((4096, 2048), After.KEPT, (1, 1)),
        ((4096, 2048), After.RESTORED, (2, 2)),
        ((4097, 2048), After.KEPT, (2, 2)),
        ((5000, 5000), After.KEPT, (4, 4)),
        ((60_000, 400), After.KEPT, (4, 1)),
    ],
)
def test_a_canvas_is_as_large_as_there_is_room(size: tuple[int, int], after: After, scale: tuple[int, int]) -> None:
    frame = Frame(box=(0, 0, 9, 9), over=False, after=after, strips=nothing_drawn)
    assert film_of(frame, size=size).scale() == scale
    assert FULL_CANVAS_PIXELS == 4096 * 2048


@pytest.mark.parametrize("box", [(61, 47, 61, 47), (61, 0, 61, 47), (3, 47, 9, 47), (5, 5, 5, 9)])
@pytest.mark.parametrize("after", AFTER)
def test_a_frame_of_no_pixels_draws_nothing(box: tuple[int, int, int, int], after: After) -> None:
    first = framed(Part(picture=make_picture(*SIZE)))
    nothing = Frame(box=box, over=False, after=after, strips=nothing_drawn, fill=(9, 9, 9, 255))
    one, two, three = shown(film_of(first, nothing, nothing), (4, 4))
    np.testing.assert_array_equal(one, two)
    np.testing.assert_array_equal(one, three)


def test_a_canvas_begins_with_a_colour() -> None:
    dot = framed(Part(picture=Image.new("RGB", (4, 4), "white")))
    image = next(composed(film_of(dot, background=(200, 90, 10, 255)), (4, 4), 8))
    assert (image.mode, image.getpixel((0, 0)), image.getpixel((5, 5))) == ("RGB", (255, 255, 255), (200, 90, 10))
