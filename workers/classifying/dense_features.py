"""What a classifier sees beside the encoder's vector: gradients on a grid, oriented edges, texture, colours and shape.

*Words*: RootSIFT on a regular grid (Arandjelovic and Zisserman, CVPR 2012) aggregated as VLAD over a small codebook
(Jegou et al., CVPR 2010), signed square roots, L2.  *Texture*: local ternary patterns at two radii (Tan and Triggs,
IEEE TIP 19(6), 2010), which tell print from handwriting and screens from scans.  *Edges*: histograms of oriented
gradients, 8 x 8 cells of 9 directions (Dalal and Triggs, CVPR 2005).  *Colours*: a 4 x 4 x 4 histogram and the mean
and spread of 4 x 4 places.  *Shape*: the aspect ratio, softly.  All are computed where a classifier is asked and
nowhere else, from what the decode child hands out.
"""

from __future__ import annotations

from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Pixels = NDArray[np.uint8]

GRID_SIDE: Final = 256
"""Long side in pixels at which the grid is laid; at 160 half a document in 100 less is named, for half the time."""
GRID_STEP: Final = 9
PATCH_DIAMETER: Final = 4.0
"""SIFT's keypoint size: its cells are 1.5 times as wide, a patch of 4 x 4 cells covers 24 pixels."""
SMALLEST_SIDE: Final = 2 * GRID_STEP
EDGE_CELLS: Final = 8
EDGE_DIRECTIONS: Final = 9
EDGE_NOISE: Final = 50.0
"""Gradient a cell is taken to have at least: noise on a plain background is no edge."""
COLOUR_LEVELS: Final = 4
COLOUR_PLACES: Final = 4
PLACE_SHARE: Final = 0.3
"""What the places' colours weigh beside the histogram."""
TEXTURE_SIDE: Final = 320
"""Long side in pixels at which patterns are counted."""
TEXTURE_RADII: Final = (1, 3)
"""How far the neighbours lie, in pixels.

Of 20 examples a label and of 50, this and the darker neighbours name 1.3 documents in 100 more than only the lighter
ones next to each pixel, at two scales.
"""
TEXTURE_NOISE: Final = 6
"""Grey levels by which a neighbour must be lighter, or darker, to count: less is noise and what JPEG leaves."""
NEIGHBOURS: Final = ((-1, -1), (-1, 0), (-1, 1), (0, 1), (1, 1), (1, 0), (1, -1), (0, -1))
DESCRIPTOR: Final = 128
TEXTURES: Final = 2 * len(TEXTURE_RADII) << len(NEIGHBOURS)
EDGES: Final = EDGE_CELLS * EDGE_CELLS * EDGE_DIRECTIONS
SHAPE_PLACES: Final = 9
SHAPE_REACH: Final = 2.0
"""The logarithm (base 2) of the aspect ratio, from which on a picture is just a strip: 4 to 1."""
SHAPE_WIDTH: Final = 0.5
"""Of a place, in that logarithm: what is asked for may be cut otherwise than what taught.

Of 20 examples a label .8 documents in 100 more are named with the shape, of 50 .3; where the ratios of what is asked
for are off by a quarter, .5 and .1.
"""
COLOURS: Final = COLOUR_LEVELS**3 + COLOUR_PLACES * COLOUR_PLACES * 6

# Images share a worker's cores already; OpenCV's own threads only take them from the decoders.
cv2.setNumThreads(1)


def grid_descriptors(plane: Pixels) -> Floats:
    """Return n x 128 RootSIFT descriptors of a height x width grey picture, upright, on a grid."""
    shrunk = _resized(plane, GRID_SIDE)
    height, width = shrunk.shape
    points = [
        cv2.KeyPoint(float(x), float(y), PATCH_DIAMETER, 0.0)
        for y in range(GRID_STEP, height - GRID_STEP // 2, GRID_STEP)
        for x in range(GRID_STEP, width - GRID_STEP // 2, GRID_STEP)
    ]
    _, found = cv2.SIFT.create().compute(shrunk, points)
    described = np.asarray(found, np.float32)
    return np.asarray(np.sqrt(described / np.maximum(described.sum(axis=1, keepdims=True), 1e-9)), dtype=np.float32)


def texture(plane: Pixels) -> Floats:
    """Return the TEXTURES shares of local ternary patterns of a height x width grey picture, L2 = 1."""
    grey = _resized(plane, TEXTURE_SIDE).astype(np.int16)
    return _unit(np.sqrt(np.concatenate([_patterns(grey, radius) for radius in TEXTURE_RADII])))


def _patterns(grey: NDArray[np.int16], radius: int) -> NDArray[np.float64]:
    """How often which neighbours are lighter, and then how often which are darker."""
    inner = grey[radius:-radius, radius:-radius]
    light, dark = inner + TEXTURE_NOISE, inner - TEXTURE_NOISE
    height, width = inner.shape
    lighter, darker = np.zeros(inner.shape, np.uint8), np.zeros(inner.shape, np.uint8)
    for bit, (down, across) in enumerate(NEIGHBOURS):
        top, left = radius * (1 + down), radius * (1 + across)
        neighbour = grey[top : top + height, left : left + width]
        lighter |= (neighbour > light).view(np.uint8) << bit
        darker |= (neighbour < dark).view(np.uint8) << bit
    counts = [np.bincount(codes.ravel(), minlength=1 << len(NEIGHBOURS)) for codes in (lighter, darker)]
    return np.concatenate(counts) / inner.size


def _resized(plane: Pixels, side: int) -> Pixels:
    height, width = plane.shape
    scale = side / max(height, width)
    size = (max(SMALLEST_SIDE, round(width * scale)), max(SMALLEST_SIDE, round(height * scale)))
    return np.asarray(
        cv2.resize(plane, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR), np.uint8
    )


def shape(plane: Pixels) -> Floats:
    """Return how near a picture's aspect ratio is to each of SHAPE_PLACES, from upright to lying strips, L2 = 1."""
    height, width = plane.shape
    ratio = np.clip(np.log2(width / height), -SHAPE_REACH, SHAPE_REACH)
    places = np.linspace(-SHAPE_REACH, SHAPE_REACH, SHAPE_PLACES)
    return _unit(np.exp(-(((ratio - places) / SHAPE_WIDTH) ** 2)))


def edges(pixels: Pixels) -> Floats:
    """Return the EDGES oriented gradients of a side x side x 3 RGB picture, L2 = 1."""
    grey = cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY).astype(np.float32)
    across, down = (cv2.Sobel(grey, cv2.CV_32F, *axis, ksize=1) for axis in ((1, 0), (0, 1)))
    strength = np.hypot(across, down)
    direction = (np.arctan2(down, across) % np.pi) / np.pi * EDGE_DIRECTIONS
    lower = np.floor(direction)
    share = direction - lower
    bins = lower.astype(np.intp) % EDGE_DIRECTIONS
    side = len(grey)
    cell = np.arange(side) * EDGE_CELLS // side
    place = (cell[:, None] * EDGE_CELLS + cell) * EDGE_DIRECTIONS
    histogram = np.bincount((place + bins).ravel(), (strength * (1 - share)).ravel(), EDGES)
    histogram += np.bincount((place + (bins + 1) % EDGE_DIRECTIONS).ravel(), (strength * share).ravel(), EDGES)
    cells = histogram.reshape(EDGE_CELLS, EDGE_CELLS, EDGE_DIRECTIONS)
    around = cv2.blur((cells**2).sum(axis=2), (3, 3), borderType=cv2.BORDER_REPLICATE)
    around = np.sqrt(np.maximum(around, 0.0))  # the blur's running sums round below 0
    return _unit(np.sqrt(cells / (around[..., None] + EDGE_NOISE)).ravel())


def colours(pixels: Pixels) -> Floats:
    """Return the COLOURS of a side x side x 3 RGB picture (``side`` a multiple of 4), L2 = 1."""
    levels = (pixels >> 6).astype(np.intp)
    index = (levels[..., 0] * COLOUR_LEVELS + levels[..., 1]) * COLOUR_LEVELS + levels[..., 2]
    shares = np.bincount(index.ravel(), minlength=COLOUR_LEVELS**3) / index.size
    side = len(pixels) // COLOUR_PLACES
    places = pixels.reshape(COLOUR_PLACES, side, COLOUR_PLACES, side, 3).astype(np.float32) / 255
    means, spreads = places.mean(axis=(1, 3)) - 0.5, places.std(axis=(1, 3))
    return _unit(np.concatenate([np.sqrt(shares), PLACE_SHARE * means.ravel(), PLACE_SHARE * spreads.ravel()]))


def aggregate(descriptors: Floats, centres: Floats) -> Floats:
    """Return the VLAD of n x d descriptors over k x d ``centres``: k * d values, L2 = 1 (0 of none)."""
    nearest = ((centres**2).sum(axis=1) - 2 * descriptors @ centres.T).argmin(axis=1)
    belongs = (nearest[:, None] == np.arange(len(centres))).astype(np.float32)
    residuals = belongs.T @ descriptors - belongs.sum(axis=0)[:, None] * centres
    return _unit((np.sign(residuals) * np.sqrt(np.abs(residuals))).ravel())


def _unit(vector: NDArray[np.floating]) -> Floats:
    return np.asarray(vector / max(float(np.linalg.norm(vector)), 1e-9), dtype=np.float32)
