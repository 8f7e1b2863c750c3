"""A progressive JPEG's block means are what libjpeg makes a picture of an eighth of, whatever its scans are like."""

import re
import struct
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from PIL import Image

from shared.errors import DecodeError, ErrorCode
from tests.damage import damaged
from tests.image_factories import make_file, make_picture
from workers.decoding.formats.jpeg_scans import MAX_MEAN_SCANS
from workers.decoding.formats.picture_formats import open_picture
from workers.decoding.formats.progressive_jpeg import PIECE_BYTES, block_means

SIZE = (611, 407)


def progressive(picture: Image.Image, **options: Any) -> bytes:
    return make_file(picture, "JPEG", progressive=True, **options)


def means_of(data: bytes) -> Image.Image:
    means = block_means(open_picture(data, "image/jpeg"), data)
    assert means is not None
    return means


def by_libjpeg(data: bytes) -> Image.Image:
    image = open_picture(data, "image/jpeg")
    image.draft(image.mode, (max(1, image.width // 8), max(1, image.height // 8)))
    image.load()
    return image


def off(data: bytes) -> int:
    one, other = (np.asarray(image.convert("L"), np.int16) for image in (means_of(data), by_libjpeg(data)))
    assert one.shape == other.shape
    return int(np.abs(one - other).max())


def scans(data: bytes) -> list[tuple[int, int]]:
    """Return where the scans of means begin, marker included, and end."""
    starts = [mark.start() for mark in re.finditer(rb"\xff\xda", data)]
    heads = [(start, start + 2 + data[start + 3]) for start in starts]
    ends = [re.compile(rb"\xff[^\x00\xd0-\xd7]").search(data, head) for _, head in heads]
    return [(start, end.start()) for (start, head), end in zip(heads, ends, strict=True) if end and data[head - 3] == 0]


@pytest.mark.parametrize("size", [SIZE, (600, 400), (64, 8), (1, 1), (9, 300)])
@pytest.mark.parametrize("quality", [5, 75, 100])
@pytest.mark.parametrize("restarts", [{}, {"restart_marker_blocks": 3}, {"restart_marker_rows": 1}])
def test_grey_is_the_same_to_the_last_bit(size: tuple[int, int], quality: int, restarts: dict[str, int]) -> None:
    data = progressive(make_picture(*size).convert("L"), quality=quality, **restarts)
    assert off(data) == 0


@pytest.mark.parametrize(
    "options", [{"subsampling": 0}, {"keep_rgb": True}, {"subsampling": 0, "restart_marker_blocks": 5}]
)
def test_colours_are_the_same_but_for_rounding(options: dict[str, Any]) -> None:
    data = progressive(make_picture(*SIZE), **options)
    one, other = (np.asarray(image, np.int16) for image in (means_of(data), by_libjpeg(data)))
    assert np.abs(one - other).max() <= 1


@pytest.mark.parametrize("subsampling", [1, 2])
def test_colours_that_are_halved_are_stretched(subsampling: int) -> None:
    data = progressive(make_picture(*SIZE), subsampling=subsampling)
    one, other = (np.asarray(image, np.int16) for image in (means_of(data), by_libjpeg(data)))
    assert np.abs(one - other).mean() < 6  # libjpeg knows more of them than a mean
    assert off(data) <= 5


def test_a_scan_of_many_pieces_is_read_on() -> None:
    noise = np.random.default_rng(1).integers(0, 256, (300, 675), np.uint8)
    data = progressive(Image.fromarray(noise).resize((5400, 2400), Image.Resampling.NEAREST), quality=100)
    start, end = scans(data)[0]
    assert end - start > 3 * PIECE_BYTES
    assert off(data) == 0


def test_what_is_broken_is_read_as_libjpeg_reads_it() -> None:
    data = progressive(make_picture(*SIZE).convert("L"), quality=100)
    start, end = scans(data)[0]
    for place in range(start + 30, end - 400, 97):
        broken = data[:place] + bytes([data[place] ^ 0x15]) + data[place + 1 :]
        if b"\xff" not in broken[place - 1 : place + 2] + data[place - 1 : place + 2]:
            assert off(broken) == 0


def test_blocks_whose_bits_are_missing_are_grey() -> None:
    data = progressive(make_picture(*SIZE).convert("L"), quality=100)
    (start, end), *_ = scans(data)
    cut = data[: (start + end) // 2] + data[end:]
    means, whole = np.asarray(means_of(cut)), np.asarray(means_of(data))
    assert set(means[-2].tolist()) == {128}
    np.testing.assert_array_equal(means[:20], whole[:20])


def test_a_later_scan_counts() -> None:
    data, other = (progressive(make_picture(*SIZE, seed=seed).convert("L")) for seed in (1, 2))
    first = scans(data)[0]
    (start, end), *_ = scans(other)
    tables = other[:start].rindex(b"\xff\xc4")
    both = data[: first[1]] + other[tables:end] + data[first[1] :]
    assert off(both) == 0


def test_what_is_cut_off_is_refused() -> None:
    data = progressive(make_picture(*SIZE))
    for length in (len(data) - 2, len(data) // 2, scans(data)[0][1]):
        with pytest.raises(OSError, match="truncated"):
            means_of(data[:length])


@pytest.mark.parametrize("mode", ["RGB", "CMYK"])
def test_what_is_no_plain_progressive_picture_is_left_to_others(mode: str) -> None:
    data = make_file(make_picture(*SIZE).convert(mode), "JPEG", progressive=mode == "CMYK")
    assert block_means(open_picture(data, "image/jpeg"), data) is None


def test_another_size_than_pillow_s_is_left_to_others() -> None:
    assert block_means(Image.new("RGB", (9, 9)), progressive(make_picture(*SIZE))) is None


def test_more_scans_than_a_picture_needs_are_refused() -> None:
    data = progressive(make_picture(64, 48))
    (start, end), *_ = scans(data)
    with pytest.raises(DecodeError) as caught:
        means_of(data[:start] + data[start:end] * (MAX_MEAN_SCANS + 1) + data[end:])
    assert caught.value.code is ErrorCode.OVER_BUDGET


def test_a_scan_without_its_table_is_refused() -> None:
    data = progressive(make_picture(64, 48))
    with pytest.raises(ValueError, match="without its tables"):
        means_of(data.replace(b"\xff\xc4", b"\xff\xe4"))


@pytest.mark.parametrize("interval", [1, 7, 65535])
def test_an_interval_that_the_scans_do_not_keep_costs_blocks_not_the_picture(interval: int) -> None:
    data = progressive(make_picture(*SIZE).convert("L"))
    means = means_of(data[:2] + b"\xff\xdd" + struct.pack(">HH", 4, interval) + data[2:])
    assert means.size == (77, 51)


@settings(max_examples=150)
@given(damaged(progressive(make_picture(160, 120)), progressive(make_picture(96, 64), restart_marker_blocks=2)))
def test_any_bytes_are_a_picture_or_a_named_error(data: bytes) -> None:
    try:
        image = open_picture(data, "image/jpeg")
        means = block_means(image, data)
    except (DecodeError, OSError, ValueError, SyntaxError):
        return
    assert means is None or means.size == (-(-image.width // 8), -(-image.height // 8))
