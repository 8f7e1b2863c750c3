"""Archives and documents raw inside other data."""

from __future__ import annotations

import pytest

from shared.extract.budget import Findings, Limits, finished
from shared.extract.embedded_files import scan
from shared.extract.pipeline import extract
from tests.container_factories import JPEG, PNG, make_pdf, make_seven_zip, make_zip
from tests.unit.shared.extract.pictures import make_message

ARCHIVE, DOCUMENT, SEVEN = make_zip({"a.png": PNG, "b.jpg": JPEG}), make_pdf(JPEG), make_seven_zip({"a.png": PNG})


def found(data: bytes, limits: Limits | None = None) -> list[tuple[str, bytes]]:
    findings = Findings(limits or Limits())
    finished(scan(data, 0, len(data), findings, ""))
    return [(part.media_type, part.data) for part in findings.result().parts]


@pytest.mark.parametrize(
    ("media_type", "file"),
    [("application/zip", ARCHIVE), ("application/pdf", DOCUMENT), ("application/x-7z-compressed", SEVEN)],
    ids=["zip", "pdf", "7z"],
)
@pytest.mark.parametrize("filling", [b"", b"\0" * 200_000], ids=["short", "long"])
def test_a_file_is_cut_out(media_type: str, file: bytes, filling: bytes) -> None:
    assert found(b"\x0a\x10" + filling + file + b"\x12\x03abc" + filling) == [(media_type, file)]


def test_several_files_are_several() -> None:
    assert [media_type for media_type, _ in found(b"\1" + ARCHIVE + b"\2" + SEVEN + b"\3" + ARCHIVE + b"x")] == [
        "application/zip",
        "application/x-7z-compressed",
    ]  # the third is the first


def test_a_cut_archive_reaches_to_the_end() -> None:
    cut = ARCHIVE[: ARCHIVE.find(b"PK\x01\x02")]
    assert found(b"\1" + cut) == [("application/zip", cut)]


@pytest.mark.parametrize(
    "data", [b"%PDF-1.7 is a format" * 10, b"PK\x03\x04" + b"\xff" * 80, b"7z\xbc\xaf\x27\x1c" + b"\xff" * 80]
)
def test_a_signature_alone_is_no_file(data: bytes) -> None:
    assert found(b"\1" + data) == []


def test_files_are_bounded() -> None:
    assert found(b"\1" + ARCHIVE + DOCUMENT, Limits(max_images=1)) == [("application/zip", ARCHIVE)]
    assert found(b"\1" + ARCHIVE, Limits(max_embedded_bytes=10)) == []
    assert found(b"\1" + ARCHIVE, Limits(max_base64_candidates=0)) == []


def test_pictures_beside_a_file_are_found_and_those_inside_left_to_it() -> None:
    body = b"\1" + PNG + b"\2" + make_zip({"b.jpg": JPEG}, 0) + b"\3" + JPEG + b"\4\5\6"
    types = sorted(part.media_type for part in extract(make_message(body, "application/x-protobuf")).parts)
    assert types == ["application/zip", "image/jpeg", "image/png"]
