"""ZIP and what is made of it: OOXML, OpenDocument, EPUB, JAR (PKWARE's APPNOTE 6.3.10).

The central directory says what there is; where it is missing or damaged the local headers do.  Sizes are never taken
from either: a member ends where its stream does.  Entries that overlap (Fifield, "A better zip bomb", WOOT 2019) are
inflated once each and charged each time.
"""

from __future__ import annotations

import bz2
import lzma
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import zstandard

from shared.errors import ErrorCode
from workers.unpacking.names import inside
from workers.unpacking.streams import CHUNK, MAX_LZMA_MEMORY, streams
from workers.unpacking.walk import Walk

_END: Final = struct.Struct("<4s4H2IH")
_END64: Final = struct.Struct("<4sQ2H2I4Q")
_CENTRAL: Final = struct.Struct("<4s6H3I5H2I")
_LOCAL: Final = struct.Struct("<4s5H3I2H")
_COMMENT: Final = 0xFFFF
_FULL: Final = 0xFFFFFFFF
_ENCRYPTED: Final = 0x1
_UTF8: Final = 0x800
_STRONG_ENCRYPTION: Final = 0x40
_AES: Final = 99
MAX_ZSTD_WINDOW: Final = 128 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """A member; its data begin at ``start``, and are no longer than ``size`` bytes as they are stored."""

    name: str
    flags: int
    method: int
    start: int
    size: int

    @property
    def encrypted(self) -> bool:
        """Whether its content cannot be read without a password."""
        return bool(self.flags & (_ENCRYPTED | _STRONG_ENCRYPTION)) or self.method == _AES


class UnknownMethodError(ValueError):
    """A way of compression that nothing here undoes."""


def open_zip(walk: Walk, data: bytes, path: str, depth: int) -> None:
    """Open a ZIP archive."""
    damaged = ""
    try:
        found = list(_limited(walk, central_entries(data)))
    except ValueError as error:
        damaged = str(error)
        found = list(_limited(walk, local_entries(data)))
    encrypted = [entry for entry in found if entry.encrypted]
    if damaged:
        truncated = data.rfind(b"PK\x05\x06") < 0
        walk.problem(ErrorCode.TRUNCATED if truncated else ErrorCode.CORRUPT, path, damaged)
    if encrypted:
        walk.problem(ErrorCode.ENCRYPTED, path, f"{len(encrypted)} of {len(found)} entries are encrypted")
    for number, entry in enumerate(found, start=1):
        if not entry.encrypted:
            _open_entry(walk, data, entry, inside(path, entry.name, number), depth)


def _open_entry(walk: Walk, data: bytes, entry: Entry, path: str, depth: int) -> None:
    walk.budget.spend_entry()
    pieces: list[bytes] = []
    try:
        pieces.extend(walk.charged(inflate(data, entry)))
    except UnknownMethodError as error:
        walk.problem(ErrorCode.OPAQUE, path, str(error))
    except EOFError:
        walk.problem(ErrorCode.TRUNCATED, path, "the member ends early")
    except (zlib.error, OSError, lzma.LZMAError, zstandard.ZstdError, ValueError) as error:
        walk.problem(ErrorCode.CORRUPT, path, str(error))
    content = b"".join(pieces)
    if content:
        walk.visit(content, path, depth + 1)


def _limited(walk: Walk, entries: Iterator[Entry]) -> Iterator[Entry]:
    """Pass on as many entries as may be looked at, and one more for the budget to stumble over."""
    for number, entry in enumerate(entries):
        if number > walk.budget.limits.max_entries:
            return
        if entry.name.endswith(("/", "\\")) and entry.size == 0:
            continue
        yield entry


def central_entries(data: bytes) -> Iterator[Entry]:
    """Yield what the central directory lists; raises ValueError where there is none or it is damaged."""
    end = data.rfind(b"PK\x05\x06", max(0, len(data) - _END.size - _COMMENT))
    if end < 0 or end + _END.size > len(data):
        raise ValueError("the central directory is missing")
    _, _, _, _, total, size, offset, _ = _END.unpack_from(data, end)
    total, size, offset, end = _zip64(data, end, total, size, offset)
    start = end - size
    if start < 0 or offset > start:
        raise ValueError("the central directory lies outside of the file")
    shift = start - offset  # what stands before the archive: a picture, a program
    at, count = start, 0
    while at + _CENTRAL.size <= end and data.startswith(b"PK\x01\x02", at):
        fields = _CENTRAL.unpack_from(data, at)
        names = at + _CENTRAL.size
        extra = data[names + fields[10] : names + fields[10] + fields[11]]
        raw = data[names : names + fields[10]]
        local, stored = _wide(extra, fields[16], fields[9], fields[8])
        at = names + fields[10] + fields[11] + fields[12]
        count += 1
        yield _entry(data, raw, fields[3], fields[4], local + shift, stored)
    if count < total & 0xFFFF:
        raise ValueError(f"the central directory lists {count} of {total} entries")


def _zip64(data: bytes, end: int, total: int, size: int, offset: int) -> tuple[int, int, int, int]:
    """Return what the larger end record says, where there is one (APPNOTE 4.3.14 and 4.3.15)."""
    locator = end - 20
    if locator < 0 or not data.startswith(b"PK\x06\x07", locator):
        return total, size, offset, end
    record = data.rfind(b"PK\x06\x06", 0, locator)
    if record < 0 or record + _END64.size > locator:
        raise ValueError("the zip64 end record is missing")
    _, _, _, _, _, _, _, total, size, offset = _END64.unpack_from(data, record)
    return total, size, offset, record


def _wide(extra: bytes, local: int, size: int, stored: int) -> tuple[int, int]:
    """Return offset and stored size; where they are full they stand in the zip64 field, after the size (4.5.3)."""
    if _FULL not in (local, size, stored):
        return local, stored
    at = 0
    while at + 4 <= len(extra):
        tag, length = struct.unpack_from("<2H", extra, at)
        if tag == 1:
            values = [value[0] for value in struct.iter_unpack("<Q", extra[at + 4 : at + 4 + length // 8 * 8])]
            values = values[1:] if size == _FULL else values
            if stored == _FULL and values:
                stored, values = values[0], values[1:]
            return (values[0] if local == _FULL and values else local), stored
        at += 4 + length
    return local, stored


def _entry(data: bytes, raw: bytes, flags: int, method: int, local: int, stored: int) -> Entry:
    """Return an entry; its data begin behind the local header, whose names may have other lengths."""
    if local < 0 or local + _LOCAL.size > len(data) or not data.startswith(b"PK\x03\x04", local):
        raise ValueError("an entry of the central directory points nowhere")
    fields = _LOCAL.unpack_from(data, local)
    start = local + _LOCAL.size + fields[9] + fields[10]
    return Entry(
        name=_name(raw, flags), flags=flags | (fields[2] & _ENCRYPTED), method=method, start=start, size=stored
    )


def local_entries(data: bytes) -> Iterator[Entry]:
    """Yield what the local headers announce, one behind the other: what is left of a cut archive."""
    at = data.find(b"PK\x03\x04")
    while 0 <= at <= len(data) - _LOCAL.size:
        _, _, flags, method, _, _, _, stored, _, name_size, extra_size = _LOCAL.unpack_from(data, at)
        names = at + _LOCAL.size
        start = names + name_size + extra_size
        unknown = bool(flags & 0x8) or stored == _FULL
        name = _name(data[names : names + name_size], flags)
        size = len(data) - start if unknown else stored
        yield Entry(name=name, flags=flags, method=method, start=start, size=max(0, size))
        at = data.find(b"PK\x03\x04", start if unknown else start + stored)


def _name(raw: bytes, flags: int) -> str:
    return raw.decode("utf-8" if flags & _UTF8 else "cp437", "replace")


def inflate(data: bytes, entry: Entry) -> Iterator[bytes]:
    """Yield a member in bounded chunks; raises UnknownMethodError, EOFError, or what its decoder does."""
    stored = data[entry.start : entry.start + entry.size]
    if len(stored) < entry.size:
        yield from _decoded(entry.method, stored)
        raise EOFError
    yield from _decoded(entry.method, stored)


def _decoded(method: int, stored: bytes) -> Iterator[bytes]:
    match method:
        case 0:
            yield stored
        case 8:
            yield from _deflated(stored)
        case 12:
            yield from streams(stored, b"BZh", bz2.BZ2Decompressor)
        case 14:
            yield from _lzma(stored)
        case 93:
            decoder = zstandard.ZstdDecompressor(max_window_size=MAX_ZSTD_WINDOW)
            yield from decoder.read_to_iter(stored, write_size=CHUNK)
        case 95:
            yield from streams(stored, b"\xfd7zXZ", lambda: lzma.LZMADecompressor(memlimit=MAX_LZMA_MEMORY))
        case _:
            raise UnknownMethodError(f"compression method {method} is not undone")


def _deflated(stored: bytes) -> Iterator[bytes]:
    decoder, at, pending = zlib.decompressobj(-15), 0, b""
    while not decoder.eof:
        if not pending:
            pending = stored[at : at + CHUNK]
            at += len(pending)
        output = decoder.decompress(pending, CHUNK)
        if not pending and not output:
            raise EOFError
        pending = decoder.unconsumed_tail
        yield output


def _lzma(stored: bytes) -> Iterator[bytes]:
    """Undo method 14: a version, the size of the properties, the properties of LZMA1, the stream (APPNOTE 5.8.8)."""
    size = int.from_bytes(stored[2:4], "little")
    properties = stored[4 : 4 + size]
    if size != 5:
        raise ValueError("unknown properties of an LZMA stream")
    dictionary = int.from_bytes(properties[1:], "little")
    if dictionary > MAX_LZMA_MEMORY:
        raise ValueError(f"an LZMA dictionary of {dictionary} bytes")
    # As a file of the old .lzma format without a size: properties, eight bytes of ones, the stream.
    decoder = lzma.LZMADecompressor(format=lzma.FORMAT_ALONE, memlimit=2 * MAX_LZMA_MEMORY)
    pending = properties + b"\xff" * 8 + stored[4 + size :]
    at = 0
    while not decoder.eof:
        piece = pending[at : at + CHUNK] if decoder.needs_input else b""
        if decoder.needs_input and not piece:
            return  # without an end marker the stream ends with its bytes
        at += len(piece)
        yield decoder.decompress(piece, CHUNK)
