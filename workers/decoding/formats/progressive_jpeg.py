"""A large progressive JPEG, a pixel for each block of 8 x 8: what its scans of means say, and nothing else of it.

A decoder of progressive files holds all coefficients until the last scan, 3 bytes a pixel where colours are halved
both ways.  The mean of a block is the only coefficient that a picture of an eighth needs, and is what libjpeg, too,
makes such a picture's brightness of: it is the same to the last bit.

A mean is a Huffman code of up to 16 bits and up to 15 bits more, as a difference to the one before (T.81, F.1.2.1).
How far it is to the next mean is looked up for every bit of a piece of the stream at once; what is left to go through
one by one is the way from mean to mean.  What is broken is read as libjpeg reads it: an unknown code is a difference
of none, and where an interval's bits end its other blocks are grey.  Runs in the sandbox.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from workers.decoding.formats.jpeg_scans import MOST_BLOCKS, HuffmanTable, JpegFrame, MeanScan, jpeg_frame, mean_scans

BLOCK: Final = 8
PIECE_BYTES: Final = 1 << 15
"""Of a scan's stream, looked at at once; eight numbers of 2 bytes are held for each."""

PIECE_BITS: Final = 8 * PIECE_BYTES

_MISSING: Final = -1
_CODE_BITS: Final = 16
_LONGEST: Final = 32
"""Bits of a mean: an unknown code is 17."""
_UNKNOWN: Final = 17

Means = NDArray[np.int16]


@dataclass(frozen=True, slots=True, kw_only=True)
class Lookup:
    """By the 16 bits that are next: those of the mean's code and value, and those of its value alone."""

    steps: NDArray[np.uint8]
    categories: NDArray[np.uint8]


def block_means(image: Image.Image, data: bytes) -> Image.Image | None:
    """Return the picture that Pillow opened an eighth as wide and high; None where it is not a plain progressive one.

    Raises DecodeError, OSError and ValueError.
    """
    frame = jpeg_frame(data)
    if frame is None or (frame.width, frame.height) != image.size:
        return None
    means = _Means(frame)
    for scan in mean_scans(data, frame):
        means.take(scan)
    return _picture(frame, means.levels())


class _Means:
    """The means of a frame's blocks as far as they were told."""

    def __init__(self, frame: JpegFrame) -> None:
        self._frame = frame
        self._told: dict[int, Means] = {}
        self._steps: dict[int, int] = {}

    def take(self, scan: MeanScan) -> None:
        """Take in a scan; a component's steps are those in force at its first."""
        for number, step in zip(scan.components, scan.steps, strict=True):
            self._steps.setdefault(number, step)
        rows, columns = self._frame.units(scan.components)
        shapes = _shapes(self._frame, scan)
        size = sum(down * across for down, across in shapes)
        found = _bits(scan, rows * columns, size) if scan.refines else _first(scan, rows * columns, shapes)
        units = found.reshape(rows, columns, size)
        place = 0
        for number, (down, across) in zip(scan.components, shapes, strict=True):
            part = units[..., place : place + down * across].reshape(rows, columns, down, across)
            place += down * across
            blocks = part.swapaxes(1, 2).reshape(rows * down, columns * across)
            height, width = self._frame.blocks(self._frame.components[number])
            blocks = blocks[:height, :width] << scan.low
            self._told[number] = self._told[number] | blocks if scan.refines and number in self._told else blocks

    def levels(self) -> list[NDArray[np.uint8]]:
        """Return each component's blocks as levels, rows x columns; grey where nothing was told."""
        return [self._levels(number) for number in range(len(self._frame.components))]

    def _levels(self, number: int) -> NDArray[np.uint8]:
        told = self._told.get(number)
        if told is None:
            return np.full(self._frame.blocks(self._frame.components[number]), 128, np.uint8)
        levels = told.astype(np.int32)
        levels *= self._steps[number]
        levels += 4
        levels >>= 3
        levels += 128
        return np.clip(levels, 0, 255, out=levels).astype(np.uint8)


def _shapes(frame: JpegFrame, scan: MeanScan) -> list[tuple[int, int]]:
    """Return the blocks of each component in a unit: (down, across)."""
    if len(scan.components) == 1:
        return [(1, 1)]
    return [(frame.components[number].down, frame.components[number].across) for number in scan.components]


def _bits(scan: MeanScan, units: int, size: int) -> Means:
    """Return a bit for every block, in the scan's order."""
    found = np.zeros(units * size, np.int16)
    length = scan.interval * size or found.size
    for begin, start in zip(range(0, found.size, length), scan.starts, strict=False):
        count = min(length, found.size - begin)
        bits = np.unpackbits(np.frombuffer(scan.stream, np.uint8, offset=start, count=_bytes(scan, start, count)))
        found[begin : begin + min(count, bits.size)] = bits[:count]
    return found


def _bytes(scan: MeanScan, start: int, bits: int) -> int:
    return min(len(scan.stream) - start, -(-bits // 8))


def _first(scan: MeanScan, units: int, shapes: list[tuple[int, int]]) -> Means:
    """Return a number for every block, in the scan's order: all bits of its mean but the ``low`` last."""
    pattern = [number for number, (down, across) in enumerate(shapes) for _ in range(down * across)]
    reader = _Reader(scan, units, pattern)
    reader.read()
    found = reader.differences.reshape(units, len(pattern))
    length = scan.interval or units
    whole = units // length * length
    place = 0
    for down, across in shapes:
        of_one = slice(place, place + down * across)
        for part, each in ((slice(whole), length), (slice(whole, units), units - whole)):
            if each:
                intervals = found[part, of_one].reshape(-1, each * down * across)
                found[part, of_one] = np.cumsum(intervals, axis=1, dtype=np.int16).reshape(-1, down * across)
        place += down * across
    for begin, end in reader.missing:
        found[begin:end] = 0
    return found


class _Reader:
    """Reads the differences of a scan's means, in its order; of a unit's blocks ``pattern`` names the tables."""

    def __init__(self, scan: MeanScan, units: int, pattern: list[int]) -> None:
        self.differences = np.zeros(units * len(pattern), np.int16)
        self.missing: list[tuple[int, int]] = []
        """Units, first and one behind the last, whose bits are not there."""
        self._scan = scan
        self._units = units
        self._pattern = pattern
        self._lookups = [_lookup(table) for table in scan.tables if table is not None]
        self._piece = _Piece(scan.stream, 0, self._lookups)
        self._places: list[int] = []
        self._done = 0

    def read(self) -> None:
        """Read them all."""
        starts, length = self._scan.starts, self._scan.interval or self._units
        for number, begin in enumerate(range(0, self._units, length)):
            start, end = 0, 0
            if number < len(starts):
                start, end = starts[number], starts[number + 1] if number + 1 < len(starts) else len(self._scan.stream)
            self._read(begin, min(begin + length, self._units), 8 * start, 8 * end)
        self._flush()

    def _read(self, unit: int, last: int, bit: int, end: int) -> None:
        """Read the units from one to before the ``last``, the first at ``bit``, while there are bits."""
        while unit < last and bit < end:
            if not self._piece.first <= bit < self._piece.first + PIECE_BITS:
                self._flush()
                self._piece = _Piece(self._scan.stream, bit // 8, self._lookups)
            steps = [self._piece.steps[number] for number in self._pattern]
            first = self._piece.first
            read, bit = _walk(self._places, steps, last - unit, bit - first, min(end - first, PIECE_BITS))
            unit, bit = unit + read, bit + first
        if unit < last:
            self.missing.append((unit, last))
            if (last - unit) * len(self._pattern) < PIECE_BITS:
                self._places += [_MISSING] * ((last - unit) * len(self._pattern))
            else:
                self._flush()
                self._done += (last - unit) * len(self._pattern)

    def _flush(self) -> None:
        """Turn places into differences."""
        if self._places:
            found = self._piece.differences(self._places, self._pattern)
            self.differences[self._done : self._done + found.size] = found.ravel()
            self._done += found.size
            self._places = []


def _walk(places: list[int], steps: list[bytes], units: int, bit: int, end: int) -> tuple[int, int]:
    """Add the places of the blocks of up to so many units that begin before ``end``; return how many, and the next."""
    for unit in range(units):
        if bit >= end:
            return unit, bit
        for step in steps:
            places.append(bit)
            bit += step[bit]
    return units, bit


class _Piece:
    """Some bytes of a stream, from one on: for every bit how far it is to the next mean, by table, were one there."""

    def __init__(self, stream: bytes, byte: int, lookups: list[Lookup]) -> None:
        self.first = 8 * byte
        size = PIECE_BYTES + MOST_BLOCKS * _LONGEST // 8
        there = np.frombuffer(stream[byte : byte + size + 4], np.uint8)
        octets = np.zeros(size + 4, np.uint32)
        octets[: there.size] = there
        self._lookups = lookups
        self._words = octets[:-4] << 24 | octets[1:-3] << 16 | octets[2:-2] << 8 | octets[3:-1]
        codes = (self._words[:, None] >> np.arange(16, 8, -1, dtype=np.uint32)).astype(np.uint16)
        self.steps = [lookup.steps[codes].tobytes() for lookup in lookups]

    def differences(self, places: list[int], pattern: list[int]) -> Means:
        """Return what is told at places, units x blocks; 0 where one is missing."""
        bits = np.array(places, np.int32).reshape(-1, len(pattern))
        found = np.empty(bits.shape, np.int16)
        for column, number in enumerate(pattern):
            place = bits[:, column]
            codes = self._words_at(place)
            categories = self._lookups[number].categories[codes]
            values = self._words_at(place + self._lookups[number].steps[codes] - categories).astype(np.int32)
            values >>= 16 - categories.astype(np.int32)
            powers = 1 << categories.astype(np.int32)
            values -= np.where(values < powers >> 1, powers - 1, 0)
            found[:, column] = np.where(place >= 0, values, 0)
        return found

    def _words_at(self, place: NDArray[np.int32]) -> NDArray[np.uint32]:
        """Return the 16 bits that begin at places."""
        words: NDArray[np.uint32] = self._words[place >> 3] << (place & 7).astype(np.uint32)
        return words >> np.uint32(16)


@lru_cache(maxsize=8)
def _lookup(table: HuffmanTable) -> Lookup:
    """Return what every 16 bits begin with: codes are given out in order, the shorter first (T.81, annex C)."""
    lengths = np.full(1 << _CODE_BITS, _UNKNOWN, np.uint8)
    categories = np.zeros(1 << _CODE_BITS, np.uint8)
    begin, number = 0, 0
    for length, count in enumerate(table.counts, start=1):
        for symbol in table.symbols[number : number + count]:
            end = begin + (1 << (_CODE_BITS - length))
            lengths[begin:end], categories[begin:end] = length, symbol
            begin = end
        number += count
    return Lookup(steps=lengths + categories, categories=categories)


def _picture(frame: JpegFrame, levels: list[NDArray[np.uint8]]) -> Image.Image:
    """Return the components as one picture, the sparser ones stretched."""
    size = (-(-frame.width // BLOCK), -(-frame.height // BLOCK))
    planes = []
    for component, each in zip(frame.components, levels, strict=True):
        plane = Image.fromarray(each)
        if plane.size != size:
            shown = (size[0] * component.across / frame.across, size[1] * component.down / frame.down)
            box = (0, 0, min(shown[0], plane.width), min(shown[1], plane.height))
            plane = plane.resize(size, Image.Resampling.BILINEAR, box)
        planes.append(plane)
    if len(planes) == 1:
        return planes[0]
    return Image.merge("YCbCr" if frame.luminous else "RGB", planes).convert("RGB")
