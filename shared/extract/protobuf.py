"""Finds a byte string in protobuf messages again by its path of field numbers; no schema is known.

https://protobuf.dev/programming-guides/encoding/
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

MAX_DEPTH: Final = 8
MAX_FIELDS: Final = 256
"""Fields of one message that are looked at: those of an upload are a handful."""

type Path = tuple[int, ...]
type Span = tuple[int, int]

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_LONGEST_VARINT: Final = 10


def path_to(data: bytes, at: int) -> Path | None:
    """Return the path of the byte string that begins at ``at``, or None where there is none."""
    path: list[int] = []
    span = 0, len(data)
    while len(path) < MAX_DEPTH:
        inside = next(((number, value) for number, value in _strings(data, span) if value[0] <= at < value[1]), None)
        if inside is None:
            return None
        number, span = inside
        path.append(number)
        if span[0] == at:
            return tuple(path)
    return None


def values_at(data: bytes, path: Path) -> list[Span]:
    """Return where the byte strings of a path are, in the order in which they stand."""
    spans: list[Span] = [(0, len(data))]
    for wanted in path:
        spans = [value for span in spans for number, value in _strings(data, span) if number == wanted][:MAX_FIELDS]
    return spans


def _strings(data: bytes, span: Span) -> Iterator[tuple[int, Span]]:
    """Yield the number and the place of each byte string of a message, as far as it can be read."""
    at, end = span
    for _ in range(MAX_FIELDS):
        if at >= end:
            return
        tag, at = _varint(data, at, end)
        kind = tag & 7
        if kind == _VARINT:
            _, at = _varint(data, at, end)
        elif kind == _BYTES:
            size, at = _varint(data, at, end)
            if size > end - at:
                return
            yield tag >> 3, (at, at + size)
            at += size
        elif kind in {_FIXED64, _FIXED32}:
            at += 8 if kind == _FIXED64 else 4
        else:
            return


def _varint(data: bytes, at: int, end: int) -> tuple[int, int]:
    """Return a number and where it ends; what is no number ends the message."""
    value = 0
    for place in range(at, min(at + _LONGEST_VARINT, end)):
        value |= (data[place] & 0x7F) << 7 * (place - at)
        if data[place] < 0x80:
            return value, place + 1
    return 0, end
