"""Compressed single files: gzip, zstd, bzip2, xz.  Several streams behind each other are one file."""

from __future__ import annotations

import bz2
import lzma
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import PurePosixPath
from typing import Final, Protocol

import zstandard

from shared.errors import ErrorCode
from shared.extract import codings, pipeline
from workers.unpacking.names import inside
from workers.unpacking.walk import Walk

CHUNK: Final = 64 << 10
MAX_LZMA_MEMORY: Final = 128 << 20
"""Of a decoder's dictionary: xz -9 takes 64 MiB.  The format allows 4 GiB, which is an attack."""
_GZIP_LIMITS: Final = pipeline.Limits(max_inflate_ratio=1 << 30)  # the walk's budget has the ratio of the whole
_ENDINGS: Final = {
    ".tgz": ".tar", ".tbz2": ".tar", ".txz": ".tar", ".tzst": ".tar", ".svgz": ".svg",
    ".gz": "", ".bz2": "", ".xz": "", ".zst": "",
}  # fmt: skip


class Decoder(Protocol):
    """A decompressor of the standard library."""

    @property
    def eof(self) -> bool: ...
    @property
    def needs_input(self) -> bool: ...
    @property
    def unused_data(self) -> bytes: ...
    def decompress(self, data: bytes, max_length: int = -1) -> bytes: ...


def open_gzip(walk: Walk, data: bytes, path: str, depth: int) -> None:
    """Open gzip."""
    _open_coded("gzip", walk, data, path, depth)


def open_zstd(walk: Walk, data: bytes, path: str, depth: int) -> None:
    """Open zstd."""
    _open_coded("zstd", walk, data, path, depth)


def open_bzip2(walk: Walk, data: bytes, path: str, depth: int) -> None:
    """Open bzip2."""
    walk.member(_reported(walk, path, streams(data, b"BZh", bz2.BZ2Decompressor)), inner_path(path), depth)


def open_xz(walk: Walk, data: bytes, path: str, depth: int) -> None:
    """Open xz."""
    chunks = streams(data, b"\xfd7zXZ\x00", lambda: lzma.LZMADecompressor(memlimit=MAX_LZMA_MEMORY))
    walk.member(_reported(walk, path, chunks), inner_path(path), depth)


def streams(data: bytes, magic: bytes, new: Callable[[], Decoder]) -> Iterator[bytes]:
    """Yield what the streams in ``data`` hold, in chunks of bounded size; raises EOFError where one is cut short."""
    at = 0
    while data.startswith(magic, at):
        decoder = new()
        while not decoder.eof:
            piece = data[at : at + CHUNK] if decoder.needs_input else b""
            if decoder.needs_input and not piece:
                raise EOFError("the compressed stream ends early")
            at += len(piece)
            yield decoder.decompress(piece, CHUNK)
        at -= len(decoder.unused_data)
        while data[at : at + 4] == bytes(4):  # xz pads between streams
            at += 4


def _open_coded(coding: str, walk: Walk, data: bytes, path: str, depth: int) -> None:
    limits = replace(_GZIP_LIMITS, max_inflated_bytes=walk.budget.inflated_left)
    inflated = walk.finish(codings.undo(data, (coding,), limits))
    walk.budget.spend_inflated(len(inflated.body))
    if inflated.error is not None:
        walk.problem(inflated.error.code, path, str(inflated.error))
    elif coding == "zstd" and len(inflated.body) < _announced(data):
        walk.problem(ErrorCode.TRUNCATED, path, "the compressed stream ends early")
    if inflated.body:
        walk.visit(inflated.body, inner_path(path), depth + 1)


def _announced(data: bytes) -> int:
    """Return the size that the first frame announces, 0 where it announces none: its decoder does not miss an end."""
    size = zstandard.get_frame_parameters(data).content_size
    return 0 if size == zstandard.CONTENTSIZE_UNKNOWN else size


def _reported(walk: Walk, path: str, chunks: Iterator[bytes]) -> Iterator[bytes]:
    """Pass chunks on up to the first error, which is reported."""
    try:
        yield from chunks
    except EOFError as error:
        walk.problem(ErrorCode.TRUNCATED, path, str(error))
    except (OSError, ValueError) as error:
        walk.problem(ErrorCode.CORRUPT, path, str(error))
    except lzma.LZMAError as error:
        needs_memory = "emory" in str(error)
        walk.problem(ErrorCode.OVER_BUDGET if needs_memory else ErrorCode.CORRUPT, path, str(error))


def inner_path(path: str) -> str:
    """Return the path of what a compressed file holds: its name without the ending, if it has one."""
    name = PurePosixPath(path).name
    for ending, instead in _ENDINGS.items():
        if name.lower().endswith(ending):
            return inside(path, name[: -len(ending)] + instead, 1)
    return path
