"""A photograph's perspective is found from a sketch's blocks; what has nothing in common gives none."""

import cv2
import numpy as np
import pytest

from workers.closer_look.block_raster import BLOCK, COARSE, DEEPEST, block_grid, own_raster, place, project
from workers.closer_look.block_search import REACH, search
from workers.decoding.pixels import canonical, grey_plane
from workers.training.drawing import draw

PAGE = np.asarray(grey_plane(canonical(draw("poster", 2, size=(600, 800)), 1)))
BLOCKS = block_grid(PAGE.shape[1], PAGE.shape[0])
VALUES = project(own_raster(PAGE, BLOCKS)[1:-1, 1:-1], COARSE + DEEPEST)
ALL = np.ones(BLOCKS[0] * BLOCKS[1], bool)
TO_PLANE = np.array([[2.0, 0, 0.5], [0, 2.0, 0.5], [0, 0, 1]])


@pytest.mark.parametrize(("step", "strength"), [(1, 2e-4), (2, 4e-4)])
def test_a_perspective_is_found(step: int, strength: float) -> None:
    seen = np.array([[1.0, 0.02, 3], [-0.02, 1, -4], [strength, -strength / 2, 1]])
    photographed = cv2.warpPerspective(PAGE, seen, PAGE.shape[::-1], borderMode=cv2.BORDER_REPLICATE)
    wide = place(np.asarray(photographed, np.uint8), TO_PLANE, BLOCKS, margin=step * REACH)
    assert wide is not None
    found = search(wide.raster, VALUES, ALL, BLOCKS, step=step)
    assert found is not None
    middle = np.array([BLOCKS[0] * BLOCK / 2, BLOCKS[1] * BLOCK / 2, 1])
    at, expected = found @ middle, np.linalg.inv(TO_PLANE) @ seen @ TO_PLANE @ middle
    assert at[:2] / at[2] == pytest.approx(expected[:2] / expected[2], abs=2 * step)


def test_another_picture_and_one_too_small_have_no_place() -> None:
    noise = np.random.default_rng(1).normal(128, 40, (BLOCKS[1] * BLOCK + 2 * REACH, BLOCKS[0] * BLOCK + 2 * REACH))
    assert search(noise.astype(np.float32), VALUES, ALL, BLOCKS) is None
    assert search(np.zeros((8 + 2 * REACH,) * 2, np.float32), VALUES[:1], ALL[:1], (1, 1)) is None
