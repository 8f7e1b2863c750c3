"""What the inside of a match looks like, without keeping the picture: a signature of a reference's blocks.

Geometry alone does not tell a copy from another form of the same template: both put the same corners in the same
places.  What differs is inside.  A sketch keeps of every block of a reference's plane that is not blank three coarse
cosine coefficients and as many random projections of the finer ones as fit (Johnson and Lindenstrauss, 1984), in whole
steps.  No block's mean is kept, and far fewer numbers than pixels.
"""

from __future__ import annotations

import math
import struct
import zlib
from dataclasses import dataclass
from typing import Final

import numpy as np

from shared.errors import IntegrityError
from workers.closer_look.block_agreement import CONTENT_ENERGY, NOTHING_COMPARABLE, Agreement, agreement
from workers.closer_look.block_fit import NOISE, Fit, explain
from workers.closer_look.block_raster import (
    BLOCK,
    COARSE,
    DEEPEST,
    LARGEST_TERM,
    LONGEST_SIDE,
    Flags,
    Floats,
    Matrix,
    Placed,
    Plane,
    block_grid,
    checked_plane,
    energy,
    own_raster,
    place,
    project,
    raster_matrix,
)
from workers.closer_look.block_search import REACH, WINDOWS, search
from workers.closer_look.moire import without_waves

LARGEST_SKETCH: Final = 2_500
"""Bytes, header included, but for pictures that are detail all over (noise, foliage): see ``MOST_BYTES``."""
MOST_BYTES: Final = 3_300
"""Bytes of three coefficients of 1,024 blocks that no coding makes shorter."""
DEPTHS: Final = (DEEPEST, 12, 10, 8, 6, 5, 4, 3, 2, 1, 0)
STEP: Final = 4.0
"""Grey levels of an orthonormal coefficient's first step."""
WIDENING: Final = 60
"""Steps after which a step is twice as wide, as is the noise at edges; the largest coefficient takes 125."""
BLANK_ENERGY: Final = 5.0
"""Grey levels (root mean square of a block's coefficients) below which nothing is kept of it."""
FORMAT: Final = 1
FEWEST_BLOCKS: Final = 4
FINE_DETAIL: Final = 0.5
REWARP_SHIFT: Final = 0.5
"""Raster pixels of residual warp beyond which the image is warped once more."""
FARTHEST_WARP: Final = 32.0
"""Raster pixels of residual warp beyond which it is not believed."""
MISPLACED: Final = 0.15
"""Of the middle block's squared coefficients left unexplained, from which the image is put in place by a search."""
WARPS: Final = 6
LEAST_GAIN: Final = 0.002
"""Of what is left unexplained, under which the image is warped no further."""

_HEADER: Final = struct.Struct("<2sBBHH")
_MAGIC: Final = b"BS"


@dataclass(frozen=True, slots=True, kw_only=True)
class Sketch:
    """A sketch taken apart: ``values`` are blocks x (3 + depth) coefficients in grey levels, 0 where blank."""

    width: int
    height: int
    values: Floats

    @property
    def inked(self) -> Flags:
        """The blocks of which anything is kept; the others' coefficients are under ``BLANK_ENERGY`` (mean square)."""
        return np.asarray(self.values.any(axis=1))

    @property
    def rounding(self) -> Floats:
        """Variance of what rounding did to each coefficient, in square grey levels."""
        return np.asarray(np.square(_widths(self.values)) / 12, np.float32)

    @property
    def blocks(self) -> tuple[int, int]:
        """Blocks across and down."""
        return block_grid(self.width, self.height)


def make_sketch(plane: Plane) -> bytes:
    """Return the sketch of a grey plane (H x W uint8, sides 1..512), at most ``MOST_BYTES`` long."""
    width, height = checked_plane(plane)
    values = project(own_raster(plane, block_grid(width, height))[1:-1, 1:-1], COARSE + DEEPEST)
    steps = (np.sign(values) * np.rint(WIDENING * (_widths(values) / STEP - 1))).astype(np.int8)
    coarse = energy(values[:, :COARSE])
    packed = b""
    for depth in DEPTHS:
        inked = np.maximum(coarse, energy(values[:, : COARSE + depth])) >= BLANK_ENERGY
        payload = np.packbits(inked).tobytes() + steps[inked, : COARSE + depth].T.tobytes()
        packed = _HEADER.pack(_MAGIC, FORMAT, depth, width, height) + _deflate(payload)
        if len(packed) <= LARGEST_SKETCH:
            break
    return packed


def _widths(values: Floats) -> Floats:
    """Return how wide the steps are at these coefficients, in grey levels."""
    return np.asarray(STEP * np.sqrt(1 + 2 * np.abs(values) / (WIDENING * STEP)), np.float32)


def _deflate(payload: bytes) -> bytes:
    packers = (zlib.compressobj(9, strategy=strategy) for strategy in (zlib.Z_DEFAULT_STRATEGY, zlib.Z_HUFFMAN_ONLY))
    return min((packer.compress(payload) + packer.flush() for packer in packers), key=len)


def read_sketch(sketch: bytes) -> Sketch:
    """Take a sketch apart; raises IntegrityError for anything ``make_sketch`` does not write."""
    if not _HEADER.size < len(sketch) <= MOST_BYTES:
        raise IntegrityError("A block sketch has the wrong length.")
    magic, version, depth, width, height = _HEADER.unpack_from(sketch)
    known = (magic, version) == (_MAGIC, FORMAT) and depth in DEPTHS
    if not known or not (1 <= width <= LONGEST_SIDE and 1 <= height <= LONGEST_SIDE):
        raise IntegrityError("This is not a block sketch of a known format.")
    across, down = block_grid(width, height)
    blocks, patterns = across * down, COARSE + depth
    flags = -(-blocks // 8)
    payload = _inflate(sketch[_HEADER.size :], flags + blocks * patterns)
    inked = np.unpackbits(np.frombuffer(payload[:flags], np.uint8), count=blocks).astype(bool)
    if len(payload) != flags + patterns * int(inked.sum()):
        raise IntegrityError("A block sketch does not hold the blocks it announces.")
    values = np.zeros((blocks, patterns), np.float32)
    steps = np.frombuffer(payload[flags:], np.int8).reshape(patterns, -1).T.astype(np.float32)
    values[inked] = STEP * steps * (1 + np.abs(steps) / (2 * WIDENING))
    return Sketch(width=width, height=height, values=values)


def _inflate(packed: bytes, limit: int) -> bytes:
    unpacker = zlib.decompressobj()
    try:
        payload = unpacker.decompress(packed, limit + 1)
    except zlib.error as error:
        raise IntegrityError("A block sketch is damaged.") from error
    if not unpacker.eof or unpacker.unused_data or len(payload) > limit:
        raise IntegrityError("A block sketch is damaged.")
    return payload


def compare(plane: Plane, sketch: bytes, matrix: Matrix) -> Agreement:
    """Compare what an image shows at the place of a reference with the reference.

    ``matrix`` (2 x 3) maps pixels of the reference's plane to pixels of the image's.  Where nothing can be compared (a
    matrix that is not finite or leaves no pixels of the reference, a place outside) ``comparable`` is 0.  Raises
    IntegrityError for bytes that are no sketch and ValueError for arrays of other shapes.
    """
    checked_plane(plane)
    if matrix.shape != (2, 3):
        raise ValueError("a transform is a 2 x 3 matrix")
    reference = read_sketch(sketch)
    blocks = reference.blocks
    if not np.abs(matrix).max() <= LARGEST_TERM:  # not a number is not either
        return NOTHING_COMPARABLE
    start = raster_matrix(matrix, (reference.width, reference.height), blocks)
    placed = _placed(plane, start, blocks)
    if placed is None:
        return NOTHING_COMPARABLE
    fine = placed.detail >= FINE_DETAIL
    values = reference.values if fine else reference.values[:, :COARSE]
    placed, fit = _aligned(plane, placed, values, blocks)
    return agreement(values, fit, placed.inside, blocks, fine=fine)


def _aligned(plane: Plane, placed: Placed, values: Floats, blocks: tuple[int, int]) -> tuple[Placed, Fit]:
    """Put the image where the reference explains it best.

    A photograph of a screen is freed of its waves and put in place by a search.
    """
    start = placed.matrix
    placed, fit = _refined(plane, placed, values, blocks)
    if _agrees(values, fit, placed.inside):
        return placed, fit
    calm = without_waves(plane)
    again = None if calm is None else _placed(calm, start, blocks)
    if calm is not None and again is not None:
        better, fitted = _refined(calm, again, values, blocks)
        if _left_over(values, fitted, better.inside) < _left_over(values, fit, placed.inside):
            plane, placed, fit = calm, better, fitted
    for step in WINDOWS:
        if _agrees(values, fit, placed.inside):
            break
        wide = place(plane, placed.matrix, blocks, margin=step * REACH)
        way = None if wide is None else search(wide.raster, values, wide.inside, blocks, step=step)
        found = None if way is None else _placed(plane, _in_front(placed.matrix, way), blocks)
        if found is not None:
            better, fitted = _refined(plane, found, values, blocks)
            if _left_over(values, fitted, better.inside) < _left_over(values, fit, placed.inside):
                placed, fit = better, fitted
    return placed, fit


def _refined(plane: Plane, placed: Placed, values: Floats, blocks: tuple[int, int]) -> tuple[Placed, Fit]:
    """Warp the image as long as that helps: blocks that lie right already pull the rest into perspective."""
    fit = explain(placed.raster, values, placed.inside, blocks)
    for _ in range(WARPS):
        if not REWARP_SHIFT < _farthest(fit.warp, blocks) < FARTHEST_WARP:
            break
        moved = _placed(plane, _in_front(placed.matrix, fit.warp), blocks)
        again = moved and explain(moved.raster, values, moved.inside, blocks)
        if not moved or not again:
            break
        gained = _left_over(values, fit, placed.inside) - _left_over(values, again, moved.inside)
        if gained > 0:
            placed, fit = moved, again
        if gained < LEAST_GAIN:
            break
    return placed, fit


def _agrees(values: Floats, fit: Fit, inside: Flags) -> bool:
    """Tell whether most blocks that show something are explained: what else differs is then no matter of place."""
    left, own = (np.square(part[inside]).mean(axis=1) for part in (fit.local, values))
    showing = own >= CONTENT_ENERGY**2
    return not showing.any() or float(np.median(left[showing] / own[showing])) < MISPLACED


def _placed(plane: Plane, matrix: Matrix, blocks: tuple[int, int]) -> Placed | None:
    placed = place(plane, matrix, blocks)
    return placed if placed is not None and int(placed.inside.sum()) >= FEWEST_BLOCKS else None


def _in_front(matrix: Matrix, warp: Matrix) -> Matrix:
    joined = matrix @ warp
    return np.asarray(joined / joined[2, 2], np.float64)


def _farthest(warp: Matrix, blocks: tuple[int, int]) -> float:
    """Return how far a warp moves a raster's corners, in raster pixels."""
    width, height = (count * BLOCK for count in blocks)
    corners = np.array([(0, 0, 1), (width, 0, 1), (0, height, 1), (width, height, 1)], np.float64).T
    at = warp @ corners
    return float(np.abs(at[:2] / at[2] - corners[:2]).max()) if np.abs(at[2]).min() > 0 else math.inf


def _left_over(values: Floats, fit: Fit, inside: Flags) -> float:
    """Return how much of the blocks is unexplained, 0..1, each counting for 1 at the most."""
    left, own = (np.square(part[inside]).mean(axis=1) for part in (fit.local, values))
    return float(np.mean(left / (left + own + NOISE**2)))


__all__ = [
    "LARGEST_SKETCH",
    "MOST_BYTES",
    "NOTHING_COMPARABLE",
    "Agreement",
    "Sketch",
    "compare",
    "make_sketch",
    "read_sketch",
]
