"""What a closer look saw of an image, kept to look again when the index has changed: local features, not pixels.

Most images resemble no reference, and that is all it takes to see that they resemble none of the new ones either.
Where something is found, the blocks inside have to be compared, and for that the picture is needed again.
"""

from __future__ import annotations

import struct
import time
from functools import cached_property
from typing import Final

import numpy as np
from numpy.typing import NDArray

from workers.closer_look.codebook import DIMENSION
from workers.closer_look.evidence import PictureNeededError, Sight
from workers.closer_look.local_features import LocalFeatures

_HEADER: Final = struct.Struct("<IIHH?H")  # image and plane (width, height), mostly white, features
_POINT_BYTES: Final = 16
_STEPS: Final = 255
"""Of a root of a share, 0..1: a descriptor is 0.01 off, where two of the same place are 0.3 apart."""


def pack_look(sight: Sight | None) -> bytes:
    """Return what was seen, 29 KB for 200 features; nothing where nobody looked, or not to the end."""
    if sight is None or not sight.looked or sight.cut_short:
        return b""
    features = sight.features
    codes = np.rint(features.descriptors * _STEPS).astype(np.uint8)
    header = _HEADER.pack(*sight.image_size, *sight.plane_size, sight.paper, len(features))
    return header + features.points.astype("<f4").tobytes() + codes.tobytes()


class KeptSight(Sight):
    """An image that was looked at before, from what `pack_look` gave of it."""

    def __init__(self, look: bytes) -> None:
        width, height, across, down, paper, self._count = _HEADER.unpack_from(look)
        super().__init__(np.empty((0, 0), np.uint8), (width, height), time.monotonic)
        self._plane_size = (across, down)
        self._paper = bool(paper)
        self._look = look

    @property
    def plane(self) -> NDArray[np.uint8]:
        """Raises PictureNeededError: what was found only the pixels can tell from its like, and they are gone."""
        raise PictureNeededError

    @property
    def plane_size(self) -> tuple[int, int]:
        """Its width and height when it was there."""
        return self._plane_size

    @cached_property
    def features(self) -> LocalFeatures:
        """Those that were found then."""
        count, start = self._count, _HEADER.size
        points = np.frombuffer(self._look, "<f4", count * 4, start).reshape(count, 4).astype(np.float32)
        codes = np.frombuffer(self._look, np.uint8, count * DIMENSION, start + count * _POINT_BYTES)
        descriptors = codes.reshape(count, DIMENSION).astype(np.float32)
        descriptors /= np.maximum(np.linalg.norm(descriptors, axis=1, keepdims=True), 1e-9)
        return LocalFeatures(points=points, descriptors=descriptors, plane_size=self._plane_size)

    @cached_property
    def paper(self) -> bool:
        """As it was then."""
        return self._paper
