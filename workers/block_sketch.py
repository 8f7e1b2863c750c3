"""What the inside of a match looks like, without keeping the picture: a signature of a reference's blocks.

Geometry alone does not tell a copy from another form of the same template: both put the same corners in the same
places.  What differs is inside.  A sketch keeps of every block of a reference's plane that is not blank three coarse
cosine coefficients and as many random projections of the finer ones as fit (Johnson and Lindenstrauss, 1984), in whole
steps.  No block's mean is kept, and far fewer numbers than pixels.
"""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass
from typing import Final

import numpy as np

from shared.errors import IntegrityError
from workers.block_fit import NOISE, Fit, explain
from workers.block_raster import (
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

LARGEST_SKETCH: Final = 2_500
"""Bytes, header included."""
DEPTHS: Final = (DEEPEST, 12, 10, 8, 6, 5, 4, 3, 2, 1, 0)
STEP: Final = 4.0
"""Grey levels of an orthonormal coefficient's first step; the twentieth is twice as wide, as is the noise at edges."""
BLANK_ENERGY: Final = 5.0
"""Grey levels (root mean square of a block's coefficients) below which nothing is kept of it."""
CONTENT_ENERGY: Final = 10.0
"""Grey levels from which a block is content."""
FORMAT: Final = 1
FEWEST_BLOCKS: Final = 4
FINE_DETAIL: Final = 0.5
REWARP_SHIFT: Final = 0.5
"""Raster pixels of residual warp beyond which the image is warped once more."""
LEAST_CONTRAST: Final = 0.05
"""Of the reference against the image's; below, the reference is as good as blank."""
AGREES: Final = 0.8
DIFFERS: Final = 0.3

_HEADER: Final = struct.Struct("<2sBBHH")
_MAGIC: Final = b"BS"


@dataclass(frozen=True, slots=True, kw_only=True)
class Sketch:
    """A sketch taken apart: ``values`` are blocks x (3 + depth) coefficients in grey levels, 0 where blank."""

    width: int
    height: int
    values: Floats

    @property
    def blocks(self) -> tuple[int, int]:
        """Blocks across and down."""
        return block_grid(self.width, self.height)


@dataclass(frozen=True, slots=True, kw_only=True)
class Agreement:
    """How far the inside of a match looks like the reference.

    ``comparable`` blocks lie inside the image, in enough pixels; ``content`` of them show something on either side.
    ``share``: of the comparable blocks that agree (two blank ones do), ``content_share`` of the content blocks,
    ``differing`` of the content blocks that show something else altogether; all 0..1, and 1, 1, 0 where there are none.
    ``likeness`` is the median over the content blocks, -1..1.  ``spread``: where the blocks that differ lie, 0 (one
    compact patch, as an emoji or a caption) to 1 (all over).  ``gain`` is the reference's contrast over the image's,
    negative where inverted.  ``fine``: whether the projections took part; an image that shows the reference at less
    than half the raster's resolution is compared by the coarse coefficients alone.
    """

    comparable: int
    content: int
    share: float
    content_share: float
    differing: float
    likeness: float
    spread: float
    gain: float
    fine: bool


NOTHING_COMPARABLE: Final = Agreement(
    comparable=0,
    content=0,
    share=1.0,
    content_share=1.0,
    differing=0.0,
    likeness=0.0,
    spread=0.0,
    gain=1.0,
    fine=False,
)


def make_sketch(plane: Plane) -> bytes:
    """Return the sketch of a grey plane (H x W uint8, sides 1..512), at most ``LARGEST_SKETCH`` bytes."""
    width, height = checked_plane(plane)
    values = project(own_raster(plane, block_grid(width, height))[1:-1, 1:-1], COARSE + DEEPEST)
    steps = (np.sign(values) * np.rint(20 * (np.sqrt(1 + np.abs(values) / (10 * STEP)) - 1))).astype(np.int8)
    coarse = energy(values[:, :COARSE])
    packed = b""
    for depth in DEPTHS:  # three coefficients of 1,024 blocks take 2,400 bytes at the most; measured below 1,900
        inked = np.maximum(coarse, energy(values[:, : COARSE + depth])) >= BLANK_ENERGY
        payload = np.packbits(inked).tobytes() + steps[inked, : COARSE + depth].T.tobytes()
        packed = _HEADER.pack(_MAGIC, FORMAT, depth, width, height) + _deflate(payload)
        if len(packed) <= LARGEST_SKETCH:
            break
    return packed


def _deflate(payload: bytes) -> bytes:
    packers = (zlib.compressobj(9, strategy=strategy) for strategy in (zlib.Z_DEFAULT_STRATEGY, zlib.Z_HUFFMAN_ONLY))
    return min((packer.compress(payload) + packer.flush() for packer in packers), key=len)


def read_sketch(sketch: bytes) -> Sketch:
    """Take a sketch apart; raises IntegrityError for anything ``make_sketch`` does not write."""
    if not _HEADER.size < len(sketch) <= LARGEST_SKETCH:
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
    values[inked] = STEP * steps * (1 + np.abs(steps) / 40)
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
    placed = _placed(plane, raster_matrix(matrix, (reference.width, reference.height), blocks), blocks)
    if placed is None:
        return NOTHING_COMPARABLE
    fine = placed.detail >= FINE_DETAIL
    values = reference.values if fine else reference.values[:, :COARSE]
    fit = explain(placed.raster, values, placed.inside, blocks)
    if REWARP_SHIFT < float(np.abs(fit.warp).sum(axis=1).max()) < BLOCK:
        moved = _placed(plane, _warped(placed.matrix, fit.warp, blocks), blocks)
        again = moved and explain(moved.raster, values, moved.inside, blocks)
        if moved and again and _left_over(again, moved.inside) < _left_over(fit, placed.inside):
            placed, fit = moved, again
    return _agreement(values, fit, placed.inside, blocks, fine=fine)


def _placed(plane: Plane, matrix: Matrix, blocks: tuple[int, int]) -> Placed | None:
    placed = place(plane, matrix, blocks)
    return placed if placed is not None and int(placed.inside.sum()) >= FEWEST_BLOCKS else None


def _warped(matrix: Matrix, warp: Matrix, blocks: tuple[int, int]) -> Matrix:
    """Put a fitted warp, given over places from -1 to 1, before a raster's map."""
    half = np.array([count * BLOCK / 2 for count in blocks])
    slope = warp[:, 1:] / half
    inner = np.eye(2, 3)
    inner[:, :2] += slope
    inner[:, 2] = warp[:, 0] - slope @ (half - 0.5)
    return np.asarray(matrix @ np.vstack((inner, (0, 0, 1))), np.float64)


def _left_over(fit: Fit, inside: Flags) -> float:
    return float(np.median(energy(fit.local)[inside]))


def _agreement(values: Floats, fit: Fit, inside: Flags, blocks: tuple[int, int], *, fine: bool) -> Agreement:
    seen = values - fit.local
    ours, theirs = np.square(values).sum(axis=1), np.square(seen).sum(axis=1)
    floor = values.shape[1] * NOISE**2
    theirs = np.maximum(theirs, np.square(fit.image).sum(axis=1) * _least_gain(values, fit, inside) ** 2)
    likeness = (2 * (values * seen).sum(axis=1) + floor) / (ours + theirs + floor)
    content = inside & (np.maximum(ours, theirs) >= values.shape[1] * CONTENT_ENERGY**2)
    agreeing, differing = ~content | (likeness >= AGREES), likeness < DIFFERS
    comparable, showing = int(inside.sum()), int(content.sum())
    return Agreement(
        comparable=comparable,
        content=showing,
        share=float(agreeing[inside].mean()),
        content_share=float(agreeing[content].mean()) if showing else 1.0,
        differing=float(differing[content].mean()) if showing else 0.0,
        likeness=float(np.median(likeness[content])) if showing else 0.0,
        spread=_spread(content & ~agreeing, content, blocks),
        gain=fit.gain,
        fine=fine,
    )


def _least_gain(values: Floats, fit: Fit, inside: Flags) -> float:
    """Return what makes the image's contrast the reference's where the fit found none in common; otherwise 0.

    A picture that explains nothing is scaled to nothing; its content must not count as blank for that.
    """
    ratio = float(energy(values[inside]).mean()) / max(1.0, float(energy(fit.image[inside]).mean()))
    return max(0.5, min(ratio, 2.0)) if abs(fit.gain) < ratio / 2 or ratio < LEAST_CONTRAST else 0.0


def _spread(differing: Flags, content: Flags, blocks: tuple[int, int]) -> float:
    """Return how far the differing blocks scatter, against the content blocks: the ratio of their mean distances."""
    if not differing.any():
        return 0.0
    y, x = np.divmod(np.arange(blocks[0] * blocks[1]), blocks[0])
    scatter = [float(np.hypot(x[flags].std(), y[flags].std())) for flags in (differing, content)]
    return min(1.0, scatter[0] / max(scatter[1], 1.0))
