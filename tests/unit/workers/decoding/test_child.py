"""What a child makes of a file; the sandbox around it has its own tests."""

import io
import struct
import zlib
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from shared.core.hashing import hamming
from shared.errors import DecodeError, ErrorCode
from shared.types import DecodedImage
from tests.image_factories import make_exif, make_file, make_heif, make_picture
from workers.decoding.child import Limits, answer, decode, serve
from workers.decoding.formats.picture_formats import register
from workers.decoding.protocol import FORMATS, LENGTH, REQUEST, Operation, unpack_reply
from workers.decoding.reference_views import VIEWS

LIMITS = Limits(side=32, max_pixels=1_000_000)


FREE_FORMATS = [name for name in FORMATS if name not in {"ICO", "CUR"}]
"""Whose pictures have any size."""

register()


def photograph(image_format: str) -> bytes:
    return make_heif("photograph") if image_format == "HEIF" else make_file(image_format=image_format)


def code_of(data: bytes, limits: Limits = LIMITS) -> ErrorCode:
    with pytest.raises(DecodeError) as caught:
        decode(data, limits)
    return caught.value.code


def hash_of(data: bytes) -> str:
    return decode(data, LIMITS).frames[0].pdq[0]


def jpeg_segment(marker: int, content: bytes) -> bytes:
    return struct.pack(">BBH", 0xFF, marker, len(content) + 2) + content


def with_jpeg_segment(marker: int, content: bytes) -> bytes:
    whole = make_file(image_format="JPEG")
    return whole[:2] + jpeg_segment(marker, content) + whole[2:]


def with_png_chunk(kind: bytes, content: bytes) -> bytes:
    whole = make_file()
    chunk = struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))
    return whole[:33] + chunk + whole[33:]


@pytest.mark.parametrize("image_format", FREE_FORMATS)
def test_every_format_is_read(image_format: str) -> None:
    image = decode(photograph(image_format), LIMITS)
    assert (image.info.format, image.info.width, image.info.height) == (image_format, 320, 200)
    assert image.frames[0].pdq_quality == 100
    assert not image.info.low_information


@pytest.mark.parametrize("image_format", [name for name in FREE_FORMATS if name != "GIF"])  # 256 colours
def test_the_format_does_not_change_the_picture(image_format: str) -> None:
    assert hamming(hash_of(photograph(image_format)), hash_of(make_file(image_format="PNG"))) <= 10


@pytest.mark.parametrize(
    ("mode", "image_format"),
    [("L", "PNG"), ("LA", "PNG"), ("RGBA", "PNG"), ("I;16", "PNG"), ("L", "JPEG"), ("CMYK", "JPEG")],
)
def test_channels_and_depth_do_not_change_the_picture(mode: str, image_format: str) -> None:
    # A hash of what a file happened to hold failed on two channels (ThreatExchange#1259, #1659).
    picture = make_picture()
    deep = Image.fromarray(np.asarray(picture.convert("L")).astype(np.uint16) * 257)
    data = make_file(deep if mode == "I;16" else picture.convert(mode), image_format)
    assert hamming(hash_of(data), hash_of(make_file(picture))) <= 10


@pytest.mark.parametrize("image_format", ["JPEG", "PNG", "WEBP", "TIFF", "AVIF"])
def test_orientation_is_applied(image_format: str) -> None:
    stored = make_picture(320, 200)
    image = decode(make_file(stored, image_format, exif=make_exif(6)), LIMITS)
    turned = hash_of(make_file(stored.transpose(Image.Transpose.ROTATE_270)))
    assert (image.info.width, image.info.height) == (200, 320)
    assert hamming(image.frames[0].pdq[0], turned) <= 10


def test_a_large_jpeg_reports_its_full_size() -> None:
    image = decode(make_file(make_picture(4000, 2400), "JPEG"), Limits(side=32, max_pixels=10_000_000))
    assert (image.info.width, image.info.height) == (4000, 2400)
    assert hamming(image.frames[0].pdq[0], hash_of(make_file(make_picture(1000, 600)))) <= 10


@pytest.mark.parametrize(
    "data",
    [
        with_jpeg_segment(0xE1, b"Exif\0\0II*\0\xff\xff\xff\xff" + b"\xee" * 50),
        with_jpeg_segment(0xE1, b"http://ns.adobe.com/xap/1.0/\0<x:xmpmeta tiff:Orientation='\xff'"),
        with_jpeg_segment(0xE2, b"ICC_PROFILE\0\x09\x02" + b"\xee" * 50),
        with_jpeg_segment(0xE2, b"MPF\0II*\0\x08\0\0\0" + b"\xee" * 50),
        with_png_chunk(b"eXIf", b"II*\0\xff\xff\xff\xff"),
        with_png_chunk(b"iCCP", b"name\0\0" + b"not deflated"),
        with_png_chunk(b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0<broken"),
        with_png_chunk(b"zTXt", b"key\0\0" + b"not deflated"),
    ],
    ids=["exif", "xmp", "icc", "mpf", "png-exif", "png-icc", "png-xmp", "png-text"],
)
def test_broken_metadata_costs_nothing(data: bytes) -> None:
    assert decode(data, LIMITS).info.width == 320


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (lambda whole: whole[: len(whole) // 2], ErrorCode.TRUNCATED),
        (lambda whole: whole[:60] + b"\xff" * 400 + whole[460:], ErrorCode.CORRUPT),
    ],
)
def test_truncated_and_corrupt(change: Callable[[bytes], bytes], expected: ErrorCode) -> None:
    assert code_of(change(make_file())) == expected


@pytest.mark.parametrize("data", [b"", b"hello", b"\x00" * 1000, b"%PDF-1.7\n", b"BM and then text"])
def test_what_is_no_image(data: bytes) -> None:
    assert code_of(data) == ErrorCode.NOT_AN_IMAGE


@pytest.mark.parametrize("data", [b"\xff\x0a" + bytes(20), b"8BPS\0\1" + bytes(40)], ids=["jxl", "psd"])
def test_images_of_another_kind(data: bytes) -> None:
    assert code_of(data) == ErrorCode.UNSUPPORTED_FORMAT


@pytest.mark.parametrize("kind", [b"avif", b"heic"])
def test_a_name_alone_is_no_picture(kind: bytes) -> None:
    assert code_of(b"\0\0\0\x1cftyp" + kind + b"\0\0\0\0" + kind + b"mif1miaf" + bytes(50)) == ErrorCode.CORRUPT


@pytest.mark.parametrize("image_format", FREE_FORMATS)
def test_too_many_pixels_is_seen_in_the_header(image_format: str) -> None:
    assert code_of(photograph(image_format), Limits(side=32, max_pixels=63_999)) == ErrorCode.TOO_MANY_PIXELS


def test_a_bomb_is_never_inflated() -> None:
    header = struct.pack(">IIBBBBB", 60_000, 60_000, 8, 6, 0, 0, 0)
    chunk = b"\0\0\0\rIHDR" + header + struct.pack(">I", zlib.crc32(b"IHDR" + header))
    assert code_of(b"\x89PNG\r\n\x1a\n" + chunk + b"\0\0\0\x10IDAT") == ErrorCode.TOO_MANY_PIXELS


def test_uniform_pictures_have_low_information() -> None:
    assert decode(make_file(Image.new("RGB", (300, 200), "white")), LIMITS).info.low_information


@pytest.mark.parametrize("size", [(1, 1), (1, 3000), (3000, 1)])
def test_slivers_are_read(size: tuple[int, int]) -> None:
    image = decode(make_file(make_picture(*size)), LIMITS)
    assert (image.info.width, image.info.height) == size


def test_serving_answers_in_order_until_the_input_ends() -> None:
    requests = [make_file(), b"hello", make_file(image_format="GIF")]
    replies: list[bytes] = []
    asked = b"".join(REQUEST.pack(len(data), False) + data for data in requests)
    serve(io.BytesIO(asked), replies.append, LIMITS)
    outcomes = [unpack_reply(reply[LENGTH.size :]).outcome for reply in replies]
    assert [getattr(outcome, "code", None) for outcome in outcomes] == [None, ErrorCode.NOT_AN_IMAGE, None]


def test_a_child_that_had_its_share_says_so_and_ends() -> None:
    replies: list[bytes] = []
    serve(io.BytesIO((REQUEST.pack(5, False) + b"hello") * 3), replies.append, LIMITS, items=2)
    assert [unpack_reply(reply[LENGTH.size :]).retire for reply in replies] == [False, True]


def test_views_are_made_when_they_are_wanted() -> None:
    data = make_file(make_picture(300, 120))
    assert decode(data, LIMITS).frames[0].views == ()
    (frame,) = decode(data, LIMITS, views=True).frames
    assert len({frame.pixels, *frame.views}) == len(VIEWS)


def test_planes_are_made_where_they_are_wanted_and_change_nothing_else() -> None:
    data = make_file(make_picture(300, 120))
    with_planes, without = (
        answer(data, LIMITS, operation).outcome for operation in (Operation.DECODE, Operation.DECODE_WITHOUT_PLANES)
    )
    assert isinstance(with_planes, DecodedImage)
    assert isinstance(without, DecodedImage)
    assert (with_planes.frames[0].plane_size, without.frames[0].plane_size) == ((300, 120), (0, 0))
    assert without.frames == tuple(replace(frame, plane=b"", plane_size=(0, 0)) for frame in with_planes.frames)


def test_answer_turns_errors_into_replies() -> None:
    outcome = answer(b"hello", LIMITS).outcome
    assert isinstance(outcome, DecodeError)
