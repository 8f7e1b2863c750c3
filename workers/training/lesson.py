"""What a small network is taught, and how it fared: the part of a training that knows nothing of torch."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Pixels = NDArray[np.uint8]

type Judged = Callable[[Callable[[Pixels], Floats]], float]
"""What a network gets right, from what turns n x side x side x 3 pixels into n x labels margins over `other`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Lesson:
    """``pixels`` n x side x side x 3, ``classes`` n: 0 is `other`; ``count`` classes with it."""

    pixels: Pixels
    classes: NDArray[np.int64]
    count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Moment:
    """After ``views`` pictures: processor time and seconds, without those of judging; ``named`` as in the table."""

    views: int
    processor: float
    seconds: float
    named: float
