"""Containers by kind, and the one way in."""

from __future__ import annotations

import base64
import io
import time
import zipfile
from collections.abc import Callable
from types import MappingProxyType
from typing import Final

import py7zr
import pypdfium2 as pdfium
from PIL import Image

from shared.errors import ErrorCode
from workers.unpacking import ole, pdf, rtf, seven_zip, streams, tar, zip_archive
from workers.unpacking.budget import Limit, Limits
from workers.unpacking.walk import Found, Opener, Unread, Walk

OPENERS: Final = MappingProxyType[str, Opener](
    {
        "zip": zip_archive.open_zip,
        "tar": tar.open_tar,
        "gzip": streams.open_gzip,
        "zstd": streams.open_zstd,
        "bzip2": streams.open_bzip2,
        "xz": streams.open_xz,
        "7z": seven_zip.open_seven_zip,
        "ole": ole.open_ole,
        "pdf": pdf.open_pdf,
        "rtf": rtf.open_rtf,
    }
)


def unpack(
    data: bytes,
    limits: Limits,
    take: Callable[[Found | Unread], None],
    clock: Callable[[], float] = time.monotonic,
) -> None:
    """Hand out the pictures of a container, and what of it could not be read, as they are found.

    Any bytes end in one of the two within the limits; nothing is raised but what ``take`` raises.
    """
    try:
        Walk(len(data), limits, dict(OPENERS), take, clock).run(data)
    except MemoryError:
        take(Unread(path="", code=ErrorCode.OVER_BUDGET, message="unpacking needs too much memory", limit=Limit.MEMORY))


_ENCRYPTED_SEVEN_ZIP: Final = (
    "H+sCUCma9-N4R*-aR2}S000006aWAK00000F0M>3_SPK+yVl^oyjcMB2VVBs0RUV91O@;B2@nba_-K|k00#>J00JZi@dp7CQxEHRt$X"
    "q4h4Venv|v^)FsC6Q0T=-Q3<UuI2nqp1zPIQA00jXN1pr|H000yU0RXUTM~-lS-2oK_0RSL?fPnx202c-j0SRFM2MYlJ0U;p)7z|wi00"
)
"""A file `a` behind a password, as py7zr writes it: to make it takes 0.15 s, half a million rounds of SHA-256."""


def warm_up() -> None:
    """Use each library once: what they load lazily cannot be loaded in the sandbox."""
    picture = io.BytesIO()
    Image.linear_gradient("L").convert("RGB").save(picture, "PNG")
    archives = (
        _small_zip(picture.getvalue()),
        _small_seven_zip(picture.getvalue()),
        base64.b85decode(_ENCRYPTED_SEVEN_ZIP),
    )
    for data in (*archives, _small_pdf()):
        unpack(data, Limits(seconds=60.0), _forget)


def _small_zip(picture: bytes) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for method in (zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA):
            archive.writestr(f"{method}.png", picture, method)
        archive.writestr("page.html", b"<html><img src='data:image/png;base64,iVBORw0KGgo='></html>")
    return file.getvalue()


def _small_seven_zip(picture: bytes) -> bytes:
    file = io.BytesIO()
    with py7zr.SevenZipFile(file, "w") as archive:
        archive.writestr(picture, "picture.png")
    return file.getvalue()


def _small_pdf() -> bytes:
    file = io.BytesIO()
    document = pdfium.PdfDocument.new()
    page = document.new_page(100, 100)
    bitmap = pdfium.PdfBitmap.new_native(8, 8, pdfium.raw.FPDFBitmap_BGR)
    image = pdfium.PdfImage.new(document)
    image.set_bitmap(bitmap)
    page.insert_obj(image)
    page.gen_content()
    document.save(file)
    document.close()
    return file.getvalue()


def _forget(_: Found | Unread) -> None:
    """Only the loading counts."""
