"""Is it the very same content? A measure that compares a whole upright picture with a reference's block sketch.

Recompression, resizing and a slight blur leave a residual everywhere, in proportion to the edges and more of it in some
patterns than in others; a changed digit, name or date leaves one block, or two side by side, that stand out.  The
measure is the log likelihood ratio of the two, from how far the blocks that fit worst stand out, given how well blocks
fit in general.
"""

from __future__ import annotations

import math
from typing import Final

import cv2
import numpy as np

from workers.closer_look.block_agreement import CONTENT_ENERGY
from workers.closer_look.block_fit import explain
from workers.closer_look.block_raster import Flags, Floats, Plane, checked_plane, energy, own_raster
from workers.closer_look.block_sketch import BLANK_ENERGY, Sketch, read_sketch

NOISE_LEVELS: Final = 3.0
"""Grey levels of a coefficient: compression."""
EDGE_NOISE: Final = 0.1
"""Of a block's energy: what resampling changes."""
BLANK_NOISE: Final = 3.6
"""Grey levels of a block of which nothing is kept, beyond what may have been left out."""
FEWEST_CONTENT_BLOCKS: Final = 20
"""Content blocks from which each pattern's usual residual is their median; below, it is taken to be 1."""
USUAL: Final = (0.5, 4.0)
"""A pattern's usual squared residual, in units of the noise, is taken to lie between."""
CHI_SQUARE_MEDIAN: Final = 0.455
LIMIT: Final = math.log(30)
"""Largest log likelihood ratio either way: the pairs it was fitted on tell no more."""
MOST_USUAL: Final = 6.0
"""Misfit up to which blocks in general excuse the worst one: beyond, it is another picture."""
MOST_UNEXPLAINED: Final = 0.5
"""Of the reference's squared coefficients, beyond which it is another picture."""
SHAPE: Final = 0.05
"""Relative difference of the aspect ratios beyond which two whole pictures are not the same."""
WEIGHTS: Final = (2.526, -1.555, -0.981, 3.448, -0.093, -0.853)
"""Of 1 and the `measures`, fitted on 224 drawn pairs (``drawing.pairs``, 150 to 190 DPI, the second one
recoded), half of them with something changed.

On 168 other pairs, half of them changed, it ranks the changed one lower in 87 of 100 cases: a retouch of 1 % in 100, a
name in 92, a date in 85, a digit in 72; cards and receipts 92, A4 pages 83, where a digit is 4 pixels high.
More bytes help little: at 4 KB of entropy it is 89, at 6 KB 90, with all 63 coefficients of a block, not
rounded, 92.  94 % of the unchanged have a ratio above 0, 67 % of the changed below.
"""


def exactness(plane: Plane, sketch: bytes) -> float:
    """Return the log likelihood ratio that a picture's content is the very same as the reference's, -3.4 .. 3.4.

    Upright, whole against whole; the planes' sizes may differ.  Raises IntegrityError for bytes that are no sketch,
    ValueError for an array that is no plane.
    """
    width, height = checked_plane(plane)
    reference = read_sketch(sketch)
    if abs(math.log(width * reference.height / (height * reference.width))) > SHAPE:
        return -LIMIT
    found = measures(plane, reference)
    if found is None:
        return -LIMIT
    ratio = float(np.dot(WEIGHTS, (1.0, *found)))
    return max(-LIMIT, min(LIMIT, ratio))


def measures(plane: Plane, reference: Sketch) -> tuple[float, ...] | None:
    """Return logs of misfits: the worst block's, the middle one's, the 90th per cent's, the worst three's, the
    worst two side by side's; the middle one and the 90th per cent are over the content blocks.

    None where the picture is plainly another one.
    """
    blocks = reference.blocks
    fit = explain(own_raster(plane, blocks), reference.values, np.ones(math.prod(blocks), bool), blocks)
    if np.square(fit.residual).sum() > MOST_UNEXPLAINED * np.square(reference.values).sum():
        return None
    content = energy(reference.values) >= CONTENT_ENERGY
    misfit = _misfit(reference, fit.residual, content)
    usual = misfit[content] if content.any() else misfit
    pairs = cv2.boxFilter(misfit.reshape(blocks[1], blocks[0]), -1, (2, 1), borderType=cv2.BORDER_REFLECT)
    found = (
        float(misfit.max()),
        min(float(np.median(usual)), MOST_USUAL),
        min(float(np.percentile(usual, 90)), MOST_USUAL),
        float(np.sort(misfit)[-3:].mean()),
        float(pairs.max()),
    )
    return tuple(math.log(0.01 + value) for value in found)


def _misfit(reference: Sketch, residual: Floats, content: Flags) -> Floats:
    """Return each block's mean squared residual in units of its noise: 1 where nothing was changed."""
    noise = NOISE_LEVELS**2 + np.square(EDGE_NOISE * energy(reference.values))[:, None] + reference.rounding
    ratio = np.square(residual) / noise
    if int(content.sum()) >= FEWEST_CONTENT_BLOCKS:
        ratio[content] /= np.clip(np.median(ratio[content], axis=0) / CHI_SQUARE_MEDIAN, *USUAL)
    beyond = np.maximum(0, energy(residual) - BLANK_ENERGY) / BLANK_NOISE
    return np.where(reference.inked, ratio.mean(axis=1), np.square(beyond)).astype(np.float32)


def same_content(ratio: float, prior: float) -> float:
    """Return the probability 0..1 that the content is the very same, from its log likelihood ratio and a prior.

    Bayes' rule on the odds; raises ValueError for a prior that is not between 0 and 1.
    """
    if not 0 < prior < 1:
        raise ValueError("a prior is a probability between 0 and 1")
    return 1 / (1 + math.exp(-(ratio + math.log(prior / (1 - prior)))))


__all__ = ["LIMIT", "exactness", "measures", "same_content"]
