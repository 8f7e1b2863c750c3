"""The fit behind a comparison: what an image's raster explains of a reference's coefficients."""

import cv2
import numpy as np
import pytest

from workers.closer_look.block_fit import explain
from workers.closer_look.block_raster import COARSE, DEEPEST, Floats, block_grid, energy, own_raster, project
from workers.decoding.pixels import canonical, grey_plane
from workers.training.drawing import draw

PATTERNS = COARSE + DEEPEST
PAGE = np.asarray(grey_plane(canonical(draw("poster", 2, size=(600, 800)), 1)))
BLOCKS = block_grid(PAGE.shape[1], PAGE.shape[0])
RASTER = own_raster(PAGE, BLOCKS)
VALUES = project(RASTER[1:-1, 1:-1], PATTERNS)
ALL = np.ones(BLOCKS[0] * BLOCKS[1], bool)


def left_over(residual: Floats) -> float:
    return float(energy(residual).mean() / energy(VALUES).mean())


@pytest.mark.parametrize("contrast", [0.4, 1.0, 2.0, -1.0])
def test_contrast_is_found(contrast: float) -> None:
    fit = explain((RASTER * np.float32(contrast) + 20).astype(np.float32), VALUES, ALL, BLOCKS)
    assert fit.gain == pytest.approx(1 / contrast, rel=0.02)
    assert left_over(fit.residual) < 0.02


def test_a_small_shift_is_found_and_explained() -> None:
    shifted = np.roll(RASTER, 1, axis=1)
    fit = explain(shifted, VALUES, ALL, BLOCKS)
    assert fit.warp[0, 2] == pytest.approx(1, abs=0.5)
    assert left_over(fit.residual) < left_over(VALUES - project(shifted[1:-1, 1:-1], PATTERNS))


def test_what_is_not_inside_weighs_nothing() -> None:
    spoiled, half = RASTER.copy(), ALL.reshape(BLOCKS[1], BLOCKS[0]).copy()
    spoiled[:, spoiled.shape[1] // 2 :] = 255 - spoiled[:, spoiled.shape[1] // 2 :]
    half[:, BLOCKS[0] // 2 :] = False
    fit = explain(spoiled, VALUES, half.ravel(), BLOCKS)
    assert fit.gain == pytest.approx(1, rel=0.05)


def test_nothing_to_go_by_explains_nothing() -> None:
    fit = explain(np.zeros_like(RASTER), np.zeros_like(VALUES), ALL, BLOCKS)
    assert not fit.residual.any()
    assert np.isfinite(fit.warp).all()


def test_a_perspective_is_found() -> None:
    seen = np.array([[1.0, 0, 0], [0, 1, 0], [4e-5, -3e-5, 1]])
    tilted = cv2.warpPerspective(RASTER, seen, RASTER.shape[::-1], borderMode=cv2.BORDER_REPLICATE)
    warp = explain(np.asarray(tilted, np.float32), VALUES, ALL, BLOCKS).warp
    assert warp[2, :2] / warp[2, 2] == pytest.approx(seen[2, :2], rel=0.5)
