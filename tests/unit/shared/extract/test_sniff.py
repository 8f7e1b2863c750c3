from __future__ import annotations

import bz2
import struct

import pytest

from shared.extract.sniff import OPENED, media_type_of, sniff, sniff_container
from tests.unit.shared.extract.pictures import BMP, BY_TYPE, JPEG, TIFF, old_tar


def ftyp(*brands: bytes) -> bytes:
    body = b"ftyp" + brands[0] + b"\0\0\0\0" + b"".join(brands[1:])
    return struct.pack(">I", len(body) + 4) + body + b"\0\0\0\x08meta"


ICON = struct.pack("<HHHBBBBHHII", 0, 1, 1, 16, 16, 0, 0, 1, 32, 1128, 22) + b"i" * 60


@pytest.mark.parametrize(("media_type", "data"), BY_TYPE.items())
def test_pictures_that_can_be_decoded(media_type: str, data: bytes) -> None:
    assert sniff(data) == media_type


@pytest.mark.parametrize(
    ("media_type", "data"),
    [
        ("image/avif", ftyp(b"avif", b"mif1")),
        ("image/avif", ftyp(b"mif1", b"miaf", b"avif")),
        ("image/heif", ftyp(b"heic", b"mif1")),
        ("image/heif", ftyp(b"mif1", b"heic")),
        ("image/jxl", b"\x00\x00\x00\x0cJXL \r\n\x87\n"),
        ("image/jxl", b"\xff\x0a\xfa\x1f"),
        ("image/jp2", b"\x00\x00\x00\x0cjP  \r\n\x87\n"),
        ("image/jp2", b"\xff\x4f\xff\x51\x00"),
        ("image/vnd.adobe.photoshop", b"8BPS\x00\x01"),
        ("image/vnd.microsoft.icon", ICON),
        ("image/tiff", b"MM\x00*\x00\x00\x00\x08"),
        ("image/tiff", b"II+\x00\x08\x00\x00\x00" + b"\x10" + b"\0" * 7),
        ("image/gif", b"GIF87a"),
        ("image/jpeg", b"\xff\xd8\xff"),
    ],
)
def test_pictures_that_are_named(media_type: str, data: bytes) -> None:
    assert sniff(data) == media_type


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"B",
        b"BM",
        b"BMW sells cars, and this is text about them, long enough for a header",
        b"MM is not a picture",
        b"II*\x00\x00\x00\x00\x00",
        b"RIFF\x24\x00\x00\x00WAVEfmt ",
        b"\x00\x00\x01\x00" + b"\xff" * 40,
        b"\xff\xd8\xff\x00",
        ftyp(b"isom", b"mp42"),
        b"<svg xmlns='http://www.w3.org/2000/svg'/>",
        b"{}",
    ],
)
def test_what_is_no_picture(data: bytes) -> None:
    assert sniff(data) is None


@pytest.mark.parametrize("size", range(30))
def test_a_cut_head_never_raises(size: int) -> None:
    for data in (*BY_TYPE.values(), ICON, ftyp(b"avif")):
        sniff(data[:size])


def test_bmp_needs_one_plane_and_a_known_depth() -> None:
    assert sniff(BMP[:26] + b"\x02\x00" + BMP[28:]) is None
    assert sniff(BMP[:28] + b"\x07\x00" + BMP[30:]) is None
    assert sniff(b"BM" + bytes(8) + struct.pack("<IIHHHH", 26, 12, 5, 5, 1, 24)) == "image/bmp"


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("zip", b"PK\x03\x04\x14\x00"),
        ("pdf", b"%PDF-1.7"),
        ("rtf", b"{\\rtf1\\ansi"),
        ("7z", b"7z\xbc\xaf\x27\x1c"),
        ("rar", b"Rar!\x1a\x07\x01\x00"),
        ("gzip", b"\x1f\x8b\x08\x00"),
        ("tar", bytes(257) + b"ustar"),
        ("bzip2", bz2.compress(b"text")),
        ("bzip2", bz2.compress(b"")),
        ("zstd", b"\x28\xb5\x2f\xfd\x04"),
        ("cab", b"MSCF\0\0\0\0"),
        ("tar", old_tar()),
        (None, b"BZh is no archive"),
        (None, bytes(512)),
        (None, b"plain text"),
        (None, JPEG),
        (None, TIFF),
    ],
)
def test_containers(name: str | None, data: bytes) -> None:
    assert sniff_container(data) == name


def test_each_container_that_workers_open_has_a_media_type() -> None:
    assert {media_type_of(name).partition("/")[0] for name in OPENED} == {"application"}
