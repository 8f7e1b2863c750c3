"""A TIFF decoded strip by strip, so that a picture of any size is held in a few megabytes (TIFF 6.0, Adobe 1992).

A TIFF's strips, or rows of tiles, are compressed each for itself: some of them, under the tags that say how to read
them, are a TIFF of their own.  Rows that are not compressed are cut anywhere.  Pictures whose channels are stored one
after the other, and such as are one large compressed strip, are not read here.  Runs in the sandbox.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Any, Final

from PIL import Image
from PIL.TiffImagePlugin import ImageFileDirectory_v2
from PIL.TiffTags import LONG

from workers.decoding.formats.picture_formats import open_picture

_WIDTH: Final = 256
_HEIGHT: Final = 257
_BITS: Final = 258
_COMPRESSION: Final = 259
_STRIP_OFFSETS: Final = 273
_SAMPLES: Final = 277
_STRIP_ROWS: Final = 278
_STRIP_BYTES: Final = 279
_PLANES: Final = 284
_TILE_WIDTH: Final = 322
_TILE_HEIGHT: Final = 323
_TILE_OFFSETS: Final = 324
_TILE_BYTES: Final = 325
_KEPT: Final = (256, 258, 259, 262, 266, 277, 292, 293, 317, 320, 322, 323, 332, 338, 339, 347, 529, 530, 532)
"""What says how to read pixels: size, samples, colours, compression and its tables; not which side is up."""
_NONE: Final = 1
_READ: Final = frozenset({_NONE, 2, 3, 4, 5, 7, 8, 32773, 32946, 34925, 50000})
"""Compressions whose strips stand alone: none, CCITT, LZW, JPEG (not that of 1992), Deflate, PackBits, LZMA, Zstd."""
_MOST_BYTES: Final = 8 << 20
"""Of the file, in one of the small TIFFs: as many strips as a hostile file likes may be the same bytes."""
_START: Final = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class TiffLayout:
    """How a page is stored: ``size`` = (width, height) before it is turned, in pieces of ``rows`` rows.

    ``parts`` are the places and lengths of the strips or tiles, ``across`` of them in a row; ``cut`` says that rows may
    be cut anywhere.
    """

    size: tuple[int, int]
    rows: int
    across: int
    parts: tuple[tuple[int, int], ...]
    cut: bool
    tags: ImageFileDirectory_v2


def tiff_layout(image: Image.Image, strip_pixels: int) -> TiffLayout | None:
    """Return the layout of the page that Pillow is at; None for one whose strips have more than ``strip_pixels``."""
    try:
        found = _layout(image.tag_v2)  # type: ignore[attr-defined]
    except (KeyError, TypeError, ValueError, ZeroDivisionError, struct.error):
        return None
    if found is None or (found.size[0] * found.rows > strip_pixels and not found.cut):
        return None
    return found


def tiff_strips(data: bytes, layout: TiffLayout, rows: int) -> Iterator[Image.Image]:
    """Yield the page from top to bottom, about ``rows`` rows at a time, not turned; raises whatever Pillow does."""
    for height, parts in _groups(layout, rows):
        strip = open_picture(_small_tiff(data, layout, height, parts), "image/tiff")
        strip.load()
        yield strip


def _layout(tags: ImageFileDirectory_v2) -> TiffLayout | None:
    width, height = int(tags[_WIDTH]), int(tags[_HEIGHT])
    compression = tags.get(_COMPRESSION, _NONE)
    tiled = _TILE_OFFSETS in tags
    if compression not in _READ or tags.get(_PLANES, 1) != 1 or (tiled and compression == _NONE):
        return None
    if tiled:
        rows, across = tags[_TILE_HEIGHT], -(-width // tags[_TILE_WIDTH])
        offsets, lengths = tags[_TILE_OFFSETS], tags[_TILE_BYTES]
    else:
        rows, across = min(tags.get(_STRIP_ROWS, height), height), 1
        offsets, lengths = tags[_STRIP_OFFSETS], tags.get(_STRIP_BYTES, ())
    if compression == _NONE:
        line = (width * _bits(tags) + 7) // 8
        lengths = tuple(min(rows, height - top) * line for top in range(0, height, rows))
    count = -(-height // rows) * across
    if rows < 1 or not len(offsets) == len(lengths) == count or min(offsets) < _START:
        return None
    _kept(tags).tobytes()
    return TiffLayout(
        size=(width, height),
        rows=rows,
        across=across,
        parts=tuple(zip(offsets, lengths, strict=True)),
        cut=compression == _NONE,
        tags=tags,
    )


def _bits(tags: ImageFileDirectory_v2) -> int:
    """Return the bits of a pixel; one number for all samples counts for each of them."""
    bits = tags.get(_BITS, (1,))
    samples = int(tags.get(_SAMPLES, 1))
    return int(sum(bits) if len(bits) == samples else bits[0] * samples)


def _kept(tags: ImageFileDirectory_v2) -> ImageFileDirectory_v2:
    little = tags.prefix == b"II"
    kept = ImageFileDirectory_v2(b"II*\0\0\0\0\0" if little else b"MM\0*\0\0\0\0")
    for tag in _KEPT:
        if tag in tags:
            kept.tagtype[tag] = tags.tagtype[tag]
            kept[tag] = tags[tag]
    return kept


def _groups(layout: TiffLayout, rows: int) -> Iterator[tuple[int, Sequence[tuple[int, int]]]]:
    """Yield a number of rows and the parts of the file that hold them."""
    height = layout.size[1]
    if layout.cut:
        for number, (offset, length) in enumerate(layout.parts):
            told = min(layout.rows, height - number * layout.rows)
            line = length // told
            for top in range(0, told, rows):
                count = min(rows, told - top)
                yield count, ((offset + top * line, count * line),)
        return
    group: list[tuple[int, int]] = []
    top = 0
    for start in range(0, len(layout.parts), layout.across):
        group += layout.parts[start : start + layout.across]
        count = min(len(group) // layout.across * layout.rows, height - top)
        if count >= rows or sum(length for _, length in group) > _MOST_BYTES:
            yield count, group
            top += count
            group = []
    if group:
        yield height - top, group


def _small_tiff(data: bytes, layout: TiffLayout, height: int, parts: Sequence[tuple[int, int]]) -> bytes:
    """Return a TIFF of some of the strips or tiles; behind one that is cut off there is nothing."""
    tags = _kept(layout.tags)
    tiled = _TILE_HEIGHT in tags
    offsets, lengths = (_TILE_OFFSETS, _TILE_BYTES) if tiled else (_STRIP_OFFSETS, _STRIP_BYTES)
    starts = tuple(accumulate((length for _, length in parts[:-1]), initial=0))
    written: dict[int, Any] = {_HEIGHT: height, offsets: starts, lengths: tuple(length for _, length in parts)}
    if not tiled:
        written[_STRIP_ROWS] = height if layout.cut else min(height, layout.rows)
    for tag, value in written.items():
        tags.tagtype[tag] = LONG
        tags[tag] = value
    if tiled:  # of strips Pillow itself counts from where the tags end
        end = _START + len(tags.tobytes(_START))
        tags[offsets] = tuple(end + start for start in starts)
    pieces = []
    for offset, length in parts:
        pieces.append(data[offset : offset + length])
        if len(pieces[-1]) < length:
            break
    mark = struct.pack("<2sHI" if tags.prefix == b"II" else ">2sHI", tags.prefix, 42, _START)
    return b"".join((mark, tags.tobytes(_START), *pieces))
