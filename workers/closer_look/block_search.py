"""Where a reference's neighbourhoods of blocks lie in an image that an affine transform puts only roughly in place.

A sketch turned back into pixels (each block without its mean) is slid over the image, window by window; a homography
through the places found is where a finer fit can start.  This is what a photograph of a page or a screen needs.
"""

from __future__ import annotations

from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from workers.closer_look.block_raster import BLOCK, Flags, Floats, Matrix, energy, sketched

REACH: Final = 12
"""Pixels that a window is looked for around its place."""
WINDOWS: Final = {1: 4, 2: 6}
"""Blocks a side, by the raster pixels a pixel of the search: coarsely, letters blur, but where they lie does not."""
MOST_WINDOWS: Final = 40
FEWEST_WINDOWS: Final = 8
LEAST_CORRELATION: Final = 0.35
TOLERANCE: Final = 2.0
"""Pixels between a window's place and where the homography puts it."""


def search(raster: Floats, values: Floats, inside: Flags, blocks: tuple[int, int], *, step: int = 1) -> Matrix | None:
    """Return the homography (3 x 3) from the reference's raster to the image's, or None where windows do not agree.

    ``raster`` has ``step * REACH`` more pixels on every side, ``values`` are the reference's (blocks x patterns).
    """
    window = WINDOWS[step]
    if min(blocks) < window:
        return None
    picture = _reduced(sketched(values, blocks), step)
    sharpened = _reduced(raster - cv2.blur(raster, (BLOCK, BLOCK)), step)
    block, side = BLOCK // step, window * BLOCK // step
    places, found = [], []
    for y, x in _windows(energy(values) * inside, blocks, window):
        top, left = y * block, x * block
        around = sharpened[top : top + side + 2 * REACH, left : left + side + 2 * REACH]
        match = cv2.matchTemplate(around, picture[top : top + side, left : left + side], cv2.TM_CCORR_NORMED)
        _, best, _, at = cv2.minMaxLoc(match)
        if best >= LEAST_CORRELATION:
            middle = np.array((left, top)) * step + (window * BLOCK - 1) / 2
            places.append(middle)
            found.append(middle + (np.array(at) - REACH) * step)
    if len(places) < FEWEST_WINDOWS:
        return None
    cv2.setRNGSeed(1)
    estimated, agreeing = cv2.findHomography(np.array(places), np.array(found), cv2.RANSAC, step * TOLERANCE)
    matrix: Matrix = np.asarray(estimated, np.float64)
    if matrix.shape != (3, 3) or int(agreeing.sum()) < FEWEST_WINDOWS:  # where there is none, it is None
        return None
    return matrix


def _reduced(raster: Floats, step: int) -> Floats:
    if step == 1:
        return raster
    smaller = cv2.resize(raster, None, fx=1 / step, fy=1 / step, interpolation=cv2.INTER_AREA)
    return np.asarray(smaller, np.float32)


def _windows(strength: Floats, blocks: tuple[int, int], window: int) -> NDArray[np.intp]:
    """Return the rows and columns of the windows that show most, n x 2; they overlap by half."""
    field = strength.reshape(blocks[1], blocks[0]).astype(np.float32)
    sums = cv2.boxFilter(np.minimum(field, 40), -1, (window, window), anchor=(0, 0), normalize=False)
    step = window // 2
    rows, columns = (np.arange(0, count - window + 1, step) for count in (blocks[1], blocks[0]))
    grid = np.stack(np.meshgrid(rows, columns, indexing="ij"), axis=-1).reshape(-1, 2)
    order = np.argsort(-sums[grid[:, 0], grid[:, 1]], kind="stable")[:MOST_WINDOWS]
    return np.asarray(grid[order], np.intp)
