"""The kinds of pictures are gone along in ``test_split_pictures``; here is what only this module can tell."""

from __future__ import annotations

import pytest

from shared.extract.budget import finished
from shared.extract.picture_walk import PictureWalk


def box(kind: bytes, data: bytes = b"") -> bytes:
    return (8 + len(data)).to_bytes(4) + kind + data


HEIF = box(b"ftyp", b"heic\0\0\0\0mif1heic") + box(b"meta", bytes(40)) + box(b"mdat", bytes(300))


@pytest.mark.parametrize("size", [1, 7, 90, 1000])
def test_boxes_end_with_those_of_pixels(size: int) -> None:
    walk = PictureWalk("image/heif")
    for at in range(0, len(HEIF), size):
        assert not walk.is_whole
        finished(walk.feed(HEIF[at : at + size]))
    assert walk.is_whole
    assert walk.collected() == HEIF


def test_a_box_may_be_longer_than_four_bytes_tell() -> None:
    walk = PictureWalk("image/avif")
    finished(walk.feed(HEIF[:24] + b"\0\0\0\1mdat" + (116).to_bytes(8)))
    assert not walk.is_whole
    finished(walk.feed(bytes(100)))
    assert walk.is_whole


@pytest.mark.parametrize(
    ("media_type", "data"),
    [
        ("image/tiff", b"II*\0" + bytes(40)),
        ("image/jxl", b"\xff\x0a" + bytes(40)),
        ("image/heif", HEIF[:24] + b"\0\0\0\0mdat" + bytes(40)),
    ],
)
def test_what_has_no_end_is_judged_as_it_stands(media_type: str, data: bytes) -> None:
    walk = PictureWalk(media_type)
    finished(walk.feed(data))
    assert walk.is_whole


def test_an_end_is_tried() -> None:
    walk = PictureWalk("image/heif")
    finished(walk.feed(HEIF[:-9]))
    finished(walk.try_end(b"no"))
    assert (walk.is_whole, walk.size, walk.collected()) == (False, len(HEIF) - 9, HEIF[:-9])
    finished(walk.try_end(HEIF[-9:]))
    assert walk.collected() == HEIF
