"""The frame in which a reference and an image are compared block by block: rasters, patterns, projections.

A plane is cut into at most 32 x 32 blocks, each 8 x 8 *raster* pixels (two pixels of a 512-pixel plane each, one of a
256-pixel plane), and every block is projected on orthonormal patterns without a mean.
"""

from __future__ import annotations

import math
import random
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

type Plane = NDArray[np.uint8]
type Floats = NDArray[np.float32]
type Flags = NDArray[np.bool_]
type Matrix = NDArray[np.float64]

LONGEST_SIDE: Final = 512
BLOCK: Final = 8
"""Raster pixels a side."""
BLOCKS_LONG: Final = 32
COARSE: Final = 3
DEEPEST: Final = 16
"""Random projections a block at most."""
BAND: Final = 6
"""Projections mix the cosine coefficients below this index: above is what resampling and compression change first."""
LARGEST_TERM: Final = 1e6
"""Of a map between planes of at most 512 pixels; beyond, nothing of one lies in the other."""
LEAST_DETAIL: Final = 0.25
"""Image pixels a raster pixel; below, a block is seen in fewer than 2 x 2 pixels."""
MOST_DETAIL: Final = 512.0
WHOLE: Final = 0.005
"""How far from a whole number of image pixels a raster pixel may be to count as one."""
FINEST: Final = 4
"""Samples a raster pixel and direction at most, where that number is not whole."""
LEAST_DEPTH: Final = 0.4
"""Of a perspective's divisor at a raster's corners, 1 at its origin: a page seen from the side has 0.6 to 1.6."""


def block_grid(width: int, height: int) -> tuple[int, int]:
    """Return the blocks across and down of a plane: 16 pixels each at 512 pixels, 8 where the long side is <= 256."""
    longest = max(width, height)
    count = min(BLOCKS_LONG, max(1, longest // BLOCK))
    return max(1, round(width * count / longest)), max(1, round(height * count / longest))


@lru_cache(maxsize=1)
def basis() -> Floats:
    """Return the orthonormal patterns, 64 x (COARSE + DEEPEST), all of mean 0; the same on every machine."""
    index = np.arange(BLOCK)
    cosine = np.cos(np.pi * (index[:, None] + 0.5) * index[None, :] / BLOCK) * math.sqrt(2 / BLOCK)
    cosine[:, 0] = math.sqrt(1 / BLOCK)
    low = [(0, 1), (1, 0), (1, 1)]
    band = [(u, v) for u in range(BAND) for v in range(BAND) if (u, v) != (0, 0) and (u, v) not in low]
    signs = random.Random("block sketch 1")  # noqa: S311  (a fixed draw, nothing secret)
    mixed = _orthonormal(np.array([[signs.choice((-1.0, 1.0)) for _ in band] for _ in range(DEEPEST)]))
    pattern = {at: np.outer(cosine[:, at[0]], cosine[:, at[1]]).ravel() for at in (*low, *band)}
    fine = np.stack([pattern[at] for at in band], axis=1) @ mixed.T
    return np.ascontiguousarray(np.concatenate((np.stack([pattern[at] for at in low], axis=1), fine), 1), np.float32)


def _orthonormal(rows: Matrix) -> Matrix:
    """Gram and Schmidt, row by row: unlike a library's QR, the signs are nobody's choice."""
    done = np.zeros_like(rows)
    for number, row in enumerate(rows):
        left = row - done[:number].T @ (done[:number] @ row)
        done[number] = left / np.linalg.norm(left)
    return done


def checked_plane(plane: Plane) -> tuple[int, int]:
    """Return width and height; raises ValueError for anything but H x W uint8 with sides of 1..512."""
    if plane.dtype != np.uint8 or plane.ndim != 2 or min(plane.shape) == 0 or max(plane.shape) > LONGEST_SIDE:
        raise ValueError("a plane is H x W uint8 with sides of 1 to 512 pixels")
    return plane.shape[1], plane.shape[0]


def own_raster(plane: Plane, blocks: tuple[int, int]) -> Floats:
    """Average a whole plane into a raster of ``blocks`` (across, down), with one more pixel on every side."""
    size = (blocks[0] * BLOCK, blocks[1] * BLOCK)
    shrinking = plane.shape[1] >= size[0] and plane.shape[0] >= size[1]
    method = cv2.INTER_AREA if shrinking else cv2.INTER_LINEAR
    raster = cv2.resize(plane.astype(np.float32), size, interpolation=method)
    return np.asarray(cv2.copyMakeBorder(raster, 1, 1, 1, 1, cv2.BORDER_REPLICATE), np.float32)


@dataclass(frozen=True, slots=True, kw_only=True)
class Placed:
    """What an image shows at a reference's place: its raster, with a margin, and which blocks lie inside the image.

    ``matrix`` (3 x 3) maps raster pixels to image pixels, ``detail`` is image pixels a raster pixel.
    """

    raster: Floats
    inside: Flags
    matrix: Matrix
    detail: float


def raster_matrix(matrix: Matrix, size: tuple[int, int], blocks: tuple[int, int]) -> Matrix:
    """Turn a map (2 x 3) from the reference's plane (of ``size``) into one (3 x 3) from its raster.

    Centres of pixels are whole numbers in either.
    """
    across, down = (side / (count * BLOCK) for side, count in zip(size, blocks, strict=True))
    scale = np.array([[across, 0, across / 2 - 0.5], [0, down, down / 2 - 0.5], [0, 0, 1]])
    return np.vstack((matrix @ scale, (0.0, 0.0, 1.0)))


def place(plane: Plane, matrix: Matrix, blocks: tuple[int, int], *, margin: int = 1) -> Placed | None:
    """Warp an image's plane into a raster; ``matrix`` (3 x 3, its last number 1) maps raster pixels to plane pixels.

    The raster has ``margin`` more pixels on every side.  None where the map is so flat, small, large or slanting that
    no block can be compared.
    """
    size = blocks[0] * BLOCK, blocks[1] * BLOCK
    if not np.abs(matrix).max() <= LARGEST_TERM or _least_depth(matrix, size) < LEAST_DEPTH:
        return None
    detail = float(np.linalg.svd(_slope(matrix, size), compute_uv=False)[-1])
    if not LEAST_DETAIL <= detail <= MOST_DETAIL:
        return None
    height, width = plane.shape
    samples = _samples(detail)
    factor = 1 if samples > 1 else min(round(detail) or 1, height, width)
    source, onto = plane, matrix
    if factor > 1:  # a whole number: the fast way through OpenCV
        cut, smaller = plane[: height - height % factor, : width - width % factor], (width // factor, height // factor)
        source = np.asarray(cv2.resize(cut, smaller, interpolation=cv2.INTER_AREA), np.uint8)
        onto = _scaling(1 / factor) @ matrix
    shown = size[0] + 2 * margin, size[1] + 2 * margin
    onto = onto @ np.array([[1, 0, -margin], [0, 1, -margin], [0, 0, 1]]) @ _scaling(1 / samples)
    affine = matrix[2, 0] == matrix[2, 1] == 0
    warped = cv2.warpAffine if affine else cv2.warpPerspective
    raster = warped(
        source,
        onto[:2] if affine else onto,
        (shown[0] * samples, shown[1] * samples),
        flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
        borderMode=cv2.BORDER_REPLICATE,
    ).astype(np.float32)
    if samples > 1:
        raster = np.asarray(cv2.resize(raster, shown, interpolation=cv2.INTER_AREA), np.float32)
    inside = _inside(matrix, blocks, (width, height))
    return Placed(raster=raster, inside=inside, matrix=matrix, detail=detail)


def _samples(detail: float) -> int:
    """Return how many samples a raster pixel is averaged from in each direction, 1 where the plane is averaged before.

    A reference's own raster is averaged over areas.  At 1.9 pixels a raster pixel (a plane of 480) averaging the plane
    by 2 before the warp blurs thin lines so much that a drawing did not agree with itself in one block of fifteen.
    """
    if detail <= 1 + WHOLE or detail > FINEST or abs(detail - round(detail)) <= WHOLE:
        return 1
    return math.ceil(detail)


def _scaling(factor: float) -> Matrix:
    """Return the map (3 x 3) of a grid onto one with ``factor`` times the pixels; centres are whole numbers."""
    shift = factor / 2 - 0.5
    return np.array([[factor, 0, shift], [0, factor, shift], [0, 0, 1]])


def _least_depth(matrix: Matrix, size: tuple[int, int]) -> float:
    """Return the least of the perspective's divisors at a raster's corners: 1 everywhere for an affine map."""
    return float(min(matrix[2] @ (x, y, 1) for x in (0, size[0]) for y in (0, size[1])))


def _slope(matrix: Matrix, size: tuple[int, int]) -> Matrix:
    """Return the map's derivative (2 x 2) at the middle of a raster."""
    across, down, depth = matrix @ (size[0] / 2, size[1] / 2, 1)
    point = np.array([[across / depth], [down / depth]])
    return np.asarray((matrix[:2, :2] - point * matrix[2, :2]) / depth, np.float64)


def _inside(matrix: Matrix, blocks: tuple[int, int], size: tuple[int, int]) -> Flags:
    """Tell which blocks lie inside the image with all four corners (half a raster pixel may stick out)."""
    edges = [np.arange(count + 1) * BLOCK - 0.5 for count in blocks]
    x, y = np.meshgrid(*edges)
    slack = 0.5 * float(np.abs(matrix[:2, :2]).max()) + 0.5
    corner = np.ones(x.shape, bool)
    depth = matrix[2, 0] * x + matrix[2, 1] * y + matrix[2, 2]
    for row, side in zip(matrix, size, strict=False):
        at = (row[0] * x + row[1] * y + row[2]) / depth
        corner &= (at >= -slack) & (at <= side - 1 + slack)
    return np.asarray((corner[:-1, :-1] & corner[1:, :-1] & corner[:-1, 1:] & corner[1:, 1:]).ravel())


def blocked(raster: Floats) -> Floats:
    """Cut a raster into blocks x 64."""
    down, across = raster.shape[0] // BLOCK, raster.shape[1] // BLOCK
    return raster.reshape(down, BLOCK, across, BLOCK).swapaxes(1, 2).reshape(down * across, BLOCK * BLOCK)


def sketched(values: Floats, blocks: tuple[int, int]) -> Floats:
    """Return the raster that has these coefficients (blocks x patterns) and no others: every block's mean is 0."""
    pixels = values @ basis()[:, : values.shape[1]].T
    across, down = blocks
    raster = pixels.reshape(down, across, BLOCK, BLOCK).swapaxes(1, 2).reshape(down * BLOCK, across * BLOCK)
    return np.ascontiguousarray(raster, np.float32)


def project(raster: Floats, patterns: int) -> Floats:
    """Return a raster's coefficients, blocks x ``patterns``; the raster has no extra border."""
    return np.asarray(blocked(raster) @ basis()[:, :patterns], np.float32)


def energy(values: Floats) -> Floats:
    """Return the root mean square of each block's coefficients, in grey levels."""
    return np.asarray(np.sqrt(np.mean(np.square(values), axis=1)), np.float32)
