"""The network that takes one encoder's embeddings to another's, trained on pictures that both saw, and its files.

Fully connected blocks with batch normalisation and dropout, narrowing and then widening, beside a linear map that
begins as the least-squares solution.  Measured from f1-96-v1 to f1-128-v2 with 838 pictures, mean cosine to the native
vectors of 269 unseen ones: the blocks alone .78, the linear map alone .835, both .839.  The loss is the mean squared
error between vectors of length 1, which is 2 - 2 cosine: training on the cosine is the same thing.
"""

from __future__ import annotations

import hashlib
import json
import math
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from workers.migration.conversion import ConverterCard, converter_path, sign_inputs, views_path
from workers.training.conversion_pictures import Vectors
from workers.training.onnx_writing import write_checked

NARROW: Final = 192
WIDE: Final = 768
DROPOUT: Final = 0.3
BATCH: Final = 256
STEPS: Final = (50, 500)
EPOCHS: Final = 16
"""Of the pairs, within ``STEPS``: more of a few pictures only learns them by heart."""
RATE: Final = 1e-3
WARM_UP: Final = 50
DECAY: Final = 1e-3
RIDGE: Final = 0.3
"""Of the least squares, a vector of length 1 being one of D numbers about 1: anything up to 1 measures the same."""
RELATED: Final = 0.3
"""Mean cosine of a picture's two vectors as they are; between encoders that were not made of each other it is 0."""
SAME: Final = 1e-4
"""Largest difference of a file's numbers to torch's; measured ones are below 1e-6."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """From which random numbers, and for how many steps (None: as the number of pairs asks for).

    torch on one thread gives the same network for the same seed.
    """

    seed: int = 0
    steps: int | None = None

    def steps_for(self, pairs: int) -> int:
        """How many steps to train on so many pairs."""
        least, most = STEPS
        return min(most, max(least, EPOCHS * pairs // BATCH)) if self.steps is None else self.steps


class ConverterNetwork(nn.Module):
    """N x ``inputs``, L2 = 1, to N x ``outputs``, L2 = 1; ``turned`` outputs come with the other sign."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.gain = math.sqrt(inputs)
        self.linear = nn.Linear(inputs, outputs)
        self.blocks = nn.Sequential(
            *(nn.Linear(inputs, NARROW), nn.BatchNorm1d(NARROW), nn.ReLU(), nn.Dropout(DROPOUT)),
            *(nn.Linear(NARROW, WIDE), nn.BatchNorm1d(WIDE), nn.ReLU(), nn.Dropout(DROPOUT)),
            nn.Linear(WIDE, outputs),
        )
        self.register_buffer("turned", torch.ones(outputs))

    @torch.no_grad()
    def begin(self, source: Vectors, target: Vectors) -> None:
        """Start as the least-squares map of n x inputs to n x outputs: the blocks add nothing yet.

        What the pictures say nothing of is left as it is between encoders of which one was trained on from the other.
        """
        x = source.astype(np.float64) * self.gain
        before = np.zeros((source.shape[1], target.shape[1]))
        if source.shape == target.shape and (alike := float(np.vecdot(source, target).mean())) >= RELATED:
            before = np.eye(source.shape[1]) * alike / self.gain
        ridge = RIDGE * math.sqrt(len(x)) * np.eye(x.shape[1]) * math.sqrt(x.shape[1])
        solution = before + np.linalg.solve(x.T @ x + ridge, x.T @ (target.astype(np.float64) - x @ before))
        self.linear.weight.copy_(torch.from_numpy(solution.T.astype(np.float32)))
        self.linear.bias.zero_()
        last = self.blocks[-1]
        nn.init.zeros_(last.weight)
        nn.init.zeros_(last.bias)

    def forward(self, x: Tensor) -> Tensor:
        """The converted vectors."""
        scaled = x * self.gain
        found: Tensor = functional.normalize(self.linear(scaled) + self.blocks(scaled), dim=1)
        return found * self.turned

    @torch.no_grad()
    def convert(self, vectors: Vectors) -> Vectors:
        """N x inputs to N x outputs."""
        return np.asarray(self(torch.from_numpy(np.ascontiguousarray(vectors))).numpy(), np.float32)

    @torch.no_grad()
    def turn(self, flips: NDArray[np.bool_]) -> None:
        """Give these outputs the other sign from now on."""
        signs = self.get_buffer("turned")
        signs.copy_(torch.from_numpy(np.where(flips, -1.0, 1.0).astype(np.float32)))


def train_network(source: Vectors, target: Vectors, recipe: Recipe) -> ConverterNetwork:
    """Return a network trained on n pairs of vectors, n x D and n x E.

    Raises ValueError for fewer than two pairs: batches are normalised.
    """
    if len(source) < 2:
        raise ValueError("a converter is trained on two pictures at least")
    torch.manual_seed(recipe.seed)
    torch.set_num_threads(1)
    rng = np.random.default_rng(recipe.seed)
    network = ConverterNetwork(source.shape[1], target.shape[1])
    network.begin(source, target)
    network.train()
    optimiser = torch.optim.AdamW(network.parameters(), lr=RATE, weight_decay=DECAY)
    steps = recipe.steps_for(len(source))
    for step in range(steps):
        for group in optimiser.param_groups:
            group["lr"] = RATE * 0.5 * (1 + math.cos(math.pi * step / steps)) * min(1.0, (step + 1) / WARM_UP)
        rows = rng.choice(len(source), size=min(BATCH, len(source)), replace=False)
        goal = torch.from_numpy(target[rows])
        loss = (network(torch.from_numpy(source[rows])) - goal).square().sum(dim=1).mean()
        optimiser.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
    return network.eval()


def signs_of(vectors: Vectors) -> Vectors:
    """What is left of n x D vectors where only their signs were kept, as a converter of views takes it."""
    return sign_inputs((vectors > 0).astype(np.uint8))


def write_converter(
    folder: Path, card: ConverterCard, vectors: ConverterNetwork, views: ConverterNetwork | None
) -> Path:
    """Write a converter's files, the card last, with the digests that it lacks; returns the model's path.

    Raises ValueError where a file computes something else than its network.
    """
    path = converter_path(folder, card.source, card.target)
    folder.mkdir(parents=True, exist_ok=True)
    path.with_suffix(".json").unlink(missing_ok=True)
    _export(vectors, path)
    views_path(path).unlink(missing_ok=True)
    if views is not None:
        _export(views, views_path(path))
    facts = asdict(card) | {
        "sha256": _digest(path),
        "views": "" if views is None else _digest(views_path(path)),
    }
    path.with_suffix(".json").write_text(json.dumps(facts, indent=1) + "\n", encoding="utf-8")
    return path


def _export(network: ConverterNetwork, out: Path) -> None:
    noise = torch.randn(8, network.linear.in_features, generator=torch.Generator().manual_seed(0))
    write_checked(network, functional.normalize(noise, dim=1), out, "z", SAME)


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
