"""All pictures of a file are met, in an order and a number that no file decides."""

import struct

import pytest
from PIL import Image

from shared.errors import DecodeError, ErrorCode
from shared.extract.sniff import sniff
from tests.film_factories import MAKERS, Part
from tests.image_factories import make_animation, make_exif, make_file, make_heif, make_icon, make_picture
from workers.decoding.formats.frame_walk import MAX_FRAMES_SEEN, ImageFile, open_file, orientation_of, pictures
from workers.decoding.formats.picture_formats import register

register()
SEVERAL = ("GIF", "PNG", "WEBP", "TIFF", "AVIF", "MPO")


def moving(image_format: str, frames: int = 3, size: tuple[int, int] = (64, 48)) -> bytes:
    return make_animation(*(make_picture(*size, seed=seed) for seed in range(frames)), image_format=image_format)


def opened(data: bytes) -> ImageFile:
    return open_file(data, sniff(data))


def met(data: bytes, max_pixels: int = 10_000_000) -> list[int]:
    return [picture.index for picture in pictures(opened(data), max_pixels=max_pixels, least_side=32)]


@pytest.mark.parametrize("image_format", SEVERAL)
def test_every_frame_is_met(image_format: str) -> None:
    data = moving(image_format)
    assert opened(data).frames == 3
    assert met(data) == [0, 1, 2]


@pytest.mark.parametrize("image_format", ["GIF", "PNG", "WEBP", "TIFF", "AVIF"])
def test_frames_are_what_they_were(image_format: str) -> None:
    for picture in pictures(opened(moving(image_format)), max_pixels=10_000_000, least_side=32):
        expected = make_picture(64, 48, seed=picture.index).resize((1, 1), Image.Resampling.BOX).getpixel((0, 0))
        assert isinstance(expected, tuple)
        colour = picture.image.convert("RGB").resize((1, 1), Image.Resampling.BOX).getpixel((0, 0))
        assert isinstance(colour, tuple)
        assert max(abs(one - two) for one, two in zip(colour, expected, strict=True)) <= 12


def test_the_main_picture_of_a_burst_comes_first() -> None:
    file = opened(make_heif("burst"))
    assert file.frames == 4
    assert [p.index for p in pictures(file, max_pixels=10_000_000, least_side=32)] == [2, 0, 1, 3]


def test_a_thumbnail_is_not_the_picture() -> None:
    (picture,) = pictures(opened(make_heif("photograph")), max_pixels=10_000_000, least_side=32)
    assert picture.size == (320, 200)


@pytest.mark.parametrize("cursor", [False, True])
def test_every_size_of_an_icon_is_met(*, cursor: bool) -> None:
    data = make_icon(make_picture(64, 64), make_picture(32, 32), cursor=cursor)
    sizes = [p.size for p in pictures(opened(data), max_pixels=10_000_000, least_side=32)]
    assert sizes == [(64, 64), (32, 32)]


@pytest.mark.parametrize("image_format", SEVERAL)
def test_all_frames_share_one_budget_of_pixels(image_format: str) -> None:
    data = moving(image_format)
    assert len(met(data, max_pixels=64 * 48 * 2)) == 2
    with pytest.raises(DecodeError) as caught:
        met(data, max_pixels=64 * 48 - 1)
    assert caught.value.code is ErrorCode.TOO_MANY_PIXELS


def test_of_a_long_film_the_beginning_and_of_many_pages_a_spread_is_met() -> None:
    shades = [Image.new("L", (8, 8), number % 251) for number in range(600)]
    film = met(make_file(shades[0], "GIF", save_all=True, append_images=shades[1:]))
    assert film == list(range(MAX_FRAMES_SEEN))
    pages = met(make_animation(*shades, image_format="TIFF"))
    assert len(pages) == MAX_FRAMES_SEEN
    assert (pages[0], pages[-1]) == (0, 599)


def test_a_film_that_breaks_off_ends_and_a_broken_page_is_passed_over() -> None:
    film = moving("GIF", 6)
    assert 1 <= len(met(film[: len(film) * 2 // 3])) < 6
    book = moving("TIFF", 3)
    second = book.index(struct.pack("<HH", 259, 3), book.index(struct.pack("<HH", 259, 3)) + 1)
    assert met(book[: second + 8] + struct.pack("<H", 34712) + book[second + 10 :]) == [0, 2]


def test_a_frame_beyond_the_canvas_is_drawn_on_what_there_is() -> None:
    data = bytearray(moving("GIF", 2))
    at = data.rindex(b"\x2c" + bytes(4) + struct.pack("<HH", 64, 48))
    data[at + 1 : at + 5] = struct.pack("<HH", 40_000, 40_000)
    assert met(bytes(data)) in ([0], [0, 1])


def test_a_jpeg_is_scaled_while_it_is_decoded() -> None:
    data = make_file(make_picture(2400, 1600), "JPEG", exif=make_exif(6))
    (picture,) = pictures(opened(data), max_pixels=10_000_000, least_side=32)
    assert (picture.image.size, picture.size, picture.scale) == ((1200, 800), (1600, 2400), (2, 2))


def test_an_orientation_that_makes_no_sense_is_none() -> None:
    assert orientation_of(opened(make_file(image_format="JPEG", exif=make_exif(77))).image) == 1


def test_a_large_png_is_reduced_while_it_is_decoded() -> None:
    data = make_file(make_picture(3001, 2203), compress_level=1, exif=make_exif(6))
    (picture,) = pictures(opened(data), max_pixels=10_000_000, least_side=32)
    assert (picture.image.size, picture.size, picture.scale) == ((751, 551), (2203, 3001), (4, 4))
    assert picture.orientation == 6


def test_a_large_page_is_reduced_while_it_is_decoded() -> None:
    data = make_file(make_picture(3001, 2203), "TIFF", compression="tiff_lzw", tiffinfo={274: 6})
    (picture,) = pictures(opened(data), max_pixels=10_000_000, least_side=32)
    assert (picture.image.size, picture.size, picture.scale) == ((751, 551), (2203, 3001), (4, 4))
    assert picture.orientation == 6


@pytest.mark.parametrize("image_format", ["GIF", "PNG", "WEBP"])
def test_a_large_film_shares_one_budget_of_pixels_and_ends_where_it_breaks_off(image_format: str) -> None:
    size = (2100, 1500)
    data = MAKERS[image_format](
        size, [Part(picture=Image.new("RGBA", size, shade)) for shade in ("red", "blue", "lime")]
    )
    pixels = size[0] * size[1]
    assert met(data, max_pixels=3 * pixels) == [0, 1, 2]
    assert met(data, max_pixels=3 * pixels - 1) == [0, 1]
    with pytest.raises(DecodeError) as caught:
        met(data, max_pixels=pixels - 1)
    assert caught.value.code is ErrorCode.TOO_MANY_PIXELS
    if image_format != "WEBP":  # libwebp opens none that is cut
        assert met(data[: len(data) * 4 // 5], max_pixels=3 * pixels) == [0, 1]


def test_a_large_film_is_turned() -> None:
    first, second = make_picture(2100, 1500), make_picture(2100, 1500, seed=2)
    data = make_animation(first, second, image_format="WEBP", method=0, exif=make_exif(6))
    found = [(p.image.size, p.size, p.orientation) for p in pictures(opened(data), max_pixels=10**8, least_side=32)]
    assert found == [((1050, 750), (1500, 2100), 6)] * 2
