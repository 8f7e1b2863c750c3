"""Small stand-ins for evaluations: an encoder that needs no model, a method that answers by rule."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from shared.core.matching import Calibration
from tests.index_factories import CALIBRATION
from workers.evaluation.methods import Ranking, Sample

SIDE = 8


class PixelEncoder:
    """The standardised pixels themselves."""

    side = SIDE
    dimension = SIDE * SIDE * 3
    calibration: Calibration = CALIBRATION

    def embed(self, pixels: Sequence[bytes]) -> NDArray[np.float32]:
        rows = np.stack([np.frombuffer(one, np.uint8).astype(np.float32) for one in pixels])
        rows = rows - rows.mean(axis=1, keepdims=True)
        return np.asarray(rows / np.linalg.norm(rows, axis=1, keepdims=True), np.float32)


class Counting:
    """Names the references in order of enrolment, with falling scores."""

    def __init__(self, name: str = "counting", mode: str = "always") -> None:
        self.name = name
        self.mode = mode
        self.enrolled: list[tuple[int, int]] = []
        self.was_ready = 0
        self.asked = 0

    def enrol(self, sample: Sample) -> None:
        self.enrolled.append(sample.image.size)

    def ready(self) -> None:
        self.was_ready += 1

    def query(self, sample: Sample) -> Ranking:
        self.asked += 1
        count = len(self.enrolled)
        return Ranking(np.arange(count), np.linspace(90, 50, count) if count else np.empty(0))
