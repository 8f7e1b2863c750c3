"""The structure of a progressive JPEG: its frame, its tables, and the scans that hold its blocks' means (ITU-T T.81).

Nothing is decoded here.  What is not as it should be has no structure: the decoder that reads it whole then says why.
Runs in the sandbox.
"""

from __future__ import annotations

import re
import struct
from array import array
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

from shared.errors import DecodeError, ErrorCode

MAX_MEAN_SCANS: Final = 48
"""Scans of means in a file: three components of 12 bits, each told one bit at a time, have 36."""
MOST_BLOCKS: Final = 10
"""Of a unit of several colours; T.81, B.2.3."""

_SOF2, _DHT, _EOI, _SOS, _DQT, _DRI, _APP0, _APP14 = 0xC2, 0xC4, 0xD9, 0xDA, 0xDB, 0xDD, 0xE0, 0xEE
_OTHERS: Final = frozenset({*range(0xC0, 0xD0), 0xDC, 0xDE, 0xDF}) - {_SOF2, _DHT, 0xC8}
"""Other frames, arithmetic coding, and a number of lines that is told only behind the first scan."""
_MARKER: Final = re.compile(rb"\xff[\xc0-\xcf\xd9-\xfe]")
"""Of something; those of nothing are passed over like what is between markers."""
_END_OF_SCAN: Final = re.compile(rb"\xff[\xc0-\xcf\xd8-\xfe]")
"""What is below is no marker in use: libjpeg goes on behind one where there are intervals, and so does this."""
_RESTART: Final = re.compile(rb"\xff[\xd0-\xd7]")
_LEAST_OF_SCAN: Final = 6
_LARGEST_CATEGORY: Final = 15
_MOST_BYTES: Final = 8
"""Of a block's mean in a file: a code of 16 bits and 15 more, every byte followed by a zero."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Component:
    """A colour: how many blocks of it lie ``across`` and ``down`` in what the sparsest colour has one of."""

    name: int
    across: int
    down: int
    table: int


@dataclass(frozen=True, slots=True, kw_only=True)
class HuffmanTable:
    """How many codes of 1 to 16 bits there are, and what they stand for."""

    counts: bytes
    symbols: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class MeanScan:
    """A scan of means: of which ``components``, by number; ``refines``: one bit of each mean, else all above ``low``.

    ``stream`` has its bits without what is stuffed between them, ``starts`` the byte where each interval of
    ``interval`` units (0: there is but one) begins; ``steps`` are what the means of each component are multiples of.
    """

    components: tuple[int, ...]
    refines: bool
    low: int
    tables: tuple[HuffmanTable | None, ...]
    interval: int
    stream: bytes
    starts: array[int]
    steps: tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class JpegFrame:
    """A progressive picture; ``luminous``: its colours are brightness and two differences, else red, green and blue."""

    width: int
    height: int
    components: tuple[Component, ...]
    luminous: bool

    @property
    def across(self) -> int:
        """Blocks of the densest colour side by side in a unit of an interleaved scan."""
        return max(component.across for component in self.components)

    @property
    def down(self) -> int:
        """Blocks of the densest colour one below the other in such a unit."""
        return max(component.down for component in self.components)

    def blocks(self, component: Component) -> tuple[int, int]:
        """Return how many (rows, columns) of blocks show a colour."""
        height = -(-self.height * component.down // self.down)
        width = -(-self.width * component.across // self.across)
        return -(-height // 8), -(-width // 8)

    def units(self, components: tuple[int, ...]) -> tuple[int, int]:
        """Return how many (rows, columns) of units a scan of some components, by number, has."""
        if len(components) == 1:
            return self.blocks(self.components[components[0]])
        return -(-self.height // (8 * self.down)), -(-self.width // (8 * self.across))


@dataclass(slots=True)
class _Tables:
    """What is in force at a place in the file."""

    huffman: dict[int, HuffmanTable] = field(default_factory=dict)
    steps: dict[int, int] = field(default_factory=dict)
    interval: int = 0
    is_jfif: bool = False
    transform: int | None = None


def jpeg_frame(data: bytes) -> JpegFrame | None:
    """Return the frame of a progressive JPEG of one or three colours of 8 bits; None for another."""
    tables = _Tables()
    for marker, content, _ in _segments(data):
        if marker in {_SOS, _EOI}:
            return None
        if marker == _SOF2:
            return _frame(content, tables)
        _take(tables, marker, content)
    return None


def mean_scans(data: bytes, frame: JpegFrame) -> Iterator[MeanScan]:
    """Yield the scans that hold the blocks' means, to the file's end.

    Raises OSError for a file that is cut off, ValueError for what cannot be followed, and DecodeError for more scans
    than any picture needs.
    """
    tables = _Tables()
    found = 0
    for marker, content, end in _segments(data):
        if marker == _EOI:
            return
        if marker in _OTHERS:
            raise ValueError("a progressive JPEG with a part that is none")
        if marker == _SOS and len(content) < _LEAST_OF_SCAN:
            raise ValueError("a scan that is not as it should be")
        if marker == _SOS and content[-3] == 0:
            found += 1
            if found > MAX_MEAN_SCANS:
                raise DecodeError(ErrorCode.OVER_BUDGET, f"over {MAX_MEAN_SCANS} scans of means")
            yield _scan(data, end, content, frame, tables)
        else:
            _take(tables, marker, content)
    raise OSError("image file is truncated")


def _segments(data: bytes) -> Iterator[tuple[int, bytes, int]]:
    """Yield every marker with what belongs to it, and where that ends, as far as there are any."""
    position = 0
    while found := _MARKER.search(data, position):
        marker, position = data[found.start() + 1], found.end()
        if marker == _EOI:
            yield marker, b"", position
            return
        length = int.from_bytes(data[position : position + 2])
        content = data[position + 2 : position + length]
        if length < 2 or len(content) < length - 2:
            return
        position += length
        yield marker, content, position
        if marker == _SOS:
            after = _END_OF_SCAN.search(data, position)
            position = after.start() if after else len(data)


def _take(tables: _Tables, marker: int, content: bytes) -> None:
    try:
        if marker == _DHT:
            _take_huffman(tables, content)
        elif marker == _DQT:
            _take_steps(tables, content)
        elif marker == _DRI:
            (tables.interval,) = struct.unpack(">H", content)
    except (struct.error, IndexError) as error:
        raise ValueError("a table that breaks off") from error
    if marker == _APP0 and content.startswith(b"JFIF\0") and len(content) >= 12:
        tables.is_jfif = True
    elif marker == _APP14 and content.startswith(b"Adobe") and len(content) >= 12:
        tables.transform = content[11]


def _take_huffman(tables: _Tables, content: bytes) -> None:
    position = 0
    while position < len(content):
        counts = content[position + 1 : position + 17]
        symbols = content[position + 17 : position + 17 + sum(counts)]
        if len(counts) < 16 or len(symbols) < sum(counts):
            raise ValueError("a Huffman table that breaks off")
        if content[position] < 16:  # the others are not of means
            tables.huffman[content[position]] = HuffmanTable(counts=counts, symbols=symbols)
        position += 17 + len(symbols)


def _take_steps(tables: _Tables, content: bytes) -> None:
    position = 0
    while position < len(content):
        wide, number = divmod(content[position], 16)
        size = 2 if wide else 1
        tables.steps[number] = int.from_bytes(content[position + 1 : position + 1 + size])
        position += 1 + 64 * size


def _frame(content: bytes, tables: _Tables) -> JpegFrame | None:
    try:
        bits, height, width, count = struct.unpack_from(">BHHB", content)
        components = tuple(
            Component(name=name, across=shape >> 4, down=shape & 15, table=table)
            for name, shape, table in struct.iter_unpack("BBB", content[6:])
        )
    except struct.error:
        return None
    fits = all(1 <= length <= 4 for each in components for length in (each.across, each.down))
    if bits != 8 or count not in {1, 3} or len(components) != count or not fits or not width * height:
        return None
    return JpegFrame(width=width, height=height, components=components, luminous=_luminous(components, tables))


def _luminous(components: tuple[Component, ...], tables: _Tables) -> bool:
    """Tell it as libjpeg does: from the file's kind, then from what the colours are called."""
    if tables.is_jfif:
        return True
    if tables.transform is not None:
        return tables.transform != 0
    return bytes(component.name for component in components) != b"RGB"


def _scan(data: bytes, start: int, content: bytes, frame: JpegFrame, tables: _Tables) -> MeanScan:
    count = content[0]
    names = [component.name for component in frame.components]
    if len(content) != 4 + 2 * count or not 1 <= count <= len(names) or content[-2] != 0:
        raise ValueError("a scan that is not as it should be")
    numbers = tuple(names.index(name) for name in content[1:-3:2])
    chosen = [frame.components[number] for number in numbers]
    unit = sum(each.across * each.down for each in chosen)
    if list(numbers) != sorted(set(numbers)) or (count > 1 and unit > MOST_BLOCKS):
        raise ValueError("a scan of components in no order")
    huffman = tuple(tables.huffman.get(choice >> 4) for choice in content[2:-3:2])
    refines = content[-1] >> 4 > 0
    if not refines and not all(table is not None and _is_of_means(table) for table in huffman):
        raise ValueError("a scan without its tables")
    rows, columns = frame.units(numbers)
    blocks = rows * columns * (unit if count > 1 else 1)
    stream, starts = _unstuffed(data, start, blocks * _MOST_BYTES, restarts=tables.interval > 0)
    return MeanScan(
        components=numbers,
        refines=refines,
        low=content[-1] & 15,
        tables=huffman,
        interval=tables.interval,
        stream=stream,
        starts=starts,
        steps=tuple(tables.steps.get(each.table, 1) for each in chosen),
    )


def _is_of_means(table: HuffmanTable) -> bool:
    codes = 0
    for length, count in enumerate(table.counts, start=1):
        codes += count << (16 - length)
    return codes <= 1 << 16 and all(symbol <= _LARGEST_CATEGORY for symbol in table.symbols)


def _unstuffed(data: bytes, start: int, most: int, *, restarts: bool) -> tuple[bytes, array[int]]:
    """Return the bits of a scan, and where its intervals begin in them."""
    after = _END_OF_SCAN.search(data, start)
    end = after.start() if after else len(data)
    stream, starts = bytearray(), array("I")
    while start <= end and len(stream) < most:
        mark = _RESTART.search(data, start, end)
        starts.append(len(stream))
        stream += data[start : min(mark.start() if mark else end, start + most)].replace(b"\xff\x00", b"\xff")
        if mark is None or not restarts:
            break
        start = mark.end()
    return bytes(stream), starts
