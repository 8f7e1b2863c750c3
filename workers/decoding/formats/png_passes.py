"""An interlaced PNG reduced pass by pass, so that a picture of any size is held in a few megabytes (W3C PNG, 8.2).

Its seven passes are pictures of their own, each with some of the pixels of the whole, all over it.  What is held is the
sum of every block: when the last pass was added it is that of all its pixels, as if the picture had come at once.  The
first passes alone would be a smaller picture too, but one of single pixels: fine patterns come out as others.
Runs in the sandbox.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from workers.decoding.formats.png_strips import PngLayout, PngStream, pass_strips
from workers.decoding.pixels import reducible

PASS_PIXELS: Final = 1 << 18
"""Of a strip of a pass."""
LARGEST_SUMS: Final = 8 << 20
"""Blocks by channels whose sums are held, at 4 bytes each; a picture with more is decoded whole."""

_SUMMED: Final = {"RGBA": "RGBa", "LA": "La"}
"""Modes that average correctly only where each colour counts as much as it covers."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Pass:
    """The first pixel at column ``left`` of row ``top``, and how far it is to the next ``across`` and ``down``."""

    left: int
    top: int
    across: int
    down: int

    def layout(self, whole: PngLayout) -> PngLayout:
        """Return the layout of the picture that the pass is."""
        width = max(0, -(-(whole.width - self.left) // self.across))
        height = max(0, -(-(whole.height - self.top) // self.down))
        return replace(whole, width=width, height=height)


PASSES: Final = (
    _Pass(left=0, top=0, across=8, down=8),
    _Pass(left=4, top=0, across=8, down=8),
    _Pass(left=0, top=4, across=4, down=8),
    _Pass(left=2, top=0, across=4, down=4),
    _Pass(left=0, top=2, across=2, down=4),
    _Pass(left=1, top=0, across=2, down=2),
    _Pass(left=0, top=1, across=1, down=2),
)


def reduced_by_passes(image: Image.Image, data: bytes, layout: PngLayout, scale: tuple[int, int]) -> Image.Image | None:
    """Return an interlaced picture that Pillow opened, ``scale`` = (across, down) of its pixels as one.

    None where there would be too many blocks; raises OSError, ValueError and zlib.error.
    """
    size = (-(-layout.width // scale[0]), -(-layout.height // scale[1]))
    if size[0] * size[1] * 4 > LARGEST_SUMS:
        return None
    passes = [(each, each.layout(layout)) for each in PASSES]
    stream = PngStream(data, layout.first, sum(part.stored_bytes for _, part in passes))
    sums = _Sums(size, scale)
    for each, part in passes:
        if not part.width or not part.height:
            continue
        rows = max(1, PASS_PIXELS // part.width)
        columns = (each.left + each.across * np.arange(part.width)) // scale[0]
        top = each.top
        for strip in pass_strips(image, part, stream, rows):
            lines = (top + each.down * np.arange(strip.height)) // scale[1]
            sums.add(reducible(strip), lines, columns)
            top += each.down * strip.height
    return sums.means(layout.width, layout.height)


class _Sums:
    """The sum of each block's pixels."""

    def __init__(self, size: tuple[int, int], scale: tuple[int, int]) -> None:
        self._size = size
        self._scale = scale
        self._mode = ""
        self._sums = np.zeros((0, 0, 0), np.uint32)

    def add(self, strip: Image.Image, lines: NDArray[np.intp], columns: NDArray[np.intp]) -> None:
        """Add pixels; the block of each is at its row's place in ``lines`` and its column's in ``columns``."""
        if not self._mode:
            self._mode = strip.mode
            self._sums = np.zeros((*self._size[::-1], len(strip.getbands())), np.uint32)
        shown = strip.convert(_SUMMED[strip.mode]) if strip.mode in _SUMMED else strip
        pixels = np.asarray(shown).reshape(shown.height, shown.width, -1)
        right, down = _firsts(columns), _firsts(lines)
        by_column = np.add.reduceat(pixels, right, axis=1, dtype=np.uint32)
        self._sums[np.ix_(lines[down], columns[right])] += np.add.reduceat(by_column, down, axis=0)

    def means(self, width: int, height: int) -> Image.Image:
        """Return the blocks' means, of a picture of that many pixels."""
        across, down = (
            np.minimum(factor, length - factor * np.arange(-(-length // factor), dtype=np.uint32))
            for length, factor in zip((width, height), self._scale, strict=True)
        )
        counts = (down[:, None] * across[None, :])[..., None].astype(np.uint32)
        self._sums += counts // 2
        self._sums //= counts
        mode = _SUMMED.get(self._mode, self._mode)
        return Image.frombytes(mode, self._size, self._sums.astype(np.uint8).tobytes()).convert(self._mode)


def _firsts(blocks: NDArray[np.intp]) -> NDArray[np.intp]:
    """Return where another block begins; ``blocks`` ascends."""
    return np.flatnonzero(np.diff(blocks, prepend=-1))
