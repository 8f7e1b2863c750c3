"""Byte strings that begin like pictures: extraction looks no further than the first bytes."""

from __future__ import annotations

import io
import struct
import tarfile
from collections.abc import Sequence
from typing import Final

from shared.extract.budget import Steps
from shared.types import Direction, HttpMessage
from tests.factories import make_head

JPEG: Final = b"\xff\xd8\xff\xe0\x00\x10JFIF\x00" + bytes(range(256))
PNG: Final = b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR" + bytes(reversed(range(256))) * 2
GIF: Final = b"GIF89a" + b"\x01\x00\x01\x00" * 20
WEBP: Final = b"RIFF\x24\x00\x00\x00WEBPVP8 " + b"w" * 60
BMP: Final = struct.pack("<2sIHHIIiiHH", b"BM", 154, 0, 0, 54, 40, 5, 5, 1, 24) + b"b" * 124
TIFF: Final = b"II*\x00\x08\x00\x00\x00" + b"t" * 60

BY_TYPE: Final = {
    "image/jpeg": JPEG,
    "image/png": PNG,
    "image/gif": GIF,
    "image/webp": WEBP,
    "image/bmp": BMP,
    "image/tiff": TIFF,
}


def make_message(body: bytes, content_type: str = "", encoding: Sequence[str] = ()) -> HttpMessage:
    """Return an upload of ``body``; ``encoding`` holds Content-Encoding field values."""
    fields = [("content-type", content_type)] if content_type else []
    fields += [("content-encoding", value) for value in encoding]
    return HttpMessage(head=make_head(headers=tuple(fields)), body=body, direction=Direction.OUTBOUND)


def form(*parts: tuple[str, bytes], boundary: str = "bnd", newline: bytes = b"\r\n", close: bool = True) -> bytes:
    """Return a multipart body of (head lines joined by a line feed, content)."""
    dashes = b"--" + boundary.encode()
    body = b""
    for head, content in parts:
        lines = b"".join(line.encode() + newline for line in head.split("\n") if line)
        body += dashes + newline + lines + newline + content + newline
    return body + dashes + b"--" + newline if close else body.removesuffix(newline)


def run[T](steps: Steps[T]) -> T:
    """Return what a computation in steps returns."""
    while True:
        try:
            next(steps)
        except StopIteration as done:
            result: T = done.value
            return result


def old_tar() -> bytes:
    """An archive from before ustar: no magic, only the sum of its header."""
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w", format=tarfile.GNU_FORMAT) as archive:
        archive.addfile(tarfile.TarInfo("a"), io.BytesIO(b""))
    header = bytearray(file.getvalue()[:512])
    header[257:265] = bytes(8)
    header[148:156] = b" " * 8
    header[148:156] = b"%06o\0 " % sum(header)
    return bytes(header)
