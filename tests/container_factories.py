"""Archives and documents for tests, made from what is handed in; the product only reads such files."""

from __future__ import annotations

import io
import struct
import tarfile
import zipfile
from collections.abc import Mapping
from typing import Final

import py7zr
import pypdfium2 as pdfium

from tests.image_factories import make_file, make_picture

PNG: Final = make_file(make_picture(64, 48, seed=1))
JPEG: Final = make_file(make_picture(64, 48, seed=2), "JPEG")
SECTOR: Final = 512
_FREE, _END, _FAT = 0xFFFFFFFF, 0xFFFFFFFE, 0xFFFFFFFD


def make_zip(files: Mapping[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    """Return a ZIP archive."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", method) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return file.getvalue()


def make_docx(*pictures: bytes) -> bytes:
    """Return a document of a word processor, as far as its pictures are concerned."""
    media = {f"word/media/image{number}.png": picture for number, picture in enumerate(pictures, start=1)}
    types = b'<?xml version="1.0"?><Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types"/>'
    return make_zip({"[Content_Types].xml": types, "word/document.xml": b"<w:document/>" * 50, **media})


def make_tar(files: Mapping[str, bytes], kind: int = tarfile.PAX_FORMAT) -> bytes:
    """Return a tar archive."""
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w", format=kind) as archive:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return file.getvalue()


def make_seven_zip(
    files: Mapping[str, bytes], filters: list[dict[str, int]] | None = None, password: str | None = None
) -> bytes:
    """Return a 7z archive."""
    file = io.BytesIO()
    with py7zr.SevenZipFile(file, "w", filters=filters, password=password) as archive:
        for name, content in files.items():
            archive.writestr(content, name)
    return file.getvalue()


def make_pdf(*pages: bytes, attachments: Mapping[str, bytes] | None = None) -> bytes:
    """Return a PDF document; each page shows a JPEG over its middle half."""
    document = pdfium.PdfDocument.new()
    for picture in pages:
        page = document.new_page(200, 200)
        image = pdfium.PdfImage.new(document)
        image.load_jpeg(io.BytesIO(picture), inline=True)
        image.set_matrix(pdfium.PdfMatrix().scale(100, 100).translate(50, 50))
        page.insert_obj(image)
        page.gen_content()
    for name, content in (attachments or {}).items():
        document.new_attachment(name).set_data(content)
    file = io.BytesIO()
    document.save(file)
    return file.getvalue()


def make_jpeg_and_pdf(jpeg: bytes, pdf: bytes) -> bytes:
    """Return one file that programs for pictures show as ``jpeg`` and programs for documents as ``pdf``.

    The document, of less than 64 KB, is the picture's comment: PDF readers take a header within the first 1,024 bytes.
    """
    comment = b"\xff\xfe" + (len(pdf) + 2).to_bytes(2)
    return jpeg[:2] + comment + pdf + jpeg[2:]


def make_raw_pdf(content: bytes, *, objects: bytes = b"", box: str = "0 0 200 200", resources: str = "") -> bytes:
    """Return a PDF of one page from what stands in it; its readers have to find the objects themselves."""
    return b"".join(
        [
            b"%PDF-1.7\n1 0 obj<</Type/Catalog/Pages 2 0 R>>endobj\n",
            b"2 0 obj<</Type/Pages/Kids[3 0 R]/Count 1>>endobj\n",
            f"3 0 obj<</Type/Page/Parent 2 0 R/MediaBox[{box}]/Contents 4 0 R".encode(),
            f"/Resources<<{resources}>>>>endobj\n".encode(),
            b"4 0 obj<</Length %d>>stream\n%b\nendstream endobj\n" % (len(content), content),
            objects,
            b"trailer<</Root 1 0 R/Size 10>>\n%%EOF\n",
        ]
    )


def make_ole(streams: Mapping[str, bytes]) -> bytes:
    """Return an OLE compound file with these streams in its root (MS-CFB version 3); small ones in the mini stream."""
    mini = bytearray()
    mini_fat: list[int] = []
    places: list[tuple[int, bytes]] = []
    for content in streams.values():
        if len(content) < 4096:
            start = len(mini_fat)
            count = -(-len(content) // 64)
            mini_fat += [start + step + 1 for step in range(count - 1)] + [_END] * bool(count)
            mini += content.ljust(count * 64, b"\0")
            places.append((start if count else _END, content))
        else:
            places.append((-1, content))
    entries = 1 + len(streams)
    fat: list[int] = [_FAT] * 2
    body = bytearray()

    def add(content: bytes) -> int:
        count = -(-len(content) // SECTOR)
        start = len(fat)
        fat.extend([start + step + 1 for step in range(count - 1)] + [_END] * bool(count))
        body.extend(content.ljust(count * SECTOR, b"\0"))
        return start if count else _END

    mini_start, mini_fat_start = add(bytes(mini)), add(struct.pack(f"<{len(mini_fat)}I", *mini_fat))
    starts = [add(content) if start == -1 else start for start, content in places]
    directory = _entry("Root Entry", 5, child=1 if streams else _FREE, start=mini_start, size=len(mini))
    for index, (name, content) in enumerate(streams.items(), start=1):
        right = index + 1 if index < len(streams) else _FREE
        directory += _entry(name, 2, right=right, start=starts[index - 1], size=len(content))
    directory = directory.ljust(-(-entries * 128 // SECTOR) * SECTOR, b"\0")
    directory_start = add(directory)
    header = struct.pack(
        "<8s16s5H6x9I", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", bytes(16), 62, 3, 0xFFFE, 9, 6,
        0, 2, directory_start, 0, 4096, mini_fat_start, -(-len(mini_fat) * 4 // SECTOR), _END, 0,
    )  # fmt: skip
    header += struct.pack("<109I", 0, 1, *[_FREE] * 107)
    fat += [_FREE] * (2 * SECTOR // 4 - len(fat))
    return header + struct.pack(f"<{len(fat)}I", *fat) + bytes(body)


def _entry(name: str, kind: int, *, right: int = _FREE, child: int = _FREE, start: int, size: int) -> bytes:
    raw = name.encode("utf-16-le")
    return struct.pack(
        "<64sHBB3I16sI8s8sIQ",
        raw,
        len(raw) + 2,
        kind,
        1,
        _FREE,
        right,
        child,
        bytes(16),
        0,
        bytes(8),
        bytes(8),
        start,
        size,
    )
