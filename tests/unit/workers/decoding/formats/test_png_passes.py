"""An interlaced PNG is reduced to what reducing the whole gives, whatever its colours, and is refused as whole."""

import zlib

import numpy as np
import pytest
from hypothesis import given, settings
from numpy.typing import NDArray
from PIL import Image

from tests.damage import damaged
from tests.image_factories import make_picture
from tests.png_factories import interlaced, interlaced_palette, interlaced_png, png_of
from workers.decoding.formats.picture_formats import open_picture
from workers.decoding.formats.png_passes import LARGEST_SUMS, reduced_by_passes
from workers.decoding.formats.png_strips import png_layout
from workers.decoding.pixels import reducible

SIZE = (161, 143)
PICTURE = make_picture(*SIZE)
SAMPLES = np.dstack((np.asarray(PICTURE), np.asarray(PICTURE.convert("L"))[::-1]))
CHANNELS: dict[int, list[int]] = {1: [0], 2: [0, 3], 3: [0, 1, 2], 4: [0, 1, 2, 3]}


def by_passes(data: bytes, scale: tuple[int, int]) -> Image.Image | None:
    image = open_picture(data, "image/png")
    layout = png_layout(image, data)
    assert layout is not None
    assert layout.interlaced
    return reduced_by_passes(image, data, layout, scale)


def off(data: bytes, scale: tuple[int, int]) -> int:
    image = open_picture(data, "image/png")
    image.load()
    expected = reducible(image).reduce(scale)
    found = by_passes(data, scale)
    assert found is not None
    assert (found.mode, found.size) == (expected.mode, expected.size)
    return int(np.abs(np.asarray(found, np.int16) - np.asarray(expected, np.int16)).max())


@pytest.mark.parametrize("scale", [(1, 1), (2, 3), (5, 4), (16, 9)])
@pytest.mark.parametrize("channels", [1, 3])
def test_the_blocks_are_those_of_the_whole(channels: int, scale: tuple[int, int]) -> None:
    assert off(interlaced_png(SAMPLES[..., CHANNELS[channels]]), scale) <= 1


@pytest.mark.parametrize("channels", [2, 4])
def test_what_is_clear_counts_as_little_as_it_covers(channels: int) -> None:
    samples = SAMPLES[..., CHANNELS[channels]].copy()
    samples[..., -1] |= 0x80  # what is nearly clear has nearly no colour, and rounding makes it any
    assert off(interlaced_png(samples), (4, 5)) <= 2


def test_samples_of_16_bits() -> None:
    assert off(interlaced_png(SAMPLES[..., :3].astype(np.uint16) * 257), (3, 3)) <= 1


@pytest.mark.parametrize("depth", [1, 2, 4, 8])
@pytest.mark.parametrize("clear", [b"", b"\x80\xff"])
def test_palettes(depth: int, clear: bytes) -> None:
    palette: NDArray[np.uint8] = np.random.default_rng(1).integers(0, 256, 3 << depth, np.uint8)
    indices = np.random.default_rng(2).integers(0, 1 << depth, SIZE[::-1], np.uint8)
    assert off(interlaced_palette(indices, depth, palette.tobytes(), clear), (4, 4)) <= 2


@pytest.mark.parametrize("size", [(1, 1), (1, 300), (300, 1), (4, 4), (5, 3), (2, 9)])
def test_passes_without_pixels_are_passed_over(size: tuple[int, int]) -> None:
    data = interlaced_png(np.asarray(make_picture(*size)))
    assert off(data, (1, 1)) == 0
    assert off(data, (2, 2)) <= 1


def test_many_strips_make_a_pass() -> None:
    assert off(interlaced_png(np.asarray(make_picture(1200, 900)), (2,)), (7, 5)) <= 1


def test_what_breaks_off_or_is_damaged_is_refused() -> None:
    data = interlaced_png(SAMPLES[..., :3])
    for broken in (data[: len(data) // 2], data[:60] + bytes([data[60] ^ 0x10]) + data[61:]):
        with pytest.raises((OSError, ValueError, zlib.error)):
            by_passes(broken, (2, 2))
    short = interlaced(png_of(zlib.compress(bytes(1 + 3 * SIZE[0])), SIZE))
    with pytest.raises(OSError, match="truncated"):
        by_passes(short, (2, 2))


def test_a_picture_of_too_many_blocks_is_left_whole() -> None:
    side = int((LARGEST_SUMS / 4) ** 0.5) + 1
    assert by_passes(interlaced(png_of(zlib.compress(b""), (side, side))), (1, 1)) is None


@settings(max_examples=150)
@given(damaged(interlaced_png(SAMPLES[:60, :80, :3]), interlaced_png(SAMPLES[:60, :80])))
def test_any_bytes_are_a_picture_or_a_named_error(data: bytes) -> None:
    try:
        image = open_picture(data, "image/png")
        layout = png_layout(image, data)
        if layout is None or not layout.interlaced or image.width * image.height > 1 << 20:
            return
        found = reduced_by_passes(image, data, layout, (2, 2))
    except (OSError, ValueError, SyntaxError, zlib.error):
        return
    assert found is None or found.size == (-(-image.width // 2), -(-image.height // 2))
