"""PDF documents: pictures, scans, drawings, attachments, locks and traps."""

from __future__ import annotations

import io
import zlib

import pytest
from PIL import Image

from shared.errors import ErrorCode
from tests.container_factories import JPEG, PNG, make_docx, make_pdf, make_raw_pdf, make_zip
from tests.unit.workers.unpacking.walks import codes, limits_hit, paths, walk
from workers.unpacking.budget import Limit, Limits

TEXT = b"BT /F1 6 Tf 10 190 Td " + b"(This page has quite a lot of text on it.) Tj 0 -8 Td " * 20 + b"ET\n"
FONT = "/Font<</F1<</Type/Font/Subtype/Type1/BaseFont/Helvetica>>>>"
JPEG_OBJECT = (
    b"5 0 obj<</Type/XObject/Subtype/Image/Width 64/Height 48/ColorSpace/DeviceRGB/BitsPerComponent 8"
    b"/Filter/DCTDecode/Length %d>>stream\n%b\nendstream endobj\n" % (len(JPEG), JPEG)
)
IMAGE = "/XObject<</I 5 0 R>>"
INLINE = b"q 50 0 0 50 10 10 cm BI /W 8 /H 8 /BPC 8 /CS /G ID " + bytes(range(0, 256, 4)) + b" EI Q\n"


def size_of(data: bytes) -> tuple[int, int]:
    return Image.open(io.BytesIO(data)).size


def test_a_picture_on_a_page_of_text_comes_out_as_it_is() -> None:
    document = make_raw_pdf(TEXT + b"q 50 0 0 50 10 10 cm /I Do Q", objects=JPEG_OBJECT, resources=FONT + IMAGE)
    out = walk(document)
    assert paths(out) == ["page-1/image-1"]
    assert out.found[0].data == JPEG


def test_a_scan_is_its_picture() -> None:
    out = walk(make_raw_pdf(b"q 200 0 0 200 0 0 cm /I Do Q", objects=JPEG_OBJECT, resources=IMAGE))
    assert paths(out) == ["page-1"]
    assert out.found[0].data == JPEG


def test_a_scan_in_jpeg_2000_comes_out_as_a_picture_that_workers_decode() -> None:
    file = io.BytesIO()
    Image.new("RGB", (64, 48), (200, 30, 30)).save(file, "JPEG2000")
    objects = b"5 0 obj<</Type/XObject/Subtype/Image/Width 64/Height 48/Filter/JPXDecode"
    objects += b"/Length %d>>stream\n%b\nendstream endobj\n" % (len(file.getvalue()), file.getvalue())
    out = walk(make_raw_pdf(b"q 200 0 0 200 0 0 cm /I Do Q", objects=objects, resources=IMAGE))
    assert paths(out) == ["page-1"]
    picture = Image.open(io.BytesIO(out.found[0].data))
    assert (picture.format, picture.size) == ("JPEG", (64, 48))
    red, green, blue = picture.convert("RGB").resize((1, 1)).tobytes()
    assert (red > 190, green < 40, blue < 40) == (True, True, True)


def test_a_page_with_little_text_is_rendered() -> None:
    out = walk(make_pdf(JPEG, JPEG))
    assert paths(out) == ["page-1/image-1", "page-1"]  # the second page shows the same, byte for byte
    assert size_of(out.found[1].data) == (417, 417)


def test_a_drawing_with_text_is_rendered() -> None:
    lines = b"".join(b"%d 0 m %d 200 l S\n" % (x, x) for x in range(0, 200, 1))
    assert paths(walk(make_raw_pdf(TEXT + lines, resources=FONT))) == ["page-1"]


def test_a_page_of_text_alone_is_none() -> None:
    assert paths(walk(make_raw_pdf(TEXT, resources=FONT))) == []


def test_an_inline_image_comes_out() -> None:
    out = walk(make_raw_pdf(TEXT + INLINE, resources=FONT))
    assert paths(out) == ["page-1/image-1"]
    assert size_of(out.found[0].data) == (8, 8)


def test_attachments_are_opened() -> None:
    out = walk(make_pdf(JPEG, attachments={"report.docx": make_docx(PNG)}))
    assert "report.docx/word/media/image1.png" in paths(out)


def test_a_document_in_an_archive() -> None:
    assert paths(walk(make_zip({"scan.pdf": make_pdf(JPEG)}))) == ["scan.pdf/page-1/image-1", "scan.pdf/page-1"]


@pytest.mark.parametrize("prefix", [b"\x1b%-12345X@PJL\r\n", b"\0" * 3000], ids=["print job", "3 KB before it"])
def test_a_document_that_does_not_begin_the_file(prefix: bytes) -> None:
    assert len(walk(prefix + make_pdf(JPEG)).found) == 2


def test_a_picture_that_is_a_document_has_both_readings() -> None:
    whole = JPEG[:2] + b"\xff\xfe" + (1502).to_bytes(2) + bytes(1500) + JPEG[2:] + make_pdf(JPEG)
    assert [found.path for found in walk(whole).found] == ["page-1/image-1", "page-1"]


def encrypted() -> bytes:
    """Return a document that says it is locked with a password nobody knows."""
    lock = b"9 0 obj<</Filter/Standard/V 2/R 3/Length 128/P -4/O(%b)/U(%b)>>endobj\n" % (b"o" * 32, b"u" * 32)
    return make_raw_pdf(TEXT, objects=lock, resources=FONT).replace(b"/Size 10", b"/Size 10/Encrypt 9 0 R/ID[(a)(a)]")


def test_a_locked_document_is_encrypted() -> None:
    assert codes(walk(encrypted())) == [ErrorCode.ENCRYPTED]


def test_what_is_no_document_is_an_error() -> None:
    assert codes(walk(b"%PDF-1.7\n" + bytes(500))) == [ErrorCode.TRUNCATED]
    assert codes(walk(b"%PDF-1.7\n" + bytes(500) + b"%%EOF")) == [ErrorCode.CORRUPT]


def test_a_table_of_objects_that_leads_to_itself_ends() -> None:
    loop = b"%PDF-1.7\nxref\n0 1\n0000000000 65535 f \ntrailer<</Prev 9/Size 1>>\nstartxref\n9\n%%EOF"
    assert codes(walk(loop)) == [ErrorCode.CORRUPT]


def test_pages_that_are_their_own_children_end() -> None:
    whole = make_raw_pdf(TEXT, resources=FONT).replace(b"/Kids[3 0 R]/Count 1", b"/Kids[2 0 R]/Count 9")
    assert walk(whole).found == []


@pytest.mark.parametrize("box", ["0 0 1e9 1e9", "0 0 14400 14400", "0 0 1e6 1", "0 0 0 0", "5 5 -5 -5"])
def test_any_page_box_is_rendered_in_bounds(box: str) -> None:
    limits = Limits(max_page_pixels=1_000_000, seconds=60.0)
    for found in walk(make_raw_pdf(b"0 0 50 50 re f", box=box), limits).found:
        width, height = size_of(found.data)
        assert width * height <= 2_000_000


def test_a_picture_of_too_many_pixels_is_not_decoded() -> None:
    data = zlib.compress(bytes(1000))
    bomb = b"5 0 obj<</Type/XObject/Subtype/Image/Width 60000/Height 60000/ColorSpace/DeviceRGB/BitsPerComponent 8"
    bomb += b"/Filter/FlateDecode/Length %d>>stream\n%b\nendstream endobj\n" % (len(data), data)
    out = walk(make_raw_pdf(TEXT + b"q 50 0 0 50 10 10 cm /I Do Q", objects=bomb, resources=FONT + IMAGE))
    assert (codes(out), limits_hit(out)) == ([ErrorCode.TOO_MANY_PIXELS], [Limit.PIXELS])


def test_pages_are_bounded() -> None:
    document = make_pdf(*(JPEG for _ in range(5)))
    assert limits_hit(walk(document, Limits(max_pages=3, seconds=60.0))) == [Limit.PAGES]
