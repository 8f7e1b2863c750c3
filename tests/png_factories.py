"""PNG files that Pillow does not write: of any depth, every filter, and chunks of any kind."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable, Sequence
from itertools import cycle, islice
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

SIGNATURE: Final = b"\x89PNG\r\n\x1a\n"
COLOURS: Final = {1: 0, 2: 4, 3: 2, 4: 6}
"""Types of colour by the number of channels."""

type Row = NDArray[np.int64]


def chunk(kind: bytes, payload: bytes) -> bytes:
    """Return a chunk with its length and its checksum."""
    return len(payload).to_bytes(4) + kind + payload + zlib.crc32(kind + payload).to_bytes(4)


def png_of(stream: bytes, size: tuple[int, int], *, depth: int = 8, colour: int = 2, after: bytes = b"") -> bytes:
    """Return a PNG whose pixels are ``stream``, compressed already, with ``after`` between them and the end."""
    head = struct.pack(">IIBBBBB", *size, depth, colour, 0, 0, 0)
    return SIGNATURE + chunk(b"IHDR", head) + chunk(b"IDAT", stream) + after + chunk(b"IEND", b"")


def filtered_png(samples: NDArray[Any], filters: Sequence[int] = (0, 1, 2, 3, 4)) -> bytes:
    """Return a PNG of height x width x channels of 8 or 16 bits whose rows are filtered in these ways in turn."""
    height, width, channels = samples.shape
    stream = zlib.compress(_filtered(samples, filters), 1)
    return png_of(stream, (width, height), depth=8 * samples.dtype.itemsize, colour=COLOURS[channels])


def interlaced_png(samples: NDArray[Any], filters: Sequence[int] = (0, 1, 2, 3, 4), level: int = 1) -> bytes:
    """Return such a PNG, interlaced."""
    height, width, channels = samples.shape
    parts = [samples[rows, columns] for rows, columns in PASSES]
    stream = zlib.compress(b"".join(_filtered(part, filters) for part in parts if part.size), level)
    return interlaced(png_of(stream, (width, height), depth=8 * samples.dtype.itemsize, colour=COLOURS[channels]))


def interlaced_palette(indices: NDArray[np.uint8], depth: int, palette: bytes, clear: bytes = b"") -> bytes:
    """Return an interlaced PNG of height x width colours of a palette, ``depth`` bits each."""
    height, width = indices.shape
    lines = []
    for part in (indices[rows, columns] for rows, columns in PASSES):
        for row in part if part.size else ():
            bits = np.unpackbits(row[:, None], axis=1)[:, 8 - depth :]
            lines.append(b"\0" + np.packbits(bits.ravel()).tobytes())
    data = interlaced(png_of(zlib.compress(b"".join(lines)), (width, height), depth=depth, colour=3))
    colours = chunk(b"PLTE", palette) + (chunk(b"tRNS", clear) if clear else b"")
    return data[:33] + colours + data[33:]


def interlaced(data: bytes) -> bytes:
    """Return a PNG that says it is interlaced."""
    return data[:8] + chunk(b"IHDR", data[16:28] + b"\1") + data[33:]


PASSES: Final = (
    np.s_[::8, ::8], np.s_[::8, 4::8], np.s_[4::8, ::4], np.s_[::4, 2::4], np.s_[2::4, ::2], np.s_[::2, 1::2],
    np.s_[1::2, :],
)  # fmt: skip
"""Rows and columns of an interlaced picture's passes (PNG, third edition, 8.2)."""


def _filtered(samples: NDArray[Any], filters: Sequence[int]) -> bytes:
    height, _, channels = samples.shape
    depth = 8 * samples.dtype.itemsize
    rows = np.frombuffer(samples.astype(f">u{depth // 8}").tobytes(), np.uint8).reshape(height, -1).astype(np.int64)
    step = channels * depth // 8
    above = np.zeros_like(rows[0])
    lines = []
    for row, way in zip(rows, islice(cycle(filters), height), strict=True):
        before, corner = (np.concatenate((np.zeros(step, np.int64), each[:-step])) for each in (row, above))
        lines.append(bytes((way,)) + ((row - _FILTERS[way](before, above, corner)) & 255).astype(np.uint8).tobytes())
        above = row
    return b"".join(lines)


def _paeth(before: Row, above: Row, corner: Row) -> Row:
    guess = before + above - corner
    far = [abs(guess - each) for each in (before, above, corner)]
    other = np.where(far[1] <= far[2], above, corner)
    return np.where((far[0] <= far[1]) & (far[0] <= far[2]), before, other)


_FILTERS: Final[tuple[Callable[[Row, Row, Row], Row], ...]] = (
    lambda *near: np.zeros_like(near[0]),
    lambda *near: near[0],
    lambda *near: near[1],
    lambda *near: (near[0] + near[1]) // 2,
    _paeth,
)
"""What is subtracted of a row (PNG, third edition, 9.2)."""
