"""White-box attacks on the encoder: projected gradient descent in an L-infinity ball (Madry et al., ICLR 2018).

The picture that is changed is the one that is sent, at its own size; the gradient goes back through the product's
reduction to the encoder's square (`decoding.pixels.squash`), which is linear along each axis, so it is two matrices.
What is sent has 8 bits a channel: a perturbation is rounded to whole levels before anybody looks at it.
"""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor, nn

from workers.training.network import INPUT_SIDE, Fingerprinter
from workers.training.restore import restore

REACH: Final = 2.5
"""Length of all steps together over the ball's radius: far enough to cross the ball, as Madry et al. take it."""
SHAKEN: Final = 0.05
"""Share of a side that the random crop of an adaptive attack, and of the defence it meets, takes off at most."""

type Pixels = NDArray[np.uint8]
type Vectors = NDArray[np.float32]


@dataclass(frozen=True, slots=True, kw_only=True)
class Aim:
    """Where the vector of each picture is to go: to the nearest of its targets, or away from all of them.

    ``targets`` N x T x D unit vectors; ``temperature`` of the soft maximum over a picture's targets: small for the
    nearest one, large for their mean.
    """

    targets: Tensor
    pull: bool
    temperature: float = 0.05

    def loss(self, vectors: Tensor) -> Tensor:
        """N losses of N x D vectors, smaller the nearer the aim."""
        cosines = torch.einsum("nd,ntd->nt", vectors, self.targets)
        nearest = self.temperature * torch.logsumexp(cosines / self.temperature, dim=1)
        return -nearest if self.pull else nearest

    def part(self, rows: slice) -> Aim:
        """The same aim for some of the pictures."""
        return Aim(targets=self.targets[rows], pull=self.pull, temperature=self.temperature)


@dataclass(frozen=True, slots=True, kw_only=True)
class Budget:
    """How much an attacker may do: ``eps`` grey levels of 255 a channel, so many gradient steps.

    ``adaptive``: each step sees another random crop of the picture, so that what is found survives one (expectation
    over transformation, Athalye et al., ICML 2018).
    """

    eps: int
    steps: int = 20
    adaptive: bool = False


class Attacker:
    """Whoever has an encoder's file: its weights and their gradient.  Takes and gives arrays, no tensors."""

    def __init__(self, model: Path, squares: Sequence[Pixels]) -> None:
        """Load the fp32 ``model``; ``squares`` side x side x 3 are any pictures.

        Raises ValueError where the file is not of this project's network.
        """
        self._network = Fingerprinter()
        restore(self._network, model, _batch(squares))
        self._network.eval()
        self._network.requires_grad_(requires_grad=False)  # only the pictures change; halves the backward pass

    def embed(self, squares: Sequence[Pixels]) -> Vectors:
        """N x D unit vectors of squares of the encoder's side."""
        with torch.no_grad():
            return np.asarray(self._network(_batch(squares)).numpy())

    def perturb(
        self,
        pictures: Sequence[Pixels],
        targets: Vectors,
        budget: Budget,
        *,
        pull: bool,
        temperature: float,
        seed: int = 0,
    ) -> list[Pixels]:
        """The pictures moved to their N x T x D ``targets``, or away from them (see `Aim`, `attack`)."""
        aim = Aim(targets=torch.from_numpy(targets), pull=pull, temperature=temperature)
        return attack(self._network, pictures, aim, budget, side=INPUT_SIDE, seed=seed)


def _batch(squares: Sequence[Pixels]) -> Tensor:
    return torch.from_numpy(np.stack(squares)).permute(0, 3, 1, 2).float()


def attack(
    network: nn.Module, pictures: Sequence[Pixels], aim: Aim, budget: Budget, *, side: int, seed: int, batch: int = 32
) -> list[Pixels]:
    """The pictures (height x width x 3 each, any sizes) perturbed towards the aim, at most ``eps`` levels a channel.

    The network takes N x 3 x side x side pixels in 0..255 and gives unit vectors; it has to be in evaluation mode.
    """
    rng = random.Random(seed)
    result: list[Pixels] = []
    for first in range(0, len(pictures), batch):
        rows = slice(first, first + batch)
        result += _attack(network, pictures[rows], aim.part(rows), budget, side, rng)
    return result


def _attack(
    network: nn.Module, pictures: Sequence[Pixels], aim: Aim, budget: Budget, side: int, rng: random.Random
) -> list[Pixels]:
    generator = torch.Generator().manual_seed(rng.getrandbits(32))
    clean = [torch.from_numpy(picture.copy()).permute(2, 0, 1).float() for picture in pictures]
    lows = [(picture - budget.eps).clamp(min=0) for picture in clean]
    highs = [(picture + budget.eps).clamp(max=255) for picture in clean]
    sent = [
        low + (high - low) * torch.rand(low.shape, generator=generator) for low, high in zip(lows, highs, strict=True)
    ]
    step = REACH * budget.eps / budget.steps
    for _ in range(budget.steps):
        for picture in sent:
            picture.requires_grad_(requires_grad=True)
        squares = torch.stack([reduce(picture, side, rng if budget.adaptive else None) for picture in sent])
        loss = aim.loss(network(squares)).sum()
        gradients = torch.autograd.grad(loss, sent)
        sent = [
            torch.minimum(torch.maximum(picture.detach() - step * gradient.sign(), low), high)
            for picture, gradient, low, high in zip(sent, gradients, lows, highs, strict=True)
        ]
    return [picture.round().byte().permute(1, 2, 0).contiguous().numpy() for picture in sent]


def reduce(picture: Tensor, side: int, rng: random.Random | None = None) -> Tensor:
    """3 x height x width to 3 x side x side as the product reduces it; with ``rng`` a random crop of it."""
    height, width = picture.shape[1:]
    rows, columns = ((0, height), (0, width)) if rng is None else (shaken(height, rng), shaken(width, rng))
    smooth = min(rows[1] - rows[0], columns[1] - columns[0]) >= side
    down, across = reduction(height, side, *rows, smooth=smooth), reduction(width, side, *columns, smooth=smooth)
    return down @ picture @ across.T


def shaken(length: int, rng: random.Random) -> tuple[int, int]:
    """First and last (exclusive) row of a random crop that takes off up to ``SHAKEN`` of the side."""
    kept = math.ceil(length * (1 - rng.uniform(0, SHAKEN)))
    first = rng.randint(0, length - kept)
    return first, first + kept


@lru_cache(maxsize=512)
def reduction(length: int, side: int, first: int, last: int, *, smooth: bool) -> Tensor:
    """The side x length matrix by which Pillow resizes rows ``first``..``last``: its answer to unit rows."""
    method = Image.Resampling.BOX if smooth else Image.Resampling.BILINEAR
    kept = Image.fromarray(np.eye(length, dtype=np.float32)[first:last])
    return torch.from_numpy(np.array(kept.resize((length, side), method)))


def psnr(one: Pixels, other: Pixels) -> float:
    """Peak signal to noise ratio in dB; infinite for equal pictures."""
    error = float(np.square(one.astype(np.float64) - other).mean())
    return math.inf if error == 0 else 10 * math.log10(255**2 / error)


__all__ = ["Aim", "Attacker", "Budget", "Pixels", "attack", "psnr", "reduce", "reduction", "shaken"]
