"""Streams cut into what can be judged and held one by one: server-sent events, lines, gRPC messages.

Sans I/O: bytes in, units out, and the units put together are the bytes that came.  How the bytes were cut on their way
makes no difference.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, Protocol

_BLANK_LINE: Final = re.compile(rb"\r\n\r\n|\n\n|\n\r\n|\r\n\n|\r\r")
_LINE_END: Final = re.compile(rb"\n")
_LONGEST_END: Final = 4

FRAME_HEAD: Final = 5
"""A gRPC message's head: one byte of flags, four of length (also gRPC-Web and Connect streams)."""
COMPRESSED: Final = 0x01
_NOT_A_MESSAGE: Final = 0x82  # gRPC-Web: trailers; Connect: the end of the stream


@dataclass(frozen=True, slots=True, kw_only=True)
class Unit:
    """A stretch of a stream; not ``whole`` where it is only a part of an event or message that is too large."""

    data: bytes
    whole: bool = True


class Splitter(Protocol):
    """Cuts one stream."""

    def feed(self, data: bytes) -> list[Unit]:
        """Take in what came; return what has become complete."""
        ...

    def finish(self) -> list[Unit]:
        """Return what is left at the end of the stream."""
        ...


def splitter_for(media_type: str, limit: int) -> Splitter | None:
    """Return what cuts a stream of this type (lower case, without parameters), or None; ``limit`` in bytes a unit."""
    if media_type == "text/event-stream":
        return Delimited(_BLANK_LINE, limit)
    if media_type in _LINES:
        return Delimited(_LINE_END, limit)
    return Frames(limit) if is_framed(media_type) else None


_LINES: Final = frozenset(
    {"application/x-ndjson", "application/ndjson", "application/jsonl", "application/stream+json"}
)


def is_framed(media_type: str) -> bool:
    """Tell whether a body of this type (lower case) is a sequence of gRPC frames."""
    return media_type.startswith(("application/grpc", "application/connect+")) and not media_type.startswith(
        "application/grpc-web-text"
    )


class Delimited:
    """Units that end with a delimiter: events with a blank line (WHATWG HTML, section 9.2.5), JSON with a line end.

    A lone CR at the end of what came may be half of a CRLF: it is looked at when more has come.
    """

    def __init__(self, delimiter: re.Pattern[bytes], limit: int) -> None:
        self._delimiter = delimiter
        self._limit = limit
        self._buffer = bytearray()
        self._searched = 0
        self._overflowing = False

    def feed(self, data: bytes) -> list[Unit]:
        """Take in what came; return what has become complete."""
        self._buffer += data
        units: list[Unit] = []
        start = 0
        while True:
            end = len(self._buffer) - self._buffer.endswith(b"\r")
            found = self._delimiter.search(self._buffer, max(start, self._searched), end)
            if found is None:
                break
            units.append(self._unit(start, found.end()))
            self._overflowing = False
            start = self._searched = found.end()
        if len(self._buffer) - start > self._limit:
            self._overflowing = True
            end = len(self._buffer) - _LONGEST_END
            units.append(self._unit(start, end))
            start = end
        del self._buffer[:start]
        self._searched = max(len(self._buffer) - _LONGEST_END, 0)
        return units

    def finish(self) -> list[Unit]:
        """Return what is left at the end of the stream."""
        rest = [self._unit(0, len(self._buffer))] if self._buffer else []
        self._buffer.clear()
        return rest

    def _unit(self, start: int, end: int) -> Unit:
        return Unit(data=bytes(memoryview(self._buffer)[start:end]), whole=not self._overflowing)


class Frames:
    """Length-prefixed messages (gRPC over HTTP/2, section "Length-Prefixed-Message")."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._buffer = bytearray()
        self._passing = 0

    def feed(self, data: bytes) -> list[Unit]:
        """Take in what came; return what has become complete."""
        self._buffer += data
        units: list[Unit] = []
        start = 0
        while start < len(self._buffer):
            if self._passing:
                end = min(start + self._passing, len(self._buffer))
                self._passing -= end - start
                units.append(self._unit(start, end, whole=False))
                start = end
                continue
            if len(self._buffer) - start < FRAME_HEAD:
                break
            size = FRAME_HEAD + int.from_bytes(self._buffer[start + 1 : start + FRAME_HEAD])
            if size > self._limit:
                self._passing = size
                continue
            if len(self._buffer) - start < size:
                break
            units.append(self._unit(start, start + size))
            start += size
        del self._buffer[:start]
        return units

    def finish(self) -> list[Unit]:
        """Return what is left at the end of the stream."""
        rest = [self._unit(0, len(self._buffer))] if self._buffer else []
        self._buffer.clear()
        return rest

    def _unit(self, start: int, end: int, *, whole: bool = True) -> Unit:
        return Unit(data=bytes(memoryview(self._buffer)[start:end]), whole=whole)


@dataclass(frozen=True, slots=True, kw_only=True)
class Frame:
    """A gRPC message in ``data[start:end]``, without its head."""

    start: int
    end: int
    compressed: bool


def frames_of(data: bytes, start: int, end: int) -> Iterator[Frame]:
    """Yield the messages in ``data[start:end]``; a last one that is cut short reaches to the end."""
    while end - start > FRAME_HEAD:
        flags = data[start]
        size = int.from_bytes(data[start + 1 : start + FRAME_HEAD])
        stop = min(start + FRAME_HEAD + size, end)
        if not flags & _NOT_A_MESSAGE:
            yield Frame(start=start + FRAME_HEAD, end=stop, compressed=bool(flags & COMPRESSED))
        start = stop
