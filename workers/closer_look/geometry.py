"""Does one transform put a reference's local features where the image has them? The evidence an analyst is shown.

Descriptors are compared after decoding the reference's (asymmetric distances: only one side lost anything to
compression), a match is the mutual nearest and clearly nearer than the second; matches that do not turn and scale alike
are dropped; RANSAC and least squares on its inliers find the affine transform.  One match a feature of either side
bounds the work: no image can make more than `REFERENCE_FEATURES` of them.  Eight candidates take 5 ms of processor time
(p50; p95 6.5).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from workers.closer_look.codebook import Codebook, Floats, products
from workers.closer_look.local_features import CodedFeatures, LocalFeatures, mirrored, unpack

RATIO: Final = 0.85
"""Of the distance of the nearest to that of the second, up to which a match is kept (Lowe, IJCV 2004: 0.8)."""
TOLERANCE: Final = 4.0
"""Pixels of the image's plane between where a feature is and where the transform puts it."""
ITERATIONS: Final = 500
REFITS: Final = 3
FEWEST_INLIERS: Final = 5
"""Three matches make a transform; fewer than two more agree with it by chance in every other pair."""
TURN_TOLERANCE: Final = 30.0
"""Degrees between a match's turn and the most common one."""
SCALE_TOLERANCE: Final = 0.75
"""Octaves between a match's scale and the most common one."""
SCALE_LIMIT: Final = 8.0
STRETCH_LIMIT: Final = 2.5
"""Ratio of the transform's largest to its smallest scale: 16:9 squashed to 3:4 is 2.4."""
LOCATION: Final = 4.0
"""Pixels a side of the squares in which inliers count once."""
LEAST_SPREAD: Final = 4.0
"""Pixels of standard deviation across the line that fits the inliers best, in the reference."""

type Matrix = NDArray[np.float64]
type Box = tuple[int, int, int, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Geometry:
    """A transform on which image and reference agree.

    ``inliers`` distinct places agree, ``weight`` is the sum of their rarities (0..1 each).  ``matrix`` (2 x 3) maps
    pixels of the reference's plane to pixels of the image's, mirroring included (``mirrored``: its determinant is
    negative).  ``image_region`` (left, top, right, bottom) in pixels of the image's plane is where the reference lies,
    ``reference_region`` in per cent of the reference what part of it that is, ``coverage`` that part's share of its
    area, 0..1.
    """

    inliers: int
    weight: float
    matrix: Matrix
    mirrored: bool
    image_region: Box
    reference_region: Box
    coverage: float

    def words(self) -> str:
        """The transform for the analyst: part seen, turn, mirroring, scale."""
        left, top, right, bottom = self.reference_region
        share = round(self.coverage * 100)
        parts = ["the whole reference"]
        if share < 98:
            parts = [
                f"{share} % of the reference (left {left} %, top {top} %, {right - left} % wide, {bottom - top} % high)"
            ]
        turn, across, down = _turn_and_scales(self.matrix, mirror=self.mirrored)
        if abs(turn) >= 0.5:
            parts.append(f"turned {abs(turn):.1f} degrees {'clockwise' if turn > 0 else 'anticlockwise'}")
        if self.mirrored:
            parts.append("mirrored")
        if abs(math.log2(across / down)) >= 0.05:
            parts.append(f"scaled to {across * 100:.0f} % across and {down * 100:.0f} % down")
        elif abs(math.log2(across)) >= 0.02:
            parts.append(f"scaled to {math.sqrt(across * down) * 100:.0f} %")
        return ", ".join(parts)


def verify(
    image: LocalFeatures, packed: bytes, codebook: Codebook, *, mirror: bool, rarity: Floats | None = None
) -> Geometry | None:
    """Look for the transform that maps the reference to the image, or with ``mirror`` to its mirror image.

    ``rarity`` (one number 0..1 a feature of ``image``; None: all 1) weighs the inliers.  None where there is no
    transform that `FEWEST_INLIERS` places agree on, or it is none that an edit makes.  Raises IntegrityError for bytes
    that are no features of this codebook.
    """
    reference = unpack(packed, codebook)
    query = mirrored(image) if mirror else image
    if min(len(query), len(reference)) < FEWEST_INLIERS:
        return None
    mine, theirs = _matches(query, reference, codebook)
    agreeing = _turning_alike(query.points[mine], reference.points[theirs])
    mine, theirs = mine[agreeing], theirs[agreeing]
    source, target = (points[:, :2].astype(np.float64) for points in (reference.points[theirs], query.points[mine]))
    fitted = _fit(source, target)
    if fitted is None:
        return None
    matrix, inside = fitted
    distinct = _distinct(source, target, inside)
    if len(distinct) < FEWEST_INLIERS or not _plausible(matrix, source[distinct]):
        return None
    if mirror:
        matrix = np.array(((-1.0, 0.0), (0.0, 1.0))) @ matrix + ((0, 0, image.plane_size[0] - 1), (0, 0, 0))
    weight = float(rarity[mine[distinct]].sum()) if rarity is not None else float(len(distinct))
    return _describe(matrix, mirror=mirror, image=image, reference=reference, agreed=(len(distinct), weight))


def _matches(
    query: LocalFeatures, reference: CodedFeatures, codebook: Codebook
) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Pairs of numbers of mutually nearest features that are nearer than the second nearest."""
    decoded = codebook.decode(reference.codes)
    lengths = np.einsum("nd,nd->n", decoded, decoded)
    distances = np.maximum(1 + lengths - 2 * products(query.descriptors, decoded), 1e-6)
    nearest = distances.argmin(1)
    rows = np.arange(len(distances))
    first = distances[rows, nearest]
    distances[rows, nearest] = np.inf
    second = distances.min(1)
    distances[rows, nearest] = first
    kept = np.flatnonzero((first < RATIO**2 * second) & (distances.argmin(0)[nearest] == rows))
    return kept, nearest[kept]


def _turning_alike(query: Floats, reference: Floats) -> NDArray[np.intp]:
    """The matches whose keypoints say nearly the same turn and scale as those of the match most others agree with."""
    turns = query[:, 3] - reference[:, 3]
    scales = np.log2(query[:, 2] / reference[:, 2])
    turned_alike = np.abs((turns[:, None] - turns + 180) % 360 - 180) <= TURN_TOLERANCE
    alike = turned_alike & (np.abs(scales[:, None] - scales) <= SCALE_TOLERANCE)
    if not len(alike):
        return np.empty(0, np.intp)
    return np.flatnonzero(alike[alike.sum(1).argmax()])


def _fit(source: Matrix, target: Matrix) -> tuple[Matrix, NDArray[np.intp]] | None:
    """The affine transform most matches agree on, and which they are."""
    if len(source) < FEWEST_INLIERS:
        return None
    estimated, _ = cv2.estimateAffine2D(
        source, target, method=cv2.RANSAC, ransacReprojThreshold=TOLERANCE, maxIters=ITERATIONS, refineIters=0
    )
    matrix: Matrix = np.asarray(estimated, np.float64)
    if matrix.shape != (2, 3) or not np.isfinite(matrix).all():  # where there is none, it is None
        return None
    padded = np.column_stack((source, np.ones(len(source))))
    inside = _agreeing(matrix, padded, target)
    for _ in range(REFITS):
        if len(inside) < FEWEST_INLIERS:
            return None
        matrix = np.linalg.lstsq(padded[inside], target[inside], rcond=None)[0].T
        inside = _agreeing(matrix, padded, target)
    return matrix, inside


def _agreeing(matrix: Matrix, padded: Matrix, target: Matrix) -> NDArray[np.intp]:
    return np.flatnonzero(((padded @ matrix.T - target) ** 2).sum(1) <= TOLERANCE**2)


def _distinct(source: Matrix, target: Matrix, inside: NDArray[np.intp]) -> NDArray[np.intp]:
    """One inlier of each place of the reference and of the image: repeated detections of one spot prove it once."""
    for points in (source, target):
        places = np.rint(points[inside] / LOCATION).astype(np.int64)
        _, first = np.unique(places[:, 0] * 4096 + places[:, 1], return_index=True)
        inside = inside[np.sort(first)]
    return inside


def _plausible(matrix: Matrix, places: Matrix) -> bool:
    """Tell whether an edit makes such a transform, and whether the places do not lie on one spot or line."""
    largest, smallest = np.linalg.svd(matrix[:, :2], compute_uv=False)
    if smallest < 1 / SCALE_LIMIT or largest > SCALE_LIMIT or largest > STRETCH_LIMIT * smallest:
        return False
    if np.linalg.det(matrix[:, :2]) <= 0:
        return False
    spread = np.linalg.svd(places - places.mean(0), compute_uv=False)[1] / math.sqrt(len(places))
    return bool(spread >= LEAST_SPREAD)


def _describe(
    matrix: Matrix, *, mirror: bool, image: LocalFeatures, reference: CodedFeatures, agreed: tuple[int, float]
) -> Geometry | None:
    """What of the reference lies where, from the transform and both planes' sizes."""
    whole = _corners(*reference.plane_size)
    mapped = (whole @ matrix[:, :2].T + matrix[:, 2]).astype(np.float32)
    area, seen = cv2.intersectConvexConvex(mapped, _corners(*image.plane_size).astype(np.float32))
    if area <= 0:
        return None
    lying = seen.reshape(-1, 2).astype(np.float64) + 0.5
    back = (lying - 0.5 - matrix[:, 2]) @ np.linalg.inv(matrix[:, :2]).T + 0.5
    per_cent = back / reference.plane_size * 100
    covered = area / abs(np.linalg.det(matrix[:, :2])) / math.prod(reference.plane_size)
    return Geometry(
        inliers=agreed[0],
        weight=agreed[1],
        matrix=matrix,
        mirrored=mirror,
        image_region=_box(lying, image.plane_size),
        reference_region=_box(per_cent, (100, 100)),
        coverage=min(1.0, float(covered)),
    )


def _corners(width: int, height: int) -> Matrix:
    """The outline of a plane whose pixels' centres have whole coordinates."""
    return np.array(((0, 0), (width, 0), (width, height), (0, height)), np.float64) - 0.5


def _box(points: Matrix, limits: tuple[int, int]) -> Box:
    low, high = (np.clip(np.rint(bound), 0, limits).astype(int).tolist() for bound in (points.min(0), points.max(0)))
    return low[0], low[1], high[0], high[1]


def _turn_and_scales(matrix: Matrix, *, mirror: bool) -> tuple[float, float, float]:
    """The turn in degrees clockwise (after mirroring left for right) and the scales of the reference's two axes."""
    linear = matrix[:, :2] * ((-1, 1) if mirror else (1, 1))
    across, down = np.hypot(*linear)
    left, _, right = np.linalg.svd(linear)
    rotation = left @ right
    return math.degrees(math.atan2(rotation[1, 0], rotation[0, 0])), float(across), float(down)


__all__ = ["Geometry", "verify"]
