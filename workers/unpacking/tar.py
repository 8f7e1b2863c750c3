"""Tar: ustar, the older v7, GNU's long names and POSIX's extended headers (IEEE Std 1003.1, pax).

Members are slices of what is there: a size that is declared and does not follow is a truncated archive.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from shared.errors import ErrorCode
from workers.unpacking.names import inside
from workers.unpacking.walk import Walk

BLOCK: Final = 512
MAX_HEADER: Final = 64 << 10
"""Bytes of an extended header or a long name that are read."""
_FILES: Final = frozenset(b"0\x007S")  # regular (three ways) and GNU sparse, whose data are read as they lie there


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """A file in ``data[start:end]``; ``cut`` where less is there than was declared."""

    name: str
    start: int
    end: int
    cut: bool


def open_tar(walk: Walk, data: bytes, path: str, depth: int) -> None:
    """Open a tar archive."""
    for number, member in enumerate(members(data), start=1):
        walk.budget.tick()
        place = inside(path, member.name, number)
        if member.cut:
            walk.problem(ErrorCode.TRUNCATED, place, "the archive ends within this file")
        if member.end > member.start:
            # Not charged: members cannot overlap, so all of them together are no more than the archive.
            walk.visit(data[member.start : member.end], place, depth + 1)


def members(data: bytes) -> Iterator[Member]:
    """Yield the files of an archive; raises ValueError where a header is none."""
    at, long_name = 0, ""
    while at + BLOCK <= len(data):
        header = data[at : at + BLOCK]
        at += BLOCK
        if not header.strip(b"\0"):
            continue  # the end, or archives joined with padding between them
        if not _is_header(header):
            raise ValueError("a header of a tar archive is damaged")
        size, kind = _number(header[124:136]), header[156]
        end = min(at + size, len(data))
        if kind in b"xL":
            content = data[at : min(end, at + MAX_HEADER)]
            long_name = _pax_path(content) or long_name if kind == ord("x") else _text(content)
        elif kind != ord("g"):
            if kind in _FILES:
                name = long_name or _name(header)
                yield Member(name=name, start=at, end=end, cut=end < at + size)
            long_name = ""
        at += -(-size // BLOCK) * BLOCK


def _is_header(header: bytes) -> bool:
    """Check the sum: that of all bytes with the sum itself as spaces; old programs added them as signed."""
    declared = _number(header[148:156])
    counted = header[:148] + b" " * 8 + header[156:]
    signed = sum(byte - 256 if byte > 127 else byte for byte in counted)
    return declared in (sum(counted), signed)


def _number(field: bytes) -> int:
    if field[0] & 0x80:  # GNU: base 256 where octal is too small
        return int.from_bytes(bytes([field[0] & 0x7F]) + field[1:])
    digits = field.strip(b" \0").split(b"\0")[0]
    return int(digits, 8) if digits else 0


def _name(header: bytes) -> str:
    name = _text(header[:100])
    prefix = _text(header[345:500]) if header[257:263] == b"ustar\0" else ""
    return f"{prefix}/{name}" if prefix else name


def _pax_path(content: bytes) -> str:
    """Return the ``path`` of an extended header: records of ``length key=value`` and a newline."""
    for record in content.split(b"\n"):
        key, equals, value = record.partition(b" ")[2].partition(b"=")
        if equals and key == b"path":
            return value.decode("utf-8", "replace")
    return ""


def _text(field: bytes) -> str:
    return field.split(b"\0")[0].decode("utf-8", "replace")
