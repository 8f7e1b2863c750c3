"""Pictures in rich text."""

from __future__ import annotations

from tests.container_factories import JPEG, PNG, make_ole
from tests.unit.workers.unpacking.walks import limits_hit, paths, walk
from workers.unpacking.budget import Limit, Limits


def rtf(*pictures: bytes) -> bytes:
    groups = []
    for picture in pictures:
        digits = picture.hex().encode()
        lines = b"\r\n".join(digits[at : at + 128] for at in range(0, len(digits), 128))
        groups.append(b"{\\pict\\pngblip\\picw64\\pich48\r\n" + lines + b"}")
    return b"{\\rtf1\\ansi{\\colortbl;\\red0\\green0\\blue0;}Some text " + b"\\par ".join(groups) + b"}"


def test_pictures_come_out_as_they_are() -> None:
    out = walk(rtf(PNG, JPEG))
    assert paths(out) == ["picture-1", "picture-2"]
    assert [found.data for found in out.found] == [PNG, JPEG]


def test_an_embedded_object_is_opened() -> None:
    inside = bytes(20) + len(PNG).to_bytes(4, "little") + PNG + bytes(5000)
    head = b"\x01\x05\0\0\x02\0\0\0\x08\0\0\0Package\0" + bytes(12)
    (found,) = walk(rtf(head + make_ole({"CONTENTS": inside}))).found
    assert found.data == PNG


def test_digits_that_are_no_picture_are_none() -> None:
    assert paths(walk(rtf(b"just some bytes" * 50))) == []


def test_runs_of_digits_are_bounded() -> None:
    many = rtf(*(bytes([number]) * 100 for number in range(50)))
    assert limits_hit(walk(many, Limits(max_entries=20))) == [Limit.ENTRIES]
