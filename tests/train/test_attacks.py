"""The attack stays inside its ball, sees what the product sees, and moves the vector where it aims."""

import math
import random

import numpy as np
import pytest
import torch
from PIL import Image
from torch.nn import functional

from workers.decoding import pixels
from workers.training.attacks import SHAKEN, Aim, Budget, Pixels, attack, psnr, reduce, shaken
from workers.training.network import DIMENSION, INPUT_SIDE, Fingerprinter

pytestmark = pytest.mark.train


def pictures(*sizes: tuple[int, int]) -> list[Pixels]:
    rng = np.random.default_rng(0)
    coarse = [rng.integers(0, 256, (6, 8, 3), dtype=np.uint8) for _ in sizes]
    return [np.asarray(Image.fromarray(each).resize(size)) for each, size in zip(coarse, sizes, strict=True)]


def tensor(picture: Pixels) -> torch.Tensor:
    return torch.from_numpy(picture.copy()).permute(2, 0, 1).float()


@pytest.fixture(scope="module")
def network() -> Fingerprinter:
    torch.manual_seed(0)
    fresh = Fingerprinter()
    fresh.eval()
    return fresh


def embed(network: Fingerprinter, sent: list[Pixels]) -> torch.Tensor:
    with torch.no_grad():
        return network(torch.stack([reduce(tensor(each), INPUT_SIDE) for each in sent]))


@pytest.mark.parametrize("size", [(96, 96), (300, 200), (97, 301), (80, 300), (31, 17)])
def test_the_reduction_is_the_products(size: tuple[int, int]) -> None:
    (picture,) = pictures(size)
    expected = np.asarray(pixels.squash(Image.fromarray(picture), INPUT_SIDE, 1)).astype(np.float32)
    difference = np.abs(reduce(tensor(picture), INPUT_SIDE).permute(1, 2, 0).numpy() - expected)
    assert difference.max() <= 1.0  # Pillow rounds to 8 bits after each axis


def test_a_crop_is_reduced_like_the_crop() -> None:
    (picture,) = pictures((300, 200))
    rng = random.Random(3)
    seen = reduce(tensor(picture), INPUT_SIDE, rng)
    rng = random.Random(3)
    (top, bottom), (left, right) = shaken(200, rng), shaken(300, rng)
    assert (top, left, bottom, right) != (0, 0, 200, 300)
    expected = pixels.squash(Image.fromarray(picture).crop((left, top, right, bottom)), INPUT_SIDE, 1)
    assert np.abs(seen.permute(1, 2, 0).numpy() - np.asarray(expected)).max() <= 1.0


@pytest.mark.parametrize("length", [1, 19, 20, 500])
def test_a_crop_takes_off_no_more_than_it_may(length: int) -> None:
    rng = random.Random(0)
    for first, last in (shaken(length, rng) for _ in range(200)):
        assert 0 <= first < last <= length
        assert last - first >= length * (1 - SHAKEN)


@pytest.mark.parametrize("adaptive", [False, True])
@pytest.mark.parametrize("pull", [False, True])
def test_a_vector_goes_where_it_is_pulled_within_the_ball(network: Fingerprinter, pull: bool, adaptive: bool) -> None:
    clean = pictures((200, 150), (120, 96), (150, 200))
    target = functional.normalize(torch.randn(3, 1, DIMENSION, generator=torch.Generator().manual_seed(1)), dim=2)
    budget = Budget(eps=4, steps=8, adaptive=adaptive)
    sent = attack(network, clean, Aim(targets=target, pull=pull), budget, side=INPUT_SIDE, seed=5, batch=2)
    assert [each.shape for each in sent] == [each.shape for each in clean]
    assert all(np.abs(a.astype(int) - b).max() <= 4 for a, b in zip(sent, clean, strict=True))
    before, after = ((embed(network, each) * target[:, 0]).sum(dim=1) for each in (clean, sent))
    assert bool((after > before).all() if pull else (after < before).all())


def test_the_same_seed_gives_the_same_attack(network: Fingerprinter) -> None:
    clean = pictures((120, 120))
    aim = Aim(targets=functional.normalize(torch.ones(1, 1, DIMENSION), dim=2), pull=True)
    one, same, other = (
        attack(network, clean, aim, Budget(eps=2, steps=2), side=INPUT_SIDE, seed=seed)[0] for seed in (1, 1, 2)
    )
    assert np.array_equal(one, same)
    assert not np.array_equal(one, other)


def test_a_small_temperature_means_the_nearest_target_and_a_large_one_their_mean() -> None:
    targets = torch.eye(2)[None]
    vector = torch.tensor([[0.8, 0.6]])
    nearest = Aim(targets=targets, pull=True, temperature=1e-3).loss(vector)
    mean = Aim(targets=targets, pull=True, temperature=1e3)
    assert nearest.item() == pytest.approx(-0.8, abs=1e-3)
    moved = mean.loss(torch.tensor([[0.6, 0.8]])) - mean.loss(vector)
    assert moved.item() == pytest.approx(0.0, abs=1e-3)


def test_psnr() -> None:
    black = np.zeros((4, 4, 3), np.uint8)
    assert psnr(black, black) == math.inf
    assert psnr(black, black + 255) == pytest.approx(0.0)
    assert psnr(black, black + 2) == pytest.approx(42.11, abs=0.01)
