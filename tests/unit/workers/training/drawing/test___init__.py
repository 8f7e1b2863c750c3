"""Drawings: a seed names a picture, pictures differ, and every family shows something."""

from itertools import pairwise

import numpy as np
import pytest

from workers.training.drawing import FAMILIES, draw


def thumbnail(family: str, seed: int) -> np.ndarray:
    return np.asarray(draw(family, seed, size=(400, 300)).convert("L").resize((32, 32)), np.float32)


def test_there_are_enough_families() -> None:
    assert len(FAMILIES) >= 10
    assert len(set(FAMILIES)) == len(FAMILIES)


@pytest.mark.parametrize("family", FAMILIES)
def test_a_seed_names_a_picture(family: str) -> None:
    assert draw(family, 3, size=(300, 200)).tobytes() == draw(family, 3, size=(300, 200)).tobytes()


@pytest.mark.parametrize("family", FAMILIES)
def test_sizes_are_those_of_real_pictures(family: str) -> None:
    image = draw(family, 11)
    assert image.mode == "RGB"
    assert 500 <= min(image.size) <= max(image.size) <= 1600


@pytest.mark.parametrize("family", FAMILIES)
def test_different_seeds_are_different_pictures(family: str) -> None:
    pictures = [thumbnail(family, seed) for seed in range(8)]
    differences = [float(np.abs(first - second).mean()) for first, second in pairwise(pictures)]
    assert min(differences) > 3.0


@pytest.mark.parametrize("family", FAMILIES)
def test_no_picture_is_near_empty(family: str) -> None:
    spread = [float(thumbnail(family, seed).std()) for seed in range(20)]
    assert min(spread) > 5.0


def test_an_unknown_family_is_refused() -> None:
    with pytest.raises(KeyError):
        draw("watercolour", 1)
