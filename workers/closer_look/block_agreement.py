"""What the blocks inside a match say once the image explains the reference as far as it can."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np

from workers.closer_look.block_fit import NOISE, RELATIVE_NOISE, Fit
from workers.closer_look.block_raster import Flags, Floats, energy

CONTENT_ENERGY: Final = 10.0
"""Grey levels from which a block is content."""
LEAST_CONTRAST: Final = 0.05
"""Of the reference against the image's; below, the reference is as good as blank."""
AGREES: Final = 0.8
DIFFERS: Final = 0.3
STANDS_OUT: Final = 9.0
"""Times the usual misfit (3 times its height)."""
ROUND: Final = 2.2
"""Length over width up to which a place may be part of a disc."""
LEAST_DISC: Final = 6
"""Blocks across: a fifth of a picture."""
MOST_BLUR: Final = -1.5
"""Of the fit's: an image blurred by 5 pixels of the plane has -3.5 and less, a quarter of the resolution -0.5."""


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
    legible: bool = True
    usual: float = 1.0
    patches: int = 0
    elsewhere: float = 0.0


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


def agreement(values: Floats, fit: Fit, inside: Flags, blocks: tuple[int, int], *, fine: bool) -> Agreement:
    """Return what a fit of ``values`` (blocks x patterns) leaves unexplained where blocks lie inside the image."""
    seen = values - fit.local
    ours, theirs = np.square(values).sum(axis=1), np.square(seen).sum(axis=1)
    floor = values.shape[1] * NOISE**2
    theirs = np.maximum(theirs, np.square(fit.image).sum(axis=1) * _least_gain(values, fit, inside) ** 2)
    likeness = (2 * (values * seen).sum(axis=1) + floor) / (ours + theirs + floor)
    content = inside & (np.maximum(ours, theirs) >= values.shape[1] * CONTENT_ENERGY**2)
    agreeing, differing = ~content | (likeness >= AGREES), likeness < DIFFERS
    misfit = np.square(fit.local).mean(axis=1)
    misfit /= NOISE**2 + RELATIVE_NOISE**2 * np.maximum(ours, theirs) / values.shape[1]
    usual = max(1.0, float(np.median(misfit[content]))) if content.any() else 1.0
    patches, elsewhere = _patches(content & (likeness < AGREES) & (misfit > STANDS_OUT * usual), inside, blocks)
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
        # A fit that explains nothing says nothing of blur either.
        legible=fit.blur > MOST_BLUR or abs(fit.gain) < LEAST_CONTRAST,
        usual=usual,
        patches=patches,
        elsewhere=elsewhere / showing if showing else 0.0,
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


def _patches(outstanding: Flags, inside: Flags, blocks: tuple[int, int]) -> tuple[int, int]:
    """Return how many places stand out beside the largest one and its surroundings, and their blocks.

    What reaches the rim of what can be compared is left out: frames and corners of a turned picture.
    """
    shape = blocks[1], blocks[0]
    marked = outstanding.reshape(shape).astype(np.uint8)
    core = cv2.erode(np.pad(inside.reshape(shape).astype(np.uint8), 1), np.ones((3, 3), np.uint8))[1:-1, 1:-1]
    count, labels, facts, _ = cv2.connectedComponentsWithStats(marked, connectivity=8)
    at_rim = set(np.unique(labels[core == 0]).tolist())
    places = [label for label in range(1, count) if label not in at_rim]
    if len(places) < 2:
        return 0, 0
    largest = max(places, key=lambda label: int(facts[label, cv2.CC_STAT_AREA]))
    hull = np.zeros(shape, np.uint8)
    points = np.argwhere(labels == largest)[:, ::-1].astype(np.int32)
    cv2.fillConvexPoly(hull, np.asarray(cv2.convexHull(points), np.int32), (1,))
    across, down = (int(facts[largest, side]) for side in (cv2.CC_STAT_WIDTH, cv2.CC_STAT_HEIGHT))
    if (
        LEAST_DISC <= max(across, down) <= ROUND * min(across, down)
    ):  # of a disc over a page, one side may be all that stands out
        (x, y), radius = cv2.minEnclosingCircle(points)
        cv2.circle(hull, (round(x), round(y)), round(radius), (1,), thickness=cv2.FILLED)
    near = set(np.unique(labels[cv2.dilate(hull, np.ones((3, 3), np.uint8)) > 0]).tolist())
    apart = [label for label in places if label not in near]
    return len(apart), int(sum(int(facts[label, cv2.CC_STAT_AREA]) for label in apart))
