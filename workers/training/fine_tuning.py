"""A small network taught by back-propagation: what training a classifier from a few images usually means.

Two beginnings are compared: the shipped encoder's own weights (fine-tuning) and chance.  Both end in a new linear layer
over the labels and `other`, and are trained whole: AdamW under a one-cycle schedule (Smith and Topin,
arXiv:1708.07120), cross-entropy, random crops and colours.  It is the baseline of ``safelight classifier evaluate``.
"""

from __future__ import annotations

import random
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import cv2
import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from workers.encoders.files import EncoderCard
from workers.training.augment import random_crop, recolour
from workers.training.lesson import Floats, Judged, Lesson, Moment, Pixels
from workers.training.network import DIMENSION, Fingerprinter, standardise
from workers.training.restore import restore

SEED: Final = 5
BATCH: Final = 32
RATE: Final = 1e-3
"""Of learning, at the cycle's top, for the new layer and for weights that begin by chance."""
RESTORED_RATE: Final = 3e-4
DECAY: Final = 0.05
SMALLEST_CROP: Final = 0.6
COLOUR_STRENGTH: Final = 0.5
LOOKS: Final = 8
"""How often a training is judged, spread evenly; judging is not counted as its time."""
SHORT: Final = 0.25
"""Of the time: a schedule that ends sooner is better then than a longer one is on its way."""
MEASURED_STEPS: Final = 4
"""After which it is known how many steps there is time for."""
STATISTICS: Final = 256
"""Pictures that a restored network's normalisation is measured on."""


class Network(nn.Module):
    """The encoder's network up to its pooled features, and a linear layer of ``count`` classes."""

    def __init__(self, count: int) -> None:
        super().__init__()
        self.body = Fingerprinter()
        self.last = nn.Linear(DIMENSION, count)

    def forward(self, pixels: Tensor) -> Tensor:
        """N x 3 x side x side in 0..255 to N x count logits."""
        features: Tensor = self.body.pool(self.body.trunk(self.body.stem(standardise(pixels))))
        logits: Tensor = self.last(features)
        return logits


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """``name`` for the table; ``start``: the encoder's fp32 file whose weights are the beginning, None: chance.

    ``seconds`` of processor time, on one thread, are the length of its schedule.
    """

    name: str
    start: Path | None
    seconds: float


def plans(encoder: EncoderCard, seconds: float) -> tuple[Plan, ...]:
    """Return what is trained for ``seconds`` or `SHORT` of them, from both beginnings.

    An imported encoder is another network, which is not fine-tuned.
    """
    short = SHORT * seconds
    chance = Plan(name=f"from chance, {short:.0f} s", start=None, seconds=short)
    if encoder.imported:
        return (chance,)
    start = encoder.files["fp32"].path
    tuned = [
        Plan(name=f"fine-tuned from the encoder, {each:.0f} s", start=start, seconds=each) for each in (seconds, short)
    ]
    return (*tuned, chance)


def train(plan: Plan, lesson: Lesson, judged: Judged) -> tuple[Moment, ...]:
    """Train a network and return its course; ``judged`` is asked what the network as it is gets right."""
    torch.manual_seed(SEED)
    torch.set_num_threads(1)
    rng = random.Random(SEED)
    network = Network(lesson.count)
    begun, paused = (time.process_time(), time.monotonic()), (0.0, 0.0)
    if plan.start is not None:
        restore(network.body, plan.start, _tensor(lesson.pixels[:: max(1, len(lesson.pixels) // STATISTICS)]))
    body = RATE if plan.start is None else RESTORED_RATE
    optimizer = torch.optim.AdamW(
        [{"params": network.body.parameters(), "lr": body}, {"params": network.last.parameters(), "lr": RATE}],
        weight_decay=DECAY,
    )
    moments: list[Moment] = []
    step, steps = 0, max(LOOKS, MEASURED_STEPS)
    stepped = time.process_time()
    while step < steps:
        _cycle(optimizer, (body, RATE), 0.0 if step < MEASURED_STEPS else step / steps)
        _step(network, optimizer, lesson, rng)
        step += 1
        if step == MEASURED_STEPS:
            a_step = (time.process_time() - stepped) / step
            steps = max(steps, int((plan.seconds - (stepped - begun[0])) / a_step))
        if step >= MEASURED_STEPS and step * LOOKS // steps > len(moments):
            now = (time.process_time(), time.monotonic())
            used = (now[0] - begun[0] - paused[0], now[1] - begun[1] - paused[1])
            share = judged(lambda pixels: _margins(network, pixels))
            moments.append(Moment(views=step * BATCH, processor=used[0], seconds=used[1], named=share))
            paused = (paused[0] + time.process_time() - now[0], paused[1] + time.monotonic() - now[1])
    return tuple(moments)


def _cycle(optimizer: torch.optim.Optimizer, highest: tuple[float, ...], share: float) -> None:
    """A fifth of the steps up, the rest down along a cosine."""
    factor = share / 0.2 if share < 0.2 else 0.5 * (1 + float(np.cos(np.pi * (share - 0.2) / 0.8)))
    for group, rate in zip(optimizer.param_groups, highest, strict=True):
        group["lr"] = rate * max(0.01, factor)


def _step(network: Network, optimizer: torch.optim.Optimizer, lesson: Lesson, rng: random.Random) -> None:
    network.train()
    numbers = [rng.randrange(len(lesson.pixels)) for _ in range(BATCH)]
    views = np.stack([_view(lesson.pixels[number], rng) for number in numbers])
    loss = functional.cross_entropy(network(_tensor(views)), torch.from_numpy(lesson.classes[numbers]))
    optimizer.zero_grad()
    loss.backward()  # type: ignore[no-untyped-call]
    optimizer.step()


def _view(pixels: Pixels, rng: random.Random) -> Pixels:
    side = len(pixels)
    left, top, width, height = (round(part * side) for part in random_crop(rng, SMALLEST_CROP))
    cut = np.ascontiguousarray(pixels[top : top + max(8, height), left : left + max(8, width)])
    resized = np.asarray(cv2.resize(cut, (side, side), interpolation=cv2.INTER_LINEAR), np.uint8)
    return recolour(resized, rng, COLOUR_STRENGTH)


@torch.no_grad()
def _margins(network: Network, pixels: Pixels) -> Floats:
    network.eval()
    logits = torch.cat([network(_tensor(pixels[at : at + BATCH])) for at in range(0, len(pixels), BATCH)])
    return np.asarray((logits[:, 1:] - logits[:, :1]).numpy(), np.float32)


def _tensor(pixels: Pixels) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(pixels.transpose(0, 3, 1, 2))).float()
