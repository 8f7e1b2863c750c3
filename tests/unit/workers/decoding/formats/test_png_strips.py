"""A PNG comes in strips as it comes whole, whatever its depth, its colours and its filters, and is refused as whole."""

import zlib
from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from tests.image_factories import make_animation, make_exif, make_file, make_picture
from tests.png_factories import chunk, filtered_png, png_of
from workers.decoding.formats.frame_walk import orientation_of
from workers.decoding.formats.picture_formats import open_picture
from workers.decoding.formats.png_strips import png_layout, png_strips, without_pixels
from workers.decoding.pixels import reducible

WIDTH, HEIGHT = 61, 50
PICTURE = make_picture(WIDTH, HEIGHT)
SAMPLES = np.dstack((np.asarray(PICTURE), np.asarray(PICTURE.convert("L"))[::-1]))
CHANNELS: dict[int, list[int]] = {1: [0], 2: [0, 3], 3: [0, 1, 2], 4: [0, 1, 2, 3]}
DAMAGE: tuple[Callable[[bytes], bytes], ...] = (
    lambda data: data[: len(data) // 2],
    lambda data: data[:-90],
    lambda data: data[:60] + bytes([data[60] ^ 0x10]) + data[61:],
    lambda data: data.replace(b"IDAT", b"iDAT"),
)


def open_png(data: bytes) -> Image.Image:
    return open_picture(data, "image/png")


def by_strips(data: bytes, rows: int = 7) -> NDArray[np.uint8]:
    image = open_png(data)
    layout = png_layout(image, data)
    assert layout is not None
    strips = [reducible(strip) for strip in png_strips(image, data, layout, rows)]
    assert {strip.height for strip in strips[:-1]} <= {rows}
    return np.concatenate([np.asarray(strip.convert("RGBA")) for strip in strips])


def whole(data: bytes) -> NDArray[np.uint8]:
    image = open_png(data)
    image.load()
    return np.asarray(reducible(image).convert("RGBA"))


@pytest.mark.parametrize("channels", CHANNELS)
@pytest.mark.parametrize("depth", [8, 16])
def test_every_filter_is_undone(channels: int, depth: int) -> None:
    samples = SAMPLES[..., CHANNELS[channels]].astype(f"u{depth // 8}")
    if depth == 16:
        samples = samples * 256 + np.random.default_rng(1).integers(0, 256, samples.shape).astype(np.uint16)
    data = filtered_png(samples)
    np.testing.assert_array_equal(by_strips(data), whole(data))
    np.testing.assert_array_equal(by_strips(data, rows=HEIGHT), whole(data))


@pytest.mark.parametrize("colours", [2, 4, 16, 256])
@pytest.mark.parametrize("clear", [None, 1, bytes(range(0, 256, 16))])
def test_palettes_and_their_clear_colours_are_kept(colours: int, clear: int | bytes | None) -> None:
    bits = {2: 1, 4: 2, 16: 4, 256: 8}[colours]
    shown = PICTURE.quantize(colours)
    if clear is not None:
        shown.info["transparency"] = clear if isinstance(clear, int) else clear[:colours]
    data = make_file(shown, bits=bits)
    np.testing.assert_array_equal(by_strips(data), whole(data))


@pytest.mark.parametrize("mode", ["1", "L", "RGB"])
def test_a_clear_level_is_kept(mode: str) -> None:
    picture = PICTURE.convert(mode)
    data = make_file(picture, transparency=picture.getpixel((3, 3)))
    np.testing.assert_array_equal(by_strips(data), whole(data))


@pytest.mark.parametrize("damage", DAMAGE)
def test_what_is_damaged_is_refused(damage: Callable[[bytes], bytes]) -> None:
    data = damage(filtered_png(SAMPLES))
    with pytest.raises(Exception, match=r"."):
        whole(data)
    with pytest.raises(Exception, match=r"."):
        by_strips(data)


def test_an_unknown_filter_is_refused() -> None:
    line = b"\x09" + bytes(3 * WIDTH)
    with pytest.raises(ValueError, match="image data"):
        by_strips(png_of(zlib.compress(line * HEIGHT), (WIDTH, HEIGHT)))


def test_a_stream_that_ends_early_is_refused_and_one_that_goes_on_is_not() -> None:
    line = bytes(1 + 3 * WIDTH)
    with pytest.raises(OSError, match="truncated"):
        by_strips(png_of(zlib.compress(line * (HEIGHT - 1)), (WIDTH, HEIGHT)))
    assert by_strips(png_of(zlib.compress(line * (HEIGHT + 99)), (WIDTH, HEIGHT))).shape == (HEIGHT, WIDTH, 4)


@pytest.mark.parametrize(
    "data",
    [
        make_animation(PICTURE, make_picture(WIDTH, HEIGHT, seed=2), image_format="PNG"),
        make_file(PICTURE).replace(b"IDAT", b"xDAT"),
    ],
    ids=["animated", "without pixels"],
)
def test_what_is_stored_in_another_way_has_no_layout(data: bytes) -> None:
    assert png_layout(Image.new("RGB", PICTURE.size), data) is None


def test_a_picture_of_another_size_has_no_layout() -> None:
    assert png_layout(Image.new("RGB", (WIDTH, 1)), make_file(PICTURE)) is None


@pytest.mark.parametrize("behind", [False, True])
def test_what_a_file_says_of_itself_is_read_without_its_pixels(*, behind: bool) -> None:
    exif = make_exif(6).tobytes().removeprefix(b"Exif\0\0")
    data = png_of(zlib.compress(bytes((1 + 3 * WIDTH) * HEIGHT)), (WIDTH, HEIGHT), after=chunk(b"eXIf", exif))
    if not behind:
        data = make_file(PICTURE, exif=make_exif(6))
    layout = png_layout(open_png(data), data)
    assert layout is not None
    told = open_png(without_pixels(data, layout))
    told.load()
    assert (told.size, orientation_of(told)) == ((1, 1), 6)


def test_a_chunk_behind_the_pixels_that_is_cut_off_is_refused_as_before() -> None:
    data = make_file(PICTURE)[:-12] + b"\0\0\1\0tEXtab"
    layout = png_layout(open_png(data), data)
    assert layout is not None
    for each in (data, without_pixels(data, layout)):
        with pytest.raises(OSError, match=r"."):
            open_png(each).load()
