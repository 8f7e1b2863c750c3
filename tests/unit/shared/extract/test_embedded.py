from __future__ import annotations

import struct
from collections import deque

import pytest

from shared.errors import ErrorCode
from shared.extract.budget import Extraction, Findings, Limits
from shared.extract.embedded import FIND_WINDOW, find_any, scan
from tests.unit.shared.extract.pictures import BY_TYPE, GIF, JPEG, PNG

WHOLE_PNG = PNG + b"\x00\x00\x00\x00IEND\xaeB`\x82"
WHOLE_JPEG = JPEG + b"\xff\xd9"


def found(data: bytes, limits: Limits | None = None) -> Extraction:
    findings = Findings(limits or Limits())
    deque(scan(data, 0, len(data), findings, ""), maxlen=0)
    return findings.result()


def images(data: bytes) -> list[bytes]:
    return [part.data for part in found(data).parts]


def varint(number: int) -> bytes:
    low = bytes((number & 0x7F | (0x80 if number > 0x7F else 0),))
    return low + (varint(number >> 7) if number > 0x7F else b"")


def message(*fields: bytes) -> bytes:
    """A protobuf message whose fields are byte strings."""
    return b"".join(bytes((number << 3 | 2,)) + varint(len(each)) + each for number, each in enumerate(fields, start=1))


@pytest.mark.parametrize(("media_type", "data"), BY_TYPE.items())
def test_each_kind_of_picture(media_type: str, data: bytes) -> None:
    (part,) = found(b"\x00head" + data).parts
    assert (part.media_type, part.locator) == (media_type, "bytes@5")
    assert data.startswith(part.data)


def test_protobuf_at_any_depth() -> None:
    inner = message(b"name", WHOLE_PNG, b"after")
    for _ in range(30):
        inner = message(b"more", inner, WHOLE_JPEG)
    assert images(inner) == [WHOLE_PNG, WHOLE_JPEG]


@pytest.mark.parametrize(
    "before",
    [
        b"\xc6" + struct.pack(">I", len(WHOLE_PNG)),  # MessagePack bin 32, CBOR, Thrift
        b"\xc5" + struct.pack(">H", len(WHOLE_PNG)),  # MessagePack bin 16
        struct.pack("<i", len(WHOLE_PNG)) + b"\x00",  # BSON
        struct.pack("<I", len(WHOLE_PNG)),
    ],
)
def test_lengths_of_other_formats(before: bytes) -> None:
    assert images(b"\x83\xa4name" + before + WHOLE_PNG + b"\xa4more" * 10) == [WHOLE_PNG]


def test_boxes_tell_where_they_end() -> None:
    heif = struct.pack(">I", 24) + b"ftypheic\0\0\0\0heicmif1" + struct.pack(">I", 108) + b"mdat" + bytes(100)
    large = struct.pack(">I", 1) + b"mdat" + struct.pack(">Q", 116) + bytes(100)
    assert images(b"\x01\x02" + heif + b"\x12\x03abc" + heif + large) == [heif, heif + large]


@pytest.mark.parametrize("byte", range(26, 128))
def test_a_byte_that_looks_like_a_length_cuts_nothing_off(byte: int) -> None:
    assert images(bytes((0, 0, 0, byte)) + WHOLE_PNG) == [WHOLE_PNG]


def test_without_a_length_it_reaches_to_the_end() -> None:
    assert images(b"\x04" + WHOLE_PNG) == [WHOLE_PNG]
    assert images(b"\xfe" * 9 + WHOLE_PNG + b"tail") == [WHOLE_PNG + b"tail"]


def test_what_only_names_a_picture_is_text() -> None:
    assert images(b'magic("GIF89a"); BM; RIFF1234WEBP; ftypavif ' * 9) == []
    assert images(b"\x00" + GIF[:10]) == []


@pytest.mark.parametrize("offset", range(FIND_WINDOW - 20, FIND_WINDOW + 4))
def test_pictures_are_found_across_windows(offset: int) -> None:
    for signature, at in [(b"\x89PNG\r\n\x1a\n", 0), (b"ftyp", 4)]:
        data = b"\0" * offset + signature + b"\0" * 100
        assert [hit for hit in find_any(data, 0, len(data), [(signature, at)], needed=b"\0") if hit is not None] == [
            offset - at
        ]


def test_the_bytes_that_pictures_reach_over_are_bounded() -> None:
    data = (b"\x00" + JPEG) * 100
    result = found(data, Limits(max_embedded_bytes=2 * len(data)))
    assert [problem.code for problem in result.problems] == [ErrorCode.OVER_BUDGET]
    assert sum(len(part.data) for part in result.parts) <= 2 * len(data)


def test_looks_are_bounded() -> None:
    result = found((b"\x00" + JPEG) * 100, Limits(max_base64_candidates=3))
    assert [problem.code for problem in result.problems] == [ErrorCode.OVER_BUDGET]
