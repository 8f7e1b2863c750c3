"""Frames are counted without a decoder, and never for long."""

import struct

import pytest
from PIL import Image

from tests.image_factories import make_file, make_picture
from workers.decoding.formats.frame_count import count_frames
from workers.decoding.protocol import MAX_FRAMES


@pytest.mark.parametrize("image_format", ["GIF", "PNG", "WEBP", "TIFF"])
@pytest.mark.parametrize("frames", [1, 2, 5])
def test_frames_are_counted(image_format: str, frames: int) -> None:
    pictures = [make_picture(40, 30, seed=seed) for seed in range(frames)]
    options = {"save_all": True, "append_images": pictures[1:]} if frames > 1 else {}
    assert count_frames(make_file(pictures[0], image_format, **options), image_format) == frames


def test_big_endian_and_big_tiff() -> None:
    big = make_file(make_picture(8, 8), "TIFF", big_tiff=True)
    assert count_frames(big, "TIFF") == 1
    page = struct.pack(">H", 0)
    chain = b"MM\x00\x2a" + struct.pack(">I", 8) + page + struct.pack(">I", 14) + page + struct.pack(">I", 0)
    assert count_frames(chain, "TIFF") == 2


def test_a_still_format_has_one() -> None:
    assert count_frames(make_file(image_format="JPEG"), "JPEG") == 1


def test_a_chain_that_bites_its_tail_ends() -> None:
    looped = b"II\x2a\x00" + struct.pack("<I", 8) + struct.pack("<H", 0) + struct.pack("<I", 8)
    assert count_frames(looped, "TIFF") == 1


def test_counting_stops_at_the_limit() -> None:
    frame = b"\x2c" + bytes(9) + b"\x02" + b"\x00"
    endless = b"GIF89a" + bytes(7) + frame * (MAX_FRAMES + 5)
    assert count_frames(endless, "GIF") == MAX_FRAMES
    claims = make_file(make_picture(4, 4))
    claims = claims[:33] + struct.pack(">I4sII", 8, b"acTL", 0xFFFFFFFF, 0) + bytes(4) + claims[33:]
    assert count_frames(claims, "PNG") == MAX_FRAMES


@pytest.mark.parametrize("image_format", ["GIF", "PNG", "WEBP", "TIFF", "BMP"])
def test_what_cannot_be_followed_is_one_frame(image_format: str) -> None:
    whole = make_file(Image.new("RGB", (20, 20)), image_format)
    for cut in range(0, len(whole), 7):
        assert count_frames(whole[:cut], image_format) == 1
