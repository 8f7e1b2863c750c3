"""The loss, the network and the augmentation on their own."""

import random

import numpy as np
import pytest
import torch

from workers.training.augment import SIDE, Picture, strong_view, warp, weak_view
from workers.training.drawing import draw
from workers.training.losses import Queue, correlation, info_nce, koleo
from workers.training.network import DIMENSION, Fingerprinter, standardise

pytestmark = pytest.mark.train
WHOLE = (0.0, 0.0, 1.0, 1.0)


def picture(family: str, seed: int) -> Picture:
    image = draw(family, seed, size=(600, 400))
    large = np.asarray(image.resize((256, 256)))
    return Picture(large, np.asarray(image.resize((128, 128))), 1.5)


def still(angle: float, *, expand: bool = False) -> np.ndarray:
    return warp(picture("poster", 1), WHOLE, angle, expand=expand, mirror=False, flip=False, border=0, fill=(255, 0, 0))


def test_a_half_turn_is_exact() -> None:
    turned = still(180.0)[::-1, ::-1].astype(int)
    assert np.abs(turned - still(0.0).astype(int)).mean() < 8


def test_growing_the_frame_fills_the_corners() -> None:
    assert still(30.0, expand=True)[0, 0].tolist() == [255, 0, 0]


def test_views_are_squares_of_bytes_and_follow_the_seed() -> None:
    for seed in range(40):
        views = [strong_view(picture("circuit", 1), random.Random(seed), 1.0, picture("poster", 2)) for _ in range(2)]
        assert views[0].shape == (SIDE, SIDE, 3)
        assert views[0].dtype == np.uint8
        assert (views[0] == views[1]).all()
    assert weak_view(picture("circuit", 1), random.Random(1)).shape == (SIDE, SIDE, 3)


def test_matching_views_cost_less_than_shuffled_ones() -> None:
    vectors = torch.nn.functional.normalize(torch.randn(8, 16, generator=torch.Generator().manual_seed(0)), dim=1)
    ids = torch.arange(8)
    right, accuracy = info_nce(torch.cat([vectors, vectors]), torch.cat([ids, ids]), Queue(8, 16))
    wrong, _ = info_nce(torch.cat([vectors, vectors.roll(1, 0)]), torch.cat([ids, ids]), Queue(8, 16))
    assert right < wrong
    assert accuracy == 1.0


def test_the_queue_keeps_the_newest() -> None:
    queue = Queue(3, 2)
    queue.push(torch.tensor([[1.0, 0.0], [0.0, 1.0]]), torch.tensor([1, 2]))
    assert queue.filled()[1].tolist() == [1, 2]
    queue.push(torch.tensor([[0.5, 0.5], [0.6, 0.8]]), torch.tensor([3, 4]))
    assert sorted(queue.filled()[1].tolist()) == [2, 3, 4]


def test_crowded_vectors_cost_more() -> None:
    ids = torch.arange(4)
    crowded = torch.nn.functional.normalize(torch.ones(4, 8) + 0.01 * torch.eye(4, 8), dim=1)
    assert koleo(crowded, ids) > koleo(torch.eye(4, 8), ids)


def test_correlated_outputs_cost_more() -> None:
    noise = torch.randn(256, 8, generator=torch.Generator().manual_seed(0))
    assert correlation(noise[:, :1].repeat(1, 8)) > correlation(noise)


def test_vectors_have_length_one_whatever_the_pixels() -> None:
    network = Fingerprinter().eval()
    pixels = torch.stack([torch.zeros(3, SIDE, SIDE), torch.full((3, SIDE, SIDE), 255.0), torch.rand(3, SIDE, SIDE)])
    with torch.no_grad():
        vectors = network(pixels)
    assert vectors.shape == (3, DIMENSION)
    assert vectors.norm(dim=1).tolist() == pytest.approx([1.0] * 3, abs=1e-5)


def test_brightness_and_contrast_cancel() -> None:
    pixels = torch.rand(1, 3, 32, 32, generator=torch.Generator().manual_seed(1)) * 100
    assert standardise(pixels * 2 + 20) == pytest.approx(standardise(pixels), abs=0.02)
