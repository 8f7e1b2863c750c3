"""Waves are taken out of a photograph of a screen; a page's own lines are left."""

import numpy as np
import pytest
from numpy.typing import NDArray

from workers.closer_look.moire import without_waves
from workers.decoding.pixels import canonical, grey_plane
from workers.training.drawing import draw

PAGE = np.asarray(grey_plane(canonical(draw("poster", 2, size=(600, 800)), 1)))


def waves(period: float, angle: float, height: float) -> NDArray[np.float64]:
    down, across = np.mgrid[0 : PAGE.shape[0], 0 : PAGE.shape[1]]
    return np.asarray(height * np.sin(2 * np.pi * (np.cos(angle) * across + np.sin(angle) * down) / period))


@pytest.mark.parametrize(("period", "angle"), [(3.2, 0.4), (5.0, 1.3), (8.0, 2.5)])
def test_a_wave_is_taken_out(period: float, angle: float) -> None:
    calm = np.clip(PAGE * 0.6 + 50.0, 0, 255)
    photographed = np.clip(calm + waves(period, angle, 25), 0, 255).astype(np.uint8)
    found = without_waves(photographed)
    assert found is not None
    assert np.abs(found - calm).mean() < 0.5 * np.abs(photographed - calm).mean()


def test_where_no_wave_stands_out_there_is_none() -> None:
    assert without_waves(np.full((300, 200), 128, np.uint8)) is None
    assert without_waves(np.random.default_rng(1).integers(0, 256, (300, 200), np.uint8)) is None


@pytest.mark.parametrize("shape", [(1, 1), (1, 512), (512, 1), (7, 9)])
def test_planes_of_any_size(shape: tuple[int, int]) -> None:
    plane = np.random.default_rng(1).integers(0, 256, shape, np.uint8)
    found = without_waves(plane)
    assert found is None or found.shape == shape
