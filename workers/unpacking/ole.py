"""OLE compound files (MS-CFB): .doc, .xls, .ppt, .msg, objects embedded in office documents, and encrypted OOXML.

Streams are put together along their sector chains; a chain that runs in a circle or out of the file ends there.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from shared.errors import ErrorCode
from workers.unpacking.names import clean, inside
from workers.unpacking.walk import Walk

_HEADER: Final = 512
_ENTRY: Final = 128
_LAST: Final = 0xFFFFFFFA  # this and all above are no sectors: DIFAT, FAT, end of chain, free
_NONE: Final = 0xFFFFFFFF
_STORAGE, _STREAM, _ROOT = 1, 2, 5
_ENCRYPTED: Final = frozenset({"EncryptedPackage"})  # MS-OFFCRYPTO 2.3.4.4
MAX_ENTRIES: Final = 20_000
"""Directory entries that are read; a .msg with hundreds of recipients has some thousands."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stream:
    """A stream's name, with those of the storages around it, and its content."""

    name: str
    data: bytes


def open_ole(walk: Walk, data: bytes, path: str, depth: int) -> None:
    """Open a compound file."""
    for number, stream in enumerate(streams(data), start=1):
        walk.budget.spend_inflated(len(stream.data))
        last = stream.name.rpartition("/")[2]
        if last in _ENCRYPTED or _is_encrypted_document(last, stream.data):
            walk.problem(ErrorCode.ENCRYPTED, path, "the document is encrypted")
        elif stream.data:
            name, content = _native(stream) if last == "\x01Ole10Native" else (stream.name, stream.data)
            walk.visit(content, inside(path, name, number), depth + 1)


def streams(data: bytes) -> Iterator[Stream]:
    """Yield the streams of a compound file; raises ValueError where its header is none."""
    if len(data) < _HEADER:
        raise ValueError("the file ends within its header")
    (shift,) = struct.unpack_from("<H", data, 30)
    if shift not in (9, 12):
        raise ValueError(f"sectors of 2 to the {shift}")
    size = 1 << shift
    fat = _fat(data, size)
    directory, _, cutoff, mini_start = struct.unpack_from("<4I", data, 48)
    entries = [_Entry.read(raw) for raw in _entries(_chain(data, fat, directory, size))]
    root = entries[0] if entries else None
    mini = _chain(data, fat, root.start, size) if root else b""
    mini_fat = _numbers(_chain(data, fat, mini_start, size))
    for index, folder in _tree(entries):
        entry = entries[index]
        if entry.kind != _STREAM:
            continue
        if entry.size < cutoff:
            content = _chain(mini, mini_fat, entry.start, 64, first=0)
        else:
            content = _chain(data, fat, entry.start, size)
        yield Stream(name=f"{folder}{entry.name}", data=content[: entry.size])


@dataclass(frozen=True, slots=True, kw_only=True)
class _Entry:
    name: str
    kind: int
    left: int
    right: int
    child: int
    start: int
    size: int

    @classmethod
    def read(cls, raw: bytes) -> _Entry:
        length, kind = struct.unpack_from("<HB", raw, 64)
        left, right, child = struct.unpack_from("<3I", raw, 68)
        start, size = struct.unpack_from("<II", raw, 116)
        name = raw[: max(0, min(length, 64) - 2)].decode("utf-16-le", "replace")
        return cls(name=name, kind=kind, left=left, right=right, child=child, start=start, size=size)


def _tree(entries: list[_Entry]) -> Iterator[tuple[int, str]]:
    """Yield each entry once with the path of its storage; siblings hang in a tree of their own."""
    pending, seen = [(0, "")], set()
    while pending:
        index, folder = pending.pop()
        if index in seen or index >= len(entries):
            continue
        seen.add(index)
        entry = entries[index]
        yield index, folder
        below = f"{folder}{entry.name}/" if entry.kind == _STORAGE else ""
        pending += [(entry.left, folder), (entry.right, folder), (entry.child, below)]


def _entries(directory: bytes) -> Iterator[bytes]:
    for at in range(0, min(len(directory), MAX_ENTRIES * _ENTRY) - _ENTRY + 1, _ENTRY):
        yield directory[at : at + _ENTRY]


def _fat(data: bytes, size: int) -> tuple[int, ...]:
    first, count = struct.unpack_from("<2I", data, 68)
    sectors = list(struct.unpack_from("<109I", data, 76))
    seen: set[int] = set()
    while first < _LAST and first not in seen and len(seen) < count:
        seen.add(first)
        more = _numbers(_sector(data, first, size))
        sectors += more[:-1]
        first = more[-1] if more else _NONE
    limit = len(data) // size + 1
    return _numbers(b"".join(_sector(data, sector, size) for sector in sectors[:limit] if sector < _LAST))


def _chain(data: bytes, fat: tuple[int, ...], sector: int, size: int, *, first: int = 1) -> bytes:
    pieces: list[bytes] = []
    seen: set[int] = set()
    while sector < len(fat) and sector not in seen:
        seen.add(sector)
        pieces.append(_sector(data, sector, size, first=first))
        sector = fat[sector]
    return b"".join(pieces)


def _sector(data: bytes, sector: int, size: int, *, first: int = 1) -> bytes:
    at = (sector + first) * size
    return data[at : at + size]


def _numbers(raw: bytes) -> tuple[int, ...]:
    return struct.unpack(f"<{len(raw) // 4}I", raw[: len(raw) // 4 * 4])


def _native(stream: Stream) -> tuple[str, bytes]:
    """Return name and content of a packaged file (Ole10Native): sizes and names before it, all of them hints."""
    data = stream.data
    label = data.find(b"\0", 6)
    source = data.find(b"\0", label + 1)
    at = source + 9  # four bytes of which nothing is known and the length of the temporary path
    if label < 0 or source < 0 or at > len(data):
        return stream.name, data
    (length,) = struct.unpack("<I", data[source + 5 : at])
    start = at + length + 4
    if length > len(data) or start > len(data):
        return stream.name, data
    (size,) = struct.unpack("<I", data[start - 4 : start])
    folder = stream.name.rpartition("/")[0]
    name = clean(data[6:label].decode("cp1252", "replace")).rpartition("/")[2]
    return f"{folder}/{name}" if folder else name, data[start : start + size]


def _is_encrypted_document(name: str, data: bytes) -> bool:
    """Tell from the first record of a binary document (MS-DOC 2.5.1, MS-XLS 2.4.117, MS-PPT 2.3.2)."""
    if name == "WordDocument":
        return len(data) > 12 and data[:2] == b"\xec\xa5" and bool(data[11] & 0x01)
    if name in {"Workbook", "Book"}:  # FilePass stands right behind the first record
        second = 4 + int.from_bytes(data[2:4], "little")
        return data[second : second + 2] == b"\x2f\x00"
    return name == "Current User" and data[12:16] == b"\xdf\xc4\xd1\xf3"
