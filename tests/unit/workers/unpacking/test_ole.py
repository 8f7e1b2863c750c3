"""OLE compound files: old documents, mails, objects, locked documents."""

from __future__ import annotations

import struct

import pytest

from shared.errors import ErrorCode
from tests.container_factories import JPEG, PNG, make_docx, make_ole
from tests.unit.workers.unpacking.walks import codes, paths, walk
from workers.unpacking.ole import streams

LARGE = JPEG + bytes(5000)


def test_streams_small_and_large_come_out() -> None:
    files = {"small": PNG[:100], "large": LARGE, "empty": b"", "other": bytes(range(200))}
    assert {stream.name: stream.data for stream in streams(make_ole(files))} == files


def test_pictures_in_a_stream_are_found() -> None:
    inside = b"\0" * 25 + struct.pack("<I", len(PNG)) + PNG + bytes(5000)
    assert [found.data for found in walk(make_ole({"Pictures": inside})).found] == [PNG]


def test_an_attachment_of_a_mail_is_opened() -> None:
    out = walk(make_ole({"__substg1.0_37010102": make_docx(PNG)}))
    assert paths(out) == ["__substg1.0_37010102/word/media/image1.png"]


def test_a_packaged_file_has_its_name() -> None:
    names = b"plan.png\0C:\\plan.png\0" + struct.pack("<HHI", 0, 3, 5) + b"C:\\p\0"
    content = struct.pack("<IH", 0, 2) + names + struct.pack("<I", len(PNG)) + PNG + b"tail"
    assert paths(walk(make_ole({"\x01Ole10Native": content}))) == ["plan.png"]
    assert [found.data for found in walk(make_ole({"\x01Ole10Native": content})).found] == [PNG]


@pytest.mark.parametrize(
    "files",
    [
        {"EncryptionInfo": b"\4\0\4\0", "EncryptedPackage": bytes(9000)},
        {"WordDocument": b"\xec\xa5\xc1\x00" + bytes(6) + b"\x00\x01" + bytes(5000)},
        {"Workbook": b"\x09\x08\x04\x00abcd\x2f\x00" + bytes(5000)},
        {"Current User": struct.pack("<HHIII", 0, 0xFF6, 20, 20, 0xF3D1C4DF) + bytes(20)},
    ],
    ids=["OOXML", "Word", "Excel", "PowerPoint"],
)
def test_a_locked_document_is_encrypted(files: dict[str, bytes]) -> None:
    assert codes(walk(make_ole(files))) == [ErrorCode.ENCRYPTED]


def test_chains_that_run_in_a_circle_end() -> None:
    data = bytearray(make_ole({"large": LARGE}))
    for at in range(512 + 8, 512 + 128, 4):
        struct.pack_into("<I", data, at, 3)
    assert len(list(streams(bytes(data)))) <= 1


def test_a_cut_file_is_an_error() -> None:
    assert codes(walk(make_ole({"large": LARGE})[:300])) == [ErrorCode.CORRUPT]
