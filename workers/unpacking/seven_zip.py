"""7z archives, by py7zr: it reads the headers and undoes the compression, in blocks that are asked for here.

Its own ``extract`` would take blocks of 128 MB, ask the system how much memory there is (which the sandbox refuses to
say), and give up on a whole archive for one name that leads outside; here no name leads anywhere.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import IO, Final

import py7zr
from py7zr.exceptions import ArchiveError, PasswordRequired, UnsupportedCompressionMethodError
from py7zr.py7zr import ArchiveFile

from shared.errors import ErrorCode
from workers.unpacking.names import inside
from workers.unpacking.walk import Walk

BLOCK: Final = 1 << 20
MAX_HEADER: Final = 4 << 20
"""Bytes of an archive's header; one of 10,000 long names has 2 MiB."""
_SIGNATURE_HEADER: Final = 32
_PPMD: Final = b"\x03\x04\x01"
"""Its decoder (pyppmd) runs in a thread of its own; the sandbox has none, and it would wait for ever."""


def open_seven_zip(walk: Walk, data: bytes, path: str, depth: int) -> None:
    """Open a 7z archive."""
    offset, size = int.from_bytes(data[12:20], "little"), int.from_bytes(data[20:28], "little")
    if len(data) < _SIGNATURE_HEADER or _SIGNATURE_HEADER + offset + size > len(data):
        walk.problem(ErrorCode.TRUNCATED, path, "the archive ends before its header")
        return
    if size > MAX_HEADER:
        walk.problem(ErrorCode.OVER_BUDGET, path, f"a header of more than {MAX_HEADER} bytes")
        return
    try:
        with py7zr.SevenZipFile(io.BytesIO(data)) as archive:
            _extract(archive, walk, path, depth)
    except PasswordRequired:
        walk.problem(ErrorCode.ENCRYPTED, path, "the archive is encrypted")
    except UnsupportedCompressionMethodError as error:
        walk.problem(ErrorCode.OPAQUE, path, f"7z: {error}")
    except (ArchiveError, EOFError) as error:
        walk.problem(ErrorCode.CORRUPT, path, f"7z: {type(error).__name__} {error}")


def _extract(archive: py7zr.SevenZipFile, walk: Walk, path: str, depth: int) -> None:
    streams = archive.header.main_streams
    if streams is None:
        return
    positions = streams.packinfo.packpositions
    number = 0
    for index, folder in enumerate(streams.unpackinfo.folders):
        if any(coder["method"] == _PPMD for coder in folder.coders):
            walk.problem(ErrorCode.OPAQUE, path, "PPMd is not undone")
            continue
        files = archive.files if len(streams.unpackinfo.folders) == 1 else folder.files or ()
        archive.fp.seek(archive.afterheader + positions[index])
        for file in files:
            if file.emptystream:
                continue
            number += 1
            walk.budget.spend_entry()
            content = b"".join(walk.charged(_inflated(archive.fp, file)))
            if content and not file.is_directory:
                walk.visit(content, inside(path, file.filename, number), depth + 1)


def _inflated(stream: IO[bytes], file: ArchiveFile) -> Iterator[bytes]:
    """Yield a member's bytes; those of a folder follow each other, so each has to be read to its end."""
    left = file.uncompressed
    # None for all but the first of a folder: the decompressor is there by then.
    decompressor = file.folder.get_decompressor(file.compressed)  # type: ignore[arg-type]
    while left > 0:
        before = stream.tell()
        block = bytes(decompressor.decompress(stream, min(left, BLOCK)))
        if not block and stream.tell() == before:
            raise EOFError("a member ends early")
        left -= len(block)
        yield block
