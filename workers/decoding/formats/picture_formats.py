"""Which formats are read, and by whom: every file is given to the one parser that its first bytes name.

Pillow reads them all but HEIF, which it is taught by pi_heif (libheif and libde265).  JPEG 2000, JPEG XL, PSD and the
rest of what Pillow knows stay unread: few are sent, and little-used parsers are where vulnerabilities live
(OpenJPEG's have been the most of Pillow's own: CVE-2020-10994, CVE-2021-25287, CVE-2021-25288).  Runs in the sandbox.
"""

from __future__ import annotations

import io
import struct
from typing import Final

import pi_heif
from PIL import AvifImagePlugin, Image, ImageCms, MpoImagePlugin

from workers.decoding.protocol import FORMATS

HEIF: Final = "HEIF"
ICONS: Final = frozenset({"ICO", "CUR"})
TURNED_BY_DECODER: Final = frozenset({"TIFF", HEIF})
"""Formats whose pictures come upright, whatever EXIF says."""
MEDIA_TYPES: Final = {
    "image/jpeg": "JPEG",
    "image/png": "PNG",
    "image/gif": "GIF",
    "image/webp": "WEBP",
    "image/bmp": "BMP",
    "image/tiff": "TIFF",
    "image/avif": "AVIF",
    "image/heif": HEIF,
    "image/vnd.microsoft.icon": "ICO",
}
PRELOADED: Final = (ImageCms, MpoImagePlugin)
"""Imported by Pillow only when it meets a LAB picture, or a phone's JPEG with a second picture behind the first."""

_UNSNIFFED: Final = ("JPEG", "PNG", "GIF", "WEBP", "BMP", "TIFF")
"""What a file with an unusual beginning may still be."""
_CURSOR: Final = b"\0\0\2\0"
_ICON: Final = b"\0\0\1\0"
_ENTRY: Final = struct.Struct("<4BHHII")
_BITS_AT: Final = 14
"""Where a bitmap's header says its bits a pixel."""


def register() -> None:
    """Teach Pillow HEIF and, since threads are scarce in the sandbox, to decode on the one there is."""
    AvifImagePlugin.DEFAULT_MAX_THREADS = 1
    pi_heif.register_heif_opener(decode_threads=1, thumbnails=False, depth_images=False, aux_images=False)


def open_picture(data: bytes, media_type: str | None) -> Image.Image:
    """Open a file that ``sniff`` takes for ``media_type``, without decoding it; raises whatever its parser does."""
    formats = _UNSNIFFED if media_type is None else (MEDIA_TYPES[media_type],)
    if data.startswith(_CURSOR):
        data = _as_icon(data)
    return Image.open(io.BytesIO(data), formats=formats)  # noqa: TID251 - this is the sandbox


def format_of(image: Image.Image, data: bytes) -> str:
    """Return the format as a verdict names it, one of FORMATS."""
    if data.startswith(_CURSOR):
        return "CUR"
    name = "JPEG" if image.format == "MPO" else image.format or ""
    return name if name in FORMATS else ""


def _as_icon(data: bytes) -> bytes:
    """Return a cursor as the icon it is but for its hot spot: Pillow's own reader of cursors takes no PNG."""
    count = int.from_bytes(data[4:6], "little")
    entries = []
    for number in range(count):
        width, height, colours, reserved, _, _, size, offset = _ENTRY.unpack_from(data, 6 + number * _ENTRY.size)
        bits = int.from_bytes(data[offset + _BITS_AT : offset + _BITS_AT + 2], "little")
        plain = min(bits, 32)  # of a PNG these bytes are something else, and are not asked for
        entries.append(_ENTRY.pack(width, height, colours, reserved, 1, plain, size, offset))
    return b"".join((_ICON, data[4:6], *entries, data[6 + count * _ENTRY.size :]))
