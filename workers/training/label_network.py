"""Networks from pictures to labels: towards points of a label space by cosine proximity, or L sigmoid outputs.

Both have the same trunk and the same optimiser, RMSprop (F. Chollet 2016, arXiv:1607.05691), begin with the answer
that is best without looking, and get the same seconds, so that they can be compared.  The trunk is a hidden layer on
the frozen encoder's vectors; with an encoder of their own all of it is trained.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from workers.labels.space import LabelSpace, Presence
from workers.training.network import DIMENSION, Fingerprinter
from workers.training.onnx_writing import write_checked

HIDDEN: Final = 1024
DROPOUT: Final = 0.2
FINAL_RATE: Final = 0.05
REPORT_EVERY: Final = 50
EVALUATED_AT_ONCE: Final = 256
SAME: Final = 1e-3
"""Of a cosine: measured differences of the file to torch are below 1e-5."""

type Method = Literal["embedding", "sigmoid"]


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelTraining:
    """How a network is trained: ``seconds`` of processor time; ``max_steps`` ends it early (tests)."""

    seconds: float = 60.0
    batch: int = 256
    rate: float = 1e-3
    seed: int = 0
    threads: int = 1
    max_steps: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Examples:
    """N inputs, vectors N x D float32 or pictures N x S x S x 3 uint8, and their labels, N x L."""

    inputs: NDArray[np.float32] | NDArray[np.uint8]
    presence: Presence

    def batch(self, rows: NDArray[np.int64]) -> Tensor:
        """Inputs as the network takes them."""
        chosen = torch.from_numpy(np.ascontiguousarray(self.inputs[rows]))
        return chosen.permute(0, 3, 1, 2).float() if chosen.ndim == 4 else chosen


class LabelHead(nn.Module):
    """Vectors N x ``inputs`` to N x ``outputs``; behind an encoder of its own it takes N x 3 x S x S pixels."""

    def __init__(self, inputs: int, outputs: int, encoder: Fingerprinter | None = None) -> None:
        super().__init__()
        self.encoder = encoder
        self.scale = inputs**0.5  # a unit vector's values to a variance of 1: the layers learn in half the steps
        self.steps = 0
        self.layers = nn.Sequential(
            nn.Linear(inputs, HIDDEN), nn.ReLU(), nn.Dropout(DROPOUT), nn.Linear(HIDDEN, outputs)
        )

    def forward(self, x: Tensor) -> Tensor:
        """What the outputs mean is the method's."""
        found: Tensor = self.layers(self.scale * (x if self.encoder is None else self.encoder(x)))
        return found

    @torch.no_grad()
    def begin_with(self, answer: NDArray[np.float32]) -> None:
        """Give this answer, ``outputs`` values, to everything for a start."""
        last = self.layers[-1]
        last.weight.zero_()
        last.bias.copy_(torch.from_numpy(answer))


def train_network(
    examples: Examples,
    method: Method,
    space: LabelSpace,
    config: LabelTraining,
    *,
    encoder: Fingerprinter | None = None,
    report: Callable[[float, float], None] | None = None,
) -> LabelHead:
    """Return a network trained for ``config.seconds``; ``report`` gets the share that is spent, and the loss."""
    torch.manual_seed(config.seed)
    torch.set_num_threads(config.threads)
    rng = np.random.default_rng(config.seed)
    if not examples.presence.any():
        raise ValueError("no image has any of the labels")
    count = len(examples.presence)
    inputs = DIMENSION if encoder is not None else examples.inputs.shape[1]
    head = LabelHead(inputs, space.dimension if method == "embedding" else len(space.names), encoder).train()
    optimiser = torch.optim.RMSprop(head.parameters(), lr=config.rate)
    targets = space.targets(examples.presence) if method == "embedding" else None
    head.begin_with(_log_odds(examples.presence) if targets is None else targets.mean(axis=0))
    goals = None if targets is None else torch.from_numpy(targets)
    started, share = time.process_time(), 0.0
    while share < 1.0 and (config.max_steps is None or head.steps < config.max_steps):
        rows = rng.choice(count, size=min(config.batch, count), replace=False)
        found = head(examples.batch(rows))
        loss = _loss(found, goals, examples.presence, rows)
        optimiser.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        for group in optimiser.param_groups:
            group["lr"] = config.rate * (FINAL_RATE + (1 - FINAL_RATE) * (1 - share))
        optimiser.step()
        head.steps += 1
        share = min(1.0, (time.process_time() - started) / config.seconds)
        if report is not None and head.steps % REPORT_EVERY == 0:
            report(share, float(loss.detach()))
    return head.eval()


def _log_odds(presence: Presence) -> NDArray[np.float32]:
    shares = np.clip(presence.mean(axis=0), 0.5 / len(presence), 1 - 0.5 / len(presence))
    return np.log(shares / (1 - shares)).astype(np.float32)


def _loss(found: Tensor, goals: Tensor | None, presence: Presence, rows: NDArray[np.int64]) -> Tensor:
    if goals is not None:
        return -functional.cosine_similarity(found, goals[torch.from_numpy(rows)], dim=1).mean()
    wanted = torch.from_numpy(presence[rows].astype(np.float32))
    # Summed over the labels: a mean over thousands leaves each label a gradient of nothing.
    return functional.binary_cross_entropy_with_logits(found, wanted, reduction="sum") / len(rows)


@torch.no_grad()
def label_scores(head: LabelHead, examples: Examples, space: LabelSpace, method: Method) -> NDArray[np.float32]:
    """Return N x L: cosines with the labels' places, or logits."""
    places = torch.from_numpy(space.places())
    parts = []
    for start in range(0, len(examples.presence), EVALUATED_AT_ONCE):
        rows = np.arange(start, min(start + EVALUATED_AT_ONCE, len(examples.presence)))
        found = head(examples.batch(rows))
        parts.append((functional.normalize(found, dim=1) @ places.T if method == "embedding" else found).numpy())
    return np.concatenate(parts)


class _Cosines(nn.Module):
    """A head and its labels' places in one graph."""

    def __init__(self, head: LabelHead, space: LabelSpace) -> None:
        super().__init__()
        self.head = head
        self.register_buffer("places", torch.from_numpy(np.ascontiguousarray(space.places().T)))

    def forward(self, x: Tensor) -> Tensor:
        cosines: Tensor = functional.normalize(self.head(x), dim=1) @ self.places
        return cosines


def export_network(head: LabelHead, space: LabelSpace, out: Path, example: Tensor) -> None:
    """Write the ONNX file that `workers.labels.network` reads; raises ValueError where it computes something else."""
    write_checked(_Cosines(head, space).eval(), example, out, "cosines", SAME)
