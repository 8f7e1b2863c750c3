"""Streams cut into what can be judged and held one by one: server-sent events, lines, gRPC messages.

Sans I/O: bytes in, units out, and the units put together are the bytes that came.  How the bytes were cut on their way
makes no difference.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from shared.errors import ExtractionError
from shared.extract.codings import StreamDecoder

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


@dataclass(frozen=True, slots=True, kw_only=True)
class Piece:
    """What may pass once its units are judged; ``problem`` where from here on nothing can be read any more."""

    data: bytes
    units: tuple[Unit, ...] = ()
    problem: ExtractionError | None = None


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


def is_stream(media_type: str) -> bool:
    """Tell whether bodies of this type (lower case) may go on for ever and are cut into units."""
    return media_type == "text/event-stream" or is_framed(media_type)


def is_cut(media_type: str) -> bool:
    """Tell whether bodies of this type (lower case) can be cut into units."""
    return is_stream(media_type) or media_type in _LINES


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
        whole = not self._overflowing and end - start <= self._limit
        return Unit(data=bytes(memoryview(self._buffer)[start:end]), whole=whole)


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


class UnitFeed:
    """Cuts a stream, coded or not.

    Units of a coded stream do not begin and end with the bytes that carry them: there, what has come passes when all
    units that it completes are judged, and a unit's beginning may have passed before.
    """

    def __init__(self, splitter: Splitter, names: Sequence[str]) -> None:
        self.is_coded = bool(names)
        self._splitter = splitter
        self._decoder = StreamDecoder(names) if names else None
        self._broken = False

    def feed(self, data: bytes) -> list[Piece]:
        """Take in what came."""
        if self._broken:
            return [Piece(data=data)]
        if self._decoder is None:
            return [Piece(data=unit.data, units=(unit,)) for unit in self._splitter.feed(data)]
        units: list[Unit] = []
        try:
            for chunk in self._decoder.feed(data):
                units += self._splitter.feed(chunk)
        except ExtractionError as problem:
            self._broken = True
            return [Piece(data=data, units=tuple(units), problem=problem)]
        return [Piece(data=data, units=tuple(units))]

    def finish(self) -> list[Piece]:
        """Return what is left at the end of the stream."""
        rest = self._splitter.finish()
        return [Piece(data=b"" if self.is_coded else unit.data, units=(unit,)) for unit in rest]
