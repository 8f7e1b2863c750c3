"""A large picture is reduced strip by strip to what it is reduced to as a whole."""

import numpy as np
import pytest
from PIL import Image

from shared.extract.sniff import sniff
from tests.image_factories import make_exif, make_file, make_picture
from workers.decoding.formats.blocks import LARGEST_STRIP_PIXELS
from workers.decoding.formats.frame_walk import orientation_of
from workers.decoding.formats.picture_formats import open_picture
from workers.decoding.formats.strips import WHOLE_PIXELS, Reduced, reduced_by_strips
from workers.decoding.pixels import reduced, reducible

SIZE = (3001, 2203)


def by_strips(data: bytes) -> Reduced | None:
    return reduced_by_strips(open_picture(data, sniff(data)), data)


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "P"])
def test_the_reduction_is_that_of_the_whole(mode: str) -> None:
    assert SIZE[0] * SIZE[1] > WHOLE_PIXELS
    picture = make_picture(*SIZE).convert("RGB")
    if mode == "RGBA":
        picture.putalpha(Image.linear_gradient("L").resize(SIZE))
    data = make_file(picture.quantize(64) if mode == "P" else picture, compress_level=1, exif=make_exif(6))
    found = by_strips(data)
    assert found is not None
    assert (found.scale, orientation_of(found.told)) == ((4, 4), 6)
    expected = reduced(reducible(open_picture(data, "image/png")))
    assert found.image.mode == expected.mode
    np.testing.assert_array_equal(np.asarray(found.image), np.asarray(expected))


def test_a_banner_is_reduced_along_its_length_alone() -> None:
    picture = make_picture(40_000, 200).convert("L")
    found = by_strips(make_file(picture, compress_level=1))
    assert found is not None
    assert (found.scale, found.image.size) == ((10, 1), (4_000, 200))
    np.testing.assert_array_equal(np.asarray(found.image), np.asarray(picture.reduce((10, 1))))


@pytest.mark.parametrize("size", [(2_000, 2_000), (LARGEST_STRIP_PIXELS + 1, 6)])
def test_what_is_small_or_has_few_rows_is_left_whole(size: tuple[int, int]) -> None:
    assert by_strips(make_file(Image.new("L", size), compress_level=1)) is None


def test_other_formats_are_left_whole() -> None:
    assert by_strips(make_file(Image.new("L", SIZE), "BMP")) is None


@pytest.mark.parametrize("rows_per_strip", [1, 60, 64])
def test_a_tiff_s_reduction_is_that_of_the_whole(rows_per_strip: int) -> None:
    picture = make_picture(*SIZE)
    data = make_file(picture, "TIFF", compression="packbits", tiffinfo={278: rows_per_strip, 274: 8})
    found = by_strips(data)
    assert found is not None
    assert (found.size, found.scale, orientation_of(found.told)) == (SIZE, (4, 4), 8)
    np.testing.assert_array_equal(np.asarray(found.image), np.asarray(reduced(picture)))


def test_numbers_without_a_range_are_seen_whole() -> None:
    assert by_strips(make_file(Image.new("F", SIZE), "TIFF")) is None


def test_a_large_compressed_strip_is_left_whole() -> None:
    data = make_file(make_picture(*SIZE), "TIFF", compression="packbits", tiffinfo={278: SIZE[1]})
    assert by_strips(data) is None


def test_an_avif_s_reduction_is_that_of_the_whole_but_for_colours_at_the_seams() -> None:
    data = make_file(make_picture(*SIZE), "AVIF", speed=10, exif=make_exif(6))
    found = by_strips(data)
    assert found is not None
    assert (found.size, found.scale, orientation_of(found.told)) == (SIZE, (4, 4), 6)
    expected = np.asarray(reduced(open_picture(data, "image/avif"))).astype(int)
    assert np.abs(np.asarray(found.image) - expected).max() <= 4


def test_a_webp_is_scaled_by_its_decoder() -> None:
    picture = make_picture(*SIZE)
    data = make_file(picture, "WEBP", lossless=True, quality=0, method=0, exif=make_exif(6))
    found = by_strips(data)
    assert found is not None
    assert (found.size, found.scale, orientation_of(found.told)) == (SIZE, (4, 4), 6)
    off = np.abs(np.asarray(found.image).astype(int) - np.asarray(picture.reduce(4)))
    assert (found.image.size, off[:-1, :-1].max() <= 2) == ((751, 551), True)


@pytest.mark.parametrize("lossless", [False, True])
def test_a_webp_with_clear_parts_is_reduced_as_the_whole_is(lossless: bool) -> None:
    picture = make_picture(*SIZE).convert("RGBA")
    picture.putalpha(Image.linear_gradient("L").resize(SIZE))
    data = make_file(picture, "WEBP", lossless=lossless, quality=0, method=0, exif=make_exif(6))
    found = by_strips(data)
    assert found is not None
    assert (found.size, found.scale, orientation_of(found.told)) == (SIZE, (4, 4), 6)
    expected = reduced(open_picture(data, "image/webp"))
    np.testing.assert_array_equal(np.asarray(found.image), np.asarray(expected))


@pytest.mark.parametrize("orientation", [1, 6])
def test_of_a_progressive_jpeg_the_means_are_read(orientation: int) -> None:
    size = (3700, 3601)
    data = make_file(make_picture(*size), "JPEG", progressive=True, exif=make_exif(orientation))
    found = by_strips(data)
    assert found is not None
    assert (found.size, found.scale, orientation_of(found.told)) == (size, (8, 8), orientation)
    assert found.image.size == (463, 451)


def test_a_progressive_jpeg_of_few_blocks_is_left_whole() -> None:
    assert by_strips(make_file(make_picture(*SIZE), "JPEG", progressive=True)) is None
