"""How many pictures a file holds, told from its structure without decoding any.

A decoder counts by seeking through all frames, which costs a hostile file's author nothing and the worker seconds.
These walks read a few bytes a frame, stop at a limit and never fail: what cannot be followed ends the count.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from itertools import islice
from typing import Final

from workers.decoding.protocol import MAX_FRAMES


def count_frames(data: bytes, image_format: str) -> int:
    """Return the number of frames, pages or sizes, 1..MAX_FRAMES; the latter then reads "at least"."""
    walk = _WALKS.get(image_format)
    if walk is None:
        return 1
    return max(1, sum(1 for _ in islice(_until_broken(walk(data)), MAX_FRAMES)))


def _until_broken(frames: Iterator[None]) -> Iterator[None]:
    try:
        yield from frames
    except (struct.error, IndexError):
        return


def _gif(data: bytes) -> Iterator[None]:
    position = 13 + _colour_table(data[10])
    while True:
        kind = data[position]
        if kind == 0x2C:
            yield
            position += 10 + _colour_table(data[position + 9]) + 1
        elif kind == 0x21:
            position += 2
        else:
            return
        while size := data[position]:
            position += size + 1
        position += 1


def _colour_table(flags: int) -> int:
    return 3 << ((flags & 7) + 1) if flags & 0x80 else 0


def _png(data: bytes) -> Iterator[None]:
    animated = False
    for position, kind, _ in png_chunks(data):
        if kind == b"acTL":
            (frames,) = struct.unpack_from(">I", data, position + 8)
            yield from [None] * min(frames, MAX_FRAMES)
            animated = True
        if kind == b"IDAT" and animated:
            yield  # a picture of its own, for programs that show no animation
        if kind in {b"fcTL", b"IDAT", b"IEND"}:
            return


def png_chunks(data: bytes, position: int = 8) -> Iterator[tuple[int, bytes, int]]:
    """Yield the place, the kind and the told length of every chunk from ``position`` on, as far as there are any."""
    while position + 8 <= len(data):
        length, kind = struct.unpack_from(">I4s", data, position)
        yield position, kind, length
        position += 12 + length


def _webp(data: bytes) -> Iterator[None]:
    position = 12
    while True:
        kind, length = struct.unpack_from("<4sI", data, position)
        if kind == b"ANMF":
            yield
        position += 8 + length + (length & 1)


def _tiff(data: bytes) -> Iterator[None]:
    order = "<" if data[:2] == b"II" else ">"
    big = struct.unpack_from(order + "H", data, 2)[0] == 43
    count, entry, pointer = (order + "Q", 20, order + "Q") if big else (order + "H", 12, order + "I")
    (offset,) = struct.unpack_from(pointer, data, 8 if big else 4)
    seen: set[int] = set()
    while offset and offset not in seen:
        seen.add(offset)
        (entries,) = struct.unpack_from(count, data, offset)
        yield
        (offset,) = struct.unpack_from(pointer, data, offset + struct.calcsize(count) + entries * entry)


def _icon(data: bytes) -> Iterator[None]:
    (count,) = struct.unpack_from("<H", data, 4)
    yield from [None] * count


_WALKS: Final[dict[str, Callable[[bytes], Iterator[None]]]] = {
    "GIF": _gif,
    "PNG": _png,
    "WEBP": _webp,
    "TIFF": _tiff,
    "ICO": _icon,
    "CUR": _icon,
}
