"""PDF, by PDFium: embedded pictures and inline images as they are, pages rendered where the picture is the page.

A page whose one picture covers most of it is a scan: the picture is enough.  Any other page with little text or with
much drawing is rendered, since what it shows is in no image file: strips of a scan, vector drawings, text as outlines.
"""

from __future__ import annotations

import ctypes
import io
import math
from collections.abc import Iterator
from typing import Final

import pypdfium2 as pdfium
import pypdfium2.raw as pdfium_c
from PIL import Image

from shared.errors import ErrorCode
from workers.unpacking.budget import Limit
from workers.unpacking.names import inside
from workers.unpacking.walk import Walk

DPI: Final = 150
COVERS: Final = 0.8
"""Share of a page that a scan's picture covers at least; margins are cut off by many scanners' software."""
LITTLE_TEXT: Final = 200
"""Characters; a page of a letter has 1,500."""
MUCH_DRAWING: Final = 100
"""Paths of a page that make a drawing; a table's rules are some dozens."""
MAX_OBJECTS: Final = 5_000
"""Objects of a page that are looked at for pictures."""
MAX_FORMS: Final = 8
"""Forms inside each other."""
MAX_ATTACHMENTS: Final = 100
_POINTS_PER_INCH: Final = 72
_FILE_FILTERS: Final = ["DCTDecode"]
"""What a JPEG's bytes are in.  Those of JPXDecode are a file too, but PDFium decodes JPEG 2000, and workers do not."""
_QUALITY: Final = 90


def open_pdf(walk: Walk, data: bytes, path: str, depth: int) -> None:
    """Open a PDF document."""
    try:
        document = pdfium.PdfDocument(data)
    except pdfium.PdfiumError as error:
        _report(walk, data, path, error)
        return
    with document:
        for number in range(len(document)):
            walk.budget.spend_page()
            place = inside(path, f"page-{number + 1}", number + 1)
            try:
                page = document[number]
            except pdfium.PdfiumError as error:
                walk.problem(ErrorCode.CORRUPT, place, str(error))
                continue
            try:
                _page(walk, page, place)
            finally:
                page.close()
        _attachments(walk, document, path, depth)


def _report(walk: Walk, data: bytes, path: str, error: pdfium.PdfiumError) -> None:
    if error.err_code in (pdfium_c.FPDF_ERR_PASSWORD, pdfium_c.FPDF_ERR_SECURITY):
        walk.problem(ErrorCode.ENCRYPTED, path, "the document is encrypted")
        return
    cut = b"%%EOF" not in data[-2048:]
    walk.problem(ErrorCode.TRUNCATED if cut else ErrorCode.CORRUPT, path, str(error))


def _page(walk: Walk, page: pdfium.PdfPage, path: str) -> None:
    width, height = page.get_size()
    covered = False
    pictures = drawings = objects = 0
    for item in _objects(page):
        objects += 1
        drawings += item.type in (pdfium_c.FPDF_PAGEOBJ_PATH, pdfium_c.FPDF_PAGEOBJ_SHADING)
        if isinstance(item, pdfium.PdfImage):
            pictures += 1
            fills = _covers(item, width, height)
            whole = _picture(walk, item, path if fills else f"{path}/image-{pictures}")
            covered = covered or (whole and fills)
        if objects % 64 == 0:
            walk.budget.tick()
    if objects and not covered and (drawings >= MUCH_DRAWING or _characters(page) < LITTLE_TEXT):
        _render(walk, page, path, width, height)


def _objects(page: pdfium.PdfPage) -> Iterator[pdfium.PdfObject]:
    for number, item in enumerate(page.get_objects(max_depth=MAX_FORMS)):
        if number >= MAX_OBJECTS:
            return
        yield item


def _covers(item: pdfium.PdfImage, width: float, height: float) -> bool:
    try:
        left, bottom, right, top = item.get_bounds()
    except pdfium.PdfiumError:
        return False
    shown = max(0.0, min(right, width) - max(left, 0.0)) * max(0.0, min(top, height) - max(bottom, 0.0))
    return bool(shown >= COVERS * width * height > 0)


def _picture(walk: Walk, item: pdfium.PdfImage, path: str) -> bool:
    """Hand out a picture; tell whether that was possible."""
    if item.get_filters() == _FILE_FILTERS:
        size = pdfium_c.FPDFImageObj_GetImageDataRaw(item, None, 0)
        walk.budget.spend_inflated(size)
        buffer = (ctypes.c_ubyte * size)()
        pdfium_c.FPDFImageObj_GetImageDataRaw(item, buffer, size)
        walk.image(bytes(buffer), path)
        return True
    width, height = item.get_px_size()
    if width * height > walk.budget.limits.max_pixels:
        walk.problem(ErrorCode.TOO_MANY_PIXELS, path, f"{width} x {height} pixels", Limit.PIXELS)
        return False
    try:
        picture = item.get_bitmap().to_pil()
    except pdfium.PdfiumError:
        return False  # then the page is rendered
    walk.image(_file(picture), path)
    return True


def _characters(page: pdfium.PdfPage) -> int:
    text = page.get_textpage()
    try:
        return int(text.count_chars())
    finally:
        text.close()


def _render(walk: Walk, page: pdfium.PdfPage, path: str, width: float, height: float) -> None:
    if not (math.isfinite(width * height) and width * height > 0):
        walk.problem(ErrorCode.CORRUPT, path, "a page without a size")
        return
    scale = DPI / _POINTS_PER_INCH
    scale *= min(1.0, math.sqrt(walk.budget.limits.max_page_pixels / (width * height * scale * scale)))
    # PDFium rounds each side up: a strip of a page could have many times the pixels.
    if math.ceil(width * scale) * math.ceil(height * scale) > 2 * walk.budget.limits.max_page_pixels:
        walk.problem(ErrorCode.TOO_MANY_PIXELS, path, f"a page of {width:g} x {height:g} points", Limit.PIXELS)
        return
    walk.image(_file(page.render(scale=scale).to_pil()), path)


def _file(picture: Image.Image) -> bytes:
    file = io.BytesIO()
    picture.convert("RGB").save(file, "JPEG", quality=_QUALITY, subsampling=0)
    return file.getvalue()


def _attachments(walk: Walk, document: pdfium.PdfDocument, path: str, depth: int) -> None:
    for number in range(min(document.count_attachments(), MAX_ATTACHMENTS)):
        walk.budget.spend_entry()
        attachment = document.get_attachment(number)
        try:
            data = bytes(attachment.get_data())
        except pdfium.PdfiumError:
            continue  # a name without a file
        walk.budget.spend_inflated(len(data))
        walk.visit(data, inside(path, attachment.get_name(), number + 1), depth + 1)
