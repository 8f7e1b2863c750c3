"""RootSIFT of the grey plane: at most 130 features of a reference and 200 of an image, and their packed form.

SIFT (Lowe, IJCV 2004; OpenCV) with square-rooted, L1-normalised descriptors (Arandjelović, Zisserman, CVPR 2012).

Looking for features at 288 px took 30 ms of one core that was shared with much other work (p95 51), packing 1.3 ms.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from shared.errors import IntegrityError
from workers.closer_look.codebook import CELLS, DIMENSION, Bytes, Codebook, Floats

PLANE_SIDE: Final = 512
DETECTION_SIDE: Final = 320
"""Long side in pixels at which features are looked for."""
LARGEST_GROWTH: Final = 2.0
"""A smaller plane is enlarged by no more than this: beyond it there is nothing to see."""
SMALLEST_SIDE: Final = 12
"""Pixels of the short side below which a plane has no features."""
DETECTED: Final = 4000
"""Strongest features among which the spread ones are chosen: a page of text around a picture has over a thousand."""
SQUARES: Final = 6
"""A side: each octave of each of 6 x 6 squares gives its strongest feature before any gives a second.

The strongest features of all are small and lie close together: of a picture on 15 % of a page of text they found none,
spread ones 9 and 12 inliers; a shrunk copy has only the large ones, a crop only those of its place.
"""
SMALLEST_OCTAVE: Final = 2.5
"""Pixels of diameter, when looked for, where the first octave begins; the fifth is everything from 40."""
OCTAVES: Final = 5
IMAGE_FEATURES: Final = 200
"""With 300 a look at an image took 65 ms (p95, busy core) and not 52, and found no copy more among 720."""
REFERENCE_FEATURES: Final = 130
"""2,868 bytes packed and 1,326 in an index of 10,000: 4.2 KB a reference."""

# Images share a worker's cores already; OpenCV's own threads only take them from the decoders.
cv2.setNumThreads(1)

_FORMAT: Final = 1
_HEADER: Final = struct.Struct("<BHHHB")  # format, codebook, plane width, plane height, features
_POSITION_STEPS: Final = 64  # a pixel
_SIZE_STEPS: Final = 20  # an octave
_SMALLEST_SIZE: Final = 0.25
_ANGLE_STEPS: Final = 256 / 360
_FEATURE_BYTES: Final = 2 + 2 + 1 + 1 + CELLS


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalFeatures:
    """Features of one plane, the strongest first.

    ``points`` n x 4 float32: x, y in pixels of the plane, diameter in pixels, angle in degrees clockwise from the
    x axis (0..360); ``descriptors`` n x 128 float32, L2 = 1; ``plane_size`` (width, height) in pixels.
    """

    points: Floats
    descriptors: Floats
    plane_size: tuple[int, int]

    def __len__(self) -> int:
        return len(self.points)


@dataclass(frozen=True, slots=True, kw_only=True)
class CodedFeatures:
    """A reference's features as stored: ``points`` as in LocalFeatures, ``codes`` n x 16 uint8."""

    points: Floats
    codes: Bytes
    plane_size: tuple[int, int]

    def __len__(self) -> int:
        return len(self.points)


def extract(plane: NDArray[np.uint8], *, limit: int = IMAGE_FEATURES, threads: int = 1) -> LocalFeatures:
    """Detect and describe at most ``limit`` features of a height x width grey plane; none where it shows nothing.

    With 2 ``threads`` the caller's does four fifths of the work; the features are the same.

    Raises ValueError for an array that is no plane.
    """
    if plane.ndim != 2 or plane.dtype != np.uint8 or max(plane.shape) > PLANE_SIDE:
        raise ValueError(f"a plane is height x width uint8, at most {PLANE_SIDE} pixels a side")
    height, width = plane.shape
    if min(plane.shape) < SMALLEST_SIDE:
        return _none((width, height))
    scale = min(DETECTION_SIDE / max(width, height), LARGEST_GROWTH)
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    shrunk = cv2.resize(plane, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR)
    detector = cv2.SIFT.create(nfeatures=DETECTED, enable_precise_upscale=True)
    with _threads(threads):
        found = detector.detect(shrunk, None)
        if not found:
            return _none((width, height))
        points = np.array([(*point.pt, point.size, point.angle, point.response) for point in found])
        chosen = _spread(points, size)[:limit]
        _, descriptors = detector.compute(shrunk, [found[number] for number in chosen])
    points = points[chosen, :4]
    stretch = np.array((width / size[0], height / size[1]))
    points[:, :2] = (points[:, :2] + 0.5) * stretch - 0.5
    points[:, 2] *= np.sqrt(stretch.prod())
    described = np.asarray(descriptors, np.float32)
    rooted = np.sqrt(described / np.maximum(described.sum(1, keepdims=True), 1e-9))
    return LocalFeatures(points=points.astype(np.float32), descriptors=rooted, plane_size=(width, height))


@contextmanager
def _threads(count: int) -> Iterator[None]:
    """Let OpenCV use so many; the number is the process's, so of two callers one may get the other's, and no harm."""
    cv2.setNumThreads(count)
    try:
        yield
    finally:
        cv2.setNumThreads(1)


def _none(plane_size: tuple[int, int]) -> LocalFeatures:
    nothing = np.empty((0, 4), np.float32), np.empty((0, DIMENSION), np.float32)
    return LocalFeatures(points=nothing[0], descriptors=nothing[1], plane_size=plane_size)


def _spread(points: NDArray[np.float64], size: tuple[int, int]) -> NDArray[np.intp]:
    """An order of n x 5 points (x, y, diameter, angle, response): the strongest of each square and octave, the second…

    Always the same order for the same points, whatever order they come in.
    """
    strongest = np.lexsort((points[:, 3], points[:, 0], points[:, 1], -points[:, 4]))
    columns, rows = (points[strongest, axis] * SQUARES // size[axis] for axis in (0, 1))
    octave = np.clip(np.floor(np.log2(points[strongest, 2] / SMALLEST_OCTAVE)), 0, OCTAVES - 1)
    place = (rows * SQUARES + columns) * OCTAVES + octave
    grouped = np.argsort(place, kind="stable")
    _, starts, counts = np.unique(place[grouped], return_index=True, return_counts=True)
    rank = np.empty(len(points), np.intp)
    rank[grouped] = np.arange(len(points)) - np.repeat(starts, counts)
    order: NDArray[np.intp] = strongest[np.argsort(rank, kind="stable")]
    return order


# SIFT's grid of 4 x 4 cells of 8 orientations, seen in a mirror: the rows across the feature's direction change places,
# and the orientations turn the other way.
_MIRRORED: Final = np.arange(DIMENSION).reshape(4, 4, 8)[::-1][..., -np.arange(8) % 8].reshape(-1)


def mirrored(features: LocalFeatures) -> LocalFeatures:
    """The features of the plane's mirror image (left for right), without looking for them again."""
    points = features.points.copy()
    points[:, 0] = features.plane_size[0] - 1 - points[:, 0]
    points[:, 3] = (180 - points[:, 3]) % 360
    return LocalFeatures(points=points, descriptors=features.descriptors[:, _MIRRORED], plane_size=features.plane_size)


def pack(features: LocalFeatures, codebook: Codebook) -> bytes:
    """The strongest `REFERENCE_FEATURES` features in 8 bytes and 22 a feature."""
    points, count = features.points[:REFERENCE_FEATURES], min(len(features), REFERENCE_FEATURES)
    steps = np.log2(np.maximum(points[:, 2], _SMALLEST_SIZE) / _SMALLEST_SIZE) * _SIZE_STEPS
    return b"".join(
        (
            _HEADER.pack(_FORMAT, codebook.name, *features.plane_size, count),
            np.clip(np.rint(points[:, :2].T * _POSITION_STEPS), 0, 65535).astype("<u2").tobytes(),
            np.clip(np.rint(steps), 0, 255).astype(np.uint8).tobytes(),
            (np.rint(points[:, 3] * _ANGLE_STEPS).astype(np.int64) % 256).astype(np.uint8).tobytes(),
            codebook.encode(features.descriptors[:REFERENCE_FEATURES]).tobytes(),
        )
    )


def unpack(packed: bytes, codebook: Codebook) -> CodedFeatures:
    """The features of a reference; raises IntegrityError for other bytes, and for codes of another codebook."""
    if len(packed) < _HEADER.size:
        raise IntegrityError("packed local features are shorter than their header")
    form, name, width, height, count = _HEADER.unpack_from(packed)
    if form != _FORMAT:
        raise IntegrityError(f"local features are packed in form {form}, this version reads {_FORMAT}")
    if name != codebook.name:
        raise IntegrityError(f"local features are coded with codebook {name:04x}, not {codebook.name:04x}")
    if count > REFERENCE_FEATURES or len(packed) != _HEADER.size + count * _FEATURE_BYTES:
        raise IntegrityError(f"{len(packed)} bytes do not hold {count} local features")
    if not 0 < width <= PLANE_SIDE or not 0 < height <= PLANE_SIDE:
        raise IntegrityError(f"local features of a plane of {width} x {height} pixels")
    body = np.frombuffer(packed, np.uint8, offset=_HEADER.size)
    positions = body[: 4 * count].view("<u2").reshape(2, count).astype(np.float32) / _POSITION_STEPS
    if count and (positions.max(1) > (width, height)).any():
        raise IntegrityError("local features lie outside their plane")
    sizes = _SMALLEST_SIZE * np.exp2(body[4 * count : 5 * count].astype(np.float32) / _SIZE_STEPS)
    angles = body[5 * count : 6 * count].astype(np.float32) / np.float32(_ANGLE_STEPS)
    return CodedFeatures(
        points=np.column_stack((*positions, sizes, angles)).astype(np.float32),
        codes=body[6 * count :].reshape(count, CELLS),
        plane_size=(width, height),
    )


__all__ = ["CodedFeatures", "LocalFeatures", "extract", "mirrored", "pack", "unpack"]
