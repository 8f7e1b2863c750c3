"""What the walk finds where nothing has a structure that it knows, and second readings of pictures."""

from __future__ import annotations

import base64
import zipfile

import pytest

from shared.errors import ErrorCode
from tests.container_factories import JPEG, PNG, make_docx, make_pdf, make_seven_zip, make_zip
from tests.unit.workers.unpacking.walks import codes, paths, walk
from workers.unpacking.walk import second_readings

MAIL = (
    b"From: a@example.com\r\nMIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=cut\r\n\r\n"
    b"--cut\r\nContent-Type: text/plain\r\n\r\nhello\r\n"
    b'--cut\r\nContent-Type: application/octet-stream\r\nContent-Disposition: attachment; filename="report.docx"\r\n'
    b"Content-Transfer-Encoding: base64\r\n\r\n" + base64.encodebytes(make_docx(PNG)) + b"\r\n"
    b'--cut\r\nContent-Type: image/jpeg\r\nContent-Disposition: inline; filename="photo.jpg"\r\n'
    b"Content-Transfer-Encoding: base64\r\n\r\n" + base64.encodebytes(JPEG) + b"\r\n--cut--\r\n"
)


def test_a_mail_s_attachments_are_opened() -> None:
    assert paths(walk(MAIL)) == ["report.docx/word/media/image1.png", "photo.jpg"]
    assert paths(walk(make_zip({"in.eml": MAIL}))) == ["in.eml/report.docx/word/media/image1.png", "in.eml/photo.jpg"]


def test_pictures_in_text_are_found() -> None:
    page = b"<svg><image href='data:image/png;base64," + base64.b64encode(PNG) + b"'/></svg>"
    (found,) = walk(make_zip({"drawing.svg": page})).found
    assert found.data == PNG
    assert found.path.startswith("drawing.svg/base64@")


@pytest.mark.parametrize(
    ("behind", "kind"),
    [
        (make_zip({"b.jpg": JPEG}), "zip"),
        (make_seven_zip({"b.jpg": JPEG}), "7z"),
        (make_pdf(JPEG), "pdf"),
        (b"Rar!\x1a\x07\x01\x00" + bytes(50), "rar"),
    ],
    ids=["zip", "7z", "pdf", "rar"],
)
def test_what_stands_behind_a_picture_is_seen(behind: bytes, kind: str) -> None:
    assert [reading for reading, _ in second_readings(PNG + behind)] == [kind]
    out = walk(make_zip({"a.png": PNG + behind}, zipfile.ZIP_STORED))
    assert out.found[0].path == "a.png"
    if kind == "rar":
        assert codes(out) == [ErrorCode.OPAQUE]
    else:
        assert len(out.found) > 1


def test_a_picture_that_merely_names_a_format_is_a_picture() -> None:
    assert paths(walk(make_zip({"a.png": PNG + b"%PDF-1.7 is a format"}))) == ["a.png"]
    assert second_readings(PNG) == []


def test_what_nobody_opens_is_opaque() -> None:
    assert codes(walk(make_zip({"a.rar": b"Rar!\x1a\x07\x01\x00" + bytes(50)}))) == [ErrorCode.OPAQUE]
