"""Explain a reference's sketch by an image: gain, residual warp, blur; what is left over is other content.

A sketch is linear in the picture, so the derivatives of the image's raster, sketched the same way, say how the
coefficients change with a small warp (Gauss-Newton, as Baker and Matthews, "Lucas-Kanade 20 years on", 2004).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from workers.closer_look.block_raster import BLOCK, Flags, Floats, Matrix, energy, project

NOISE: Final = 4.0
"""Grey levels of a coefficient: half a step, scan noise and compression."""
RELATIVE_NOISE: Final = 0.15
"""Of a block's energy: resampling changes edges in proportion to their height."""
ROUNDS: Final = 3
WARP_PRIOR: Final = 2.0
"""Raster pixels that a residual warp may reach before the fit pulls it back."""
LOCAL_PRIOR: Final = 0.5
"""Raster pixels that a neighbourhood of blocks may be off the common warp: paper bends."""
TERMS: Final = 10
FITTED: Final = 8
"""Patterns of a block that take part in the fit."""
FITTED_BLOCKS: Final = 256


@dataclass(frozen=True, slots=True, kw_only=True)
class Fit:
    """``image`` are the image's own coefficients (blocks x patterns), ``residual`` what they leave unexplained of the
    reference's, ``local`` the same where neighbourhoods may move a little by themselves.

    ``warp`` (3 x 3) is the homography from the reference's raster to the place of the image's raster that explains it,
    in raster pixels; ``blur`` is the Laplacian's share.
    """

    image: Floats
    residual: Floats
    local: Floats
    gain: float
    blur: float
    warp: Matrix


def explain(raster: Floats, values: Floats, inside: Flags, blocks: tuple[int, int]) -> Fit:
    """Fit an image's raster (one extra pixel on every side) to a reference's coefficients (blocks x patterns)."""
    patterns = values.shape[1]
    here, left, right = raster[1:-1, 1:-1], raster[1:-1, :-2], raster[1:-1, 2:]
    above, below = raster[:-2, 1:-1], raster[2:, 1:-1]
    half = np.float32(0.5)
    image, bend = project(here, patterns), project(left + right + above + below - here * np.float32(4), patterns)
    across, down = project((right - left) * half, patterns), project((below - above) * half, patterns)
    u, v = _places(blocks)
    chosen = _telling(values, image, inside)
    picture = image, across, down, bend
    fitted = _terms(*(part[chosen, :FITTED] for part in picture), u=u[chosen], v=v[chosen])
    solution = _solve(fitted, values[chosen, :FITTED])
    gain, blur = (float(solution[number]) for number in (0, 9))
    radial = solution[7] * u + solution[8] * v
    to_right = solution[1] + solution[2] * u + solution[3] * v + radial * u
    to_below = solution[4] + solution[5] * u + solution[6] * v + radial * v
    residual = values - gain * image - to_right * across - to_below * down - blur * bend
    contrast = gain or 1e-6
    local = residual - _local_motion(across * gain, down * gain, residual, inside, blocks)
    return Fit(
        image=image,
        residual=residual,
        local=local,
        gain=gain,
        blur=blur / contrast,
        warp=_homography(solution[1:9].astype(np.float64) / contrast, blocks),
    )


def _homography(motion: Matrix, blocks: tuple[int, int]) -> Matrix:
    """Return the 3 x 3 map of raster pixels whose first-order motion is the fitted one.

    ``motion``: displacements (raster pixels) across at the middle, along u and along v, the same down, and the two
    perspective terms, over places as `_places` gives them.
    """
    half = max(blocks) * BLOCK / 2
    to_places = np.array([[1 / half, 0, 0], [0, 1 / half, 0], [0, 0, 1]])
    to_places[:2, 2] = [(0.5 - count * BLOCK / 2) / half for count in blocks]
    across, down, bend = motion[:3] / half, motion[3:6] / half, motion[6:] / half
    moved = np.array(
        [[1 + across[1], across[2], across[0]], [down[1], 1 + down[2], down[0]], [-bend[0], -bend[1], 1]], np.float64
    )
    return np.asarray(np.linalg.inv(to_places) @ moved @ to_places, np.float64)


def _telling(values: Floats, image: Floats, inside: Flags) -> NDArray[np.intp]:
    """Return the blocks that are fitted: inside, not blank, at most ``FITTED_BLOCKS`` of them, evenly chosen."""
    chosen = np.flatnonzero(inside & (np.maximum(energy(values), energy(image)) > NOISE))
    return chosen if len(chosen) <= FITTED_BLOCKS else chosen[:: -(-len(chosen) // FITTED_BLOCKS)]


def _terms(image: Floats, across: Floats, down: Floats, bend: Floats, *, u: Floats, v: Floats) -> Floats:
    radial = u * across + v * down
    parts = (image, across, u * across, v * across, down, u * down, v * down, u * radial, v * radial, bend)
    return np.stack([part.ravel() for part in parts])


def _places(blocks: tuple[int, int]) -> tuple[Floats, Floats]:
    """Return each block's middle, 0 in the raster's and 1 at the end of its longer side."""
    across, down = (((np.arange(count) + 0.5) * 2 - count) / max(blocks) for count in blocks)
    u, v = np.meshgrid(across.astype(np.float32), down.astype(np.float32))
    return u.reshape(-1, 1), v.reshape(-1, 1)


def _solve(terms: Floats, target: Floats) -> Floats:
    """Robust least squares: blocks that do not fit weigh less in every round (Cauchy)."""
    # Of either side: something pasted over the picture has edges of its own, and must not pull the first round.
    either = np.maximum(energy(target), energy(terms[0].reshape(target.shape)))
    spread = NOISE**2 + (RELATIVE_NOISE * either) ** 2
    weight, solution = 1 / spread, np.zeros(TERMS, np.float32)
    prior = np.full(TERMS, 1 / WARP_PRIOR**2, np.float32)
    prior[0] = prior[9] = 1e-3
    for _ in range(ROUNDS if len(target) else 0):
        weighted = terms * np.repeat(weight, target.shape[1])
        solution = np.linalg.solve(weighted @ terms.T + np.diag(prior), weighted @ target.ravel())
        left = target - (solution @ terms).reshape(target.shape)
        ratio = np.mean(np.square(left), axis=1) / spread
        weight = 1 / (spread * (1 + ratio / max(1.0, float(np.median(ratio)))))
    return solution


def _local_motion(across: Floats, down: Floats, residual: Floats, inside: Flags, blocks: tuple[int, int]) -> Floats:
    """Return what of the residual a motion shared by 3 x 3 blocks explains (Lucas and Kanade, 1981)."""
    weight = inside / (NOISE**2 + np.mean(np.square(residual), axis=1))
    sums = np.stack(
        [np.sum(a * b, axis=1) * weight for a, b in ((across, across), (across, down), (down, down))]
        + [np.sum(a * residual, axis=1) * weight for a in (across, down)],
        axis=1,
    ).reshape(blocks[1], blocks[0], 5)
    pooled = cv2.boxFilter(sums.astype(np.float32), -1, (3, 3), normalize=False, borderType=cv2.BORDER_CONSTANT)
    xx, xy, yy, x, y = (pooled[:, :, number].reshape(-1, 1) for number in range(5))
    xx, yy = xx + 1 / LOCAL_PRIOR**2, yy + 1 / LOCAL_PRIOR**2
    scale = 1 / (xx * yy - xy * xy)
    return np.asarray((yy * x - xy * y) * scale * across + (xx * y - xy * x) * scale * down, np.float32)
