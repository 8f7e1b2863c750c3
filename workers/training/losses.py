"""The contrastive objective: InfoNCE against batch and queue, plus two terms that keep the vectors spread out."""

from __future__ import annotations

from typing import Final

import torch
from torch import Tensor
from torch.nn import functional

# As SSCD; .07 gave the first version's less even spread.
TEMPERATURE: Final = 0.05
KOLEO_WEIGHT: Final = 3.0
# Raises the effective dimension (participation ratio 7 to 35) and with it the precision at a fixed threshold.
CORRELATION_WEIGHT: Final = 0.04
MASKED: Final = -1e4


class Queue:
    """The last `size` unit vectors and the numbers of their pictures: negatives for free (He et al. 2020, MoCo)."""

    def __init__(self, size: int, dimension: int) -> None:
        self.vectors = torch.zeros(size, dimension)
        self.ids = torch.full((size,), -1, dtype=torch.long)
        self.at = 0

    def push(self, vectors: Tensor, ids: Tensor) -> None:
        """Overwrites the oldest entries."""
        places = (self.at + torch.arange(len(vectors))) % len(self.ids)
        self.vectors[places] = vectors.detach()
        self.ids[places] = ids
        self.at = int((self.at + len(vectors)) % len(self.ids))

    def filled(self) -> tuple[Tensor, Tensor]:
        """The vectors and ids present so far."""
        present = self.ids >= 0
        return self.vectors[present], self.ids[present]


def info_nce(vectors: Tensor, ids: Tensor, queue: Queue) -> tuple[Tensor, Tensor]:
    """Loss and top-1 accuracy of 2B unit vectors, the two views of picture k at rows k and B + k.

    The negatives of a row are all other pictures of the batch and of the queue; views of the same picture are masked.
    """
    count = len(vectors)
    partner = torch.arange(count).roll(count // 2)
    kept, kept_ids = queue.filled()
    inside = (vectors @ vectors.T).masked_fill(ids[:, None] == ids[None], MASKED)
    positive = (vectors * vectors[partner]).sum(dim=1, keepdim=True)
    outside = (vectors @ kept.T).masked_fill(ids[:, None] == kept_ids[None], MASKED)
    logits = torch.cat([positive, inside, outside], dim=1) / TEMPERATURE
    target = torch.zeros(count, dtype=torch.long)
    return functional.cross_entropy(logits, target), (logits.argmax(dim=1) == 0).float().mean()


def koleo(vectors: Tensor, ids: Tensor) -> Tensor:
    """Mean -log distance to the nearest vector of another picture (Kozachenko-Leonenko; Sablayrolles et al. 2019)."""
    cosine = (vectors @ vectors.T).masked_fill(ids[:, None] == ids[None], -1.0)
    nearest = cosine.max(dim=1).values
    distance = torch.sqrt((2.0 - 2.0 * nearest).clamp(min=1e-6))
    return -torch.log(distance).mean()


def correlation(raw: Tensor) -> Tensor:
    """Sum of squared off-diagonal correlations of the outputs before L2, per dimension."""
    centred = raw.float() - raw.float().mean(dim=0)
    scaled = centred / centred.std(dim=0).clamp(min=1e-4)
    matrix = scaled.T @ scaled / len(raw)
    return (matrix.square().sum() - matrix.diagonal().square().sum()) / raw.shape[1]


def objective(raw: Tensor, ids: Tensor, queue: Queue) -> tuple[Tensor, Tensor, Tensor]:
    """(loss, accuracy, unit vectors) of the 2B outputs of one batch."""
    vectors = functional.normalize(raw.float(), dim=1)
    loss, accuracy = info_nce(vectors, ids, queue)
    total = loss + KOLEO_WEIGHT * koleo(vectors, ids) + CORRELATION_WEIGHT * correlation(raw)
    return total, accuracy, vectors
