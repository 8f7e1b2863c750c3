"""Archives and documents on the command line: checked image by image, and enrolled image by image."""

from pathlib import Path

import pytest

from tests.container_factories import make_docx, make_pdf, make_seven_zip, make_zip
from tests.image_factories import make_file, make_picture
from tests.integration.command_line import CommandLine

SECRET = make_picture(640, 480, seed=7)
SMALLER = make_file(SECRET.resize((500, 375)))
OTHER = make_file(make_picture(640, 480, seed=8), "JPEG")
FILES = {
    "secret.jpg": make_file(SECRET, "JPEG"),
    "report.zip": make_zip({"mail/report.docx": make_docx(OTHER, SMALLER)}),
    "clean.docx": make_docx(OTHER),
    "locked.7z": make_seven_zip({"a.png": SMALLER}, password="secret"),
    "brochure.pdf": make_pdf(make_file(SECRET, "JPEG"), OTHER),
}


@pytest.fixture
def safelight(tmp_path: Path) -> CommandLine:
    """A set ``designs``, empty, and the files."""
    line = CommandLine(tmp_path)
    for name, data in FILES.items():
        (line.folder / name).write_bytes(data)
    line("set", "create", "designs")
    return line


def test_a_document_is_checked_image_by_image(safelight: CommandLine) -> None:
    safelight("set", "add", "designs", "secret.jpg")
    report, clean, locked = safelight("check", "report.zip", "clean.docx", "locked.7z", "--json", status=1).rows
    paths = ["mail/report.docx/word/media/image1.png", "mail/report.docx/word/media/image2.png"]
    assert [image["path"] for image in report["images"]] == paths
    assert [any(match["matched"] for match in image["matches"]) for image in report["images"]] == [False, True]
    assert (report["container"]["images"], report["container"]["images_inspected"], report["error"]) == (2, 2, None)
    assert [image["error"] for image in clean["images"]] == [None]
    assert (locked["error"]["code"], locked["images"]) == ("encrypted", [])
    text = safelight("check", "report.zip", status=1).text
    assert "report.zip: zip, 2 of 2 images inside inspected" in text
    assert f"  {paths[1]}: match designs/secret.jpg" in text
    safelight("check", "clean.docx", "locked.7z", status=0)


def test_each_image_of_a_document_is_enrolled(safelight: CommandLine) -> None:
    rows = safelight("set", "add", "designs", "brochure.pdf", "--json").rows
    assert {row["status"] for row in rows} == {"added"}
    assert "brochure.pdf/page-1/image-1" in [row["path"] for row in rows]
    (row,) = safelight("check", "secret.jpg", "--json", status=1).rows
    assert row["matches"][0]["name"].startswith("brochure.pdf/page-1")


def test_what_cannot_be_opened_is_rejected(safelight: CommandLine) -> None:
    (safelight.folder / "notes.zip").write_bytes(make_zip({"notes.txt": b"nothing to see"}))
    rows = safelight("set", "add", "designs", "locked.7z", "notes.zip", "--json", status=1).rows
    assert [(row["path"], row["status"], row["error"]) for row in rows] == [
        ("locked.7z", "rejected", "encrypted"),
        ("notes.zip", "rejected", "not_an_image"),
    ]
