"""How sure a label is: of a hundred answers as near as this one, so many were right on images nobody trained on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

import numpy as np
from numpy.typing import NDArray

from workers.labels.space import Floats, Presence

KNOTS: Final = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class Precision:
    """Precision (0..1) over the cosine: linear between the knots, constant beyond them; ``cosines`` ascend."""

    cosines: tuple[float, ...]
    precisions: tuple[float, ...]

    def __post_init__(self) -> None:
        ascends = all(a < b for a, b in pairwise(self.cosines))
        monotone = all(a <= b for a, b in pairwise(self.precisions))
        inside = all(0.0 <= value <= 1.0 for value in self.precisions)
        if not self.cosines or len(self.cosines) != len(self.precisions) or not (ascends and monotone and inside):
            raise ValueError("precisions rise with ascending cosines, between 0 and 1")

    def scores(self, cosines: Floats) -> NDArray[np.float64]:
        """Return scores, 0..100, of the cosines' shape."""
        return np.asarray(100.0 * np.interp(cosines, self.cosines, self.precisions))


def fit_precision(cosines: Floats, presence: Presence) -> Precision:
    """Return the precision that N x L answers had, pooled over labels, as the nearest function that never falls.

    Pool-adjacent-violators over ``KNOTS`` groups of equally many right answers (Ayer et al., Annals of Mathematical
    Statistics 26, 1955): a group of the wrong ones alone would say nothing about where they begin to be right.
    Raises ValueError where no answer is right.
    """
    flat, right = cosines.ravel(), presence.ravel()
    count = int(right.sum())
    if count == 0:
        raise ValueError("no image has any of the labels")
    order = np.argsort(-flat, kind="stable")
    sums = np.cumsum(right[order])
    ends = np.searchsorted(sums, np.linspace(count / min(KNOTS, count), count, min(KNOTS, count)).round()) + 1
    edges = np.unique(np.concatenate([[0], ends, [len(flat)]]))
    groups = [
        (float(right[order[start:end]].mean()), end - start, float(flat[order[start:end]].mean()))
        for start, end in pairwise(edges.tolist())
    ]
    return _rising(groups[::-1])


def _rising(groups: Sequence[tuple[float, int, float]]) -> Precision:
    pooled: list[tuple[float, int, float]] = []
    for group in groups:
        pooled.append(group)
        while len(pooled) > 1 and (pooled[-2][0] >= pooled[-1][0] or pooled[-2][2] >= pooled[-1][2]):
            (first, size, at), (second, more, where) = pooled[-2:]
            total = size + more
            pooled[-2:] = [((first * size + second * more) / total, total, (at * size + where * more) / total)]
    return Precision(
        cosines=tuple(round(at, 5) for _, _, at in pooled), precisions=tuple(round(value, 5) for value, _, _ in pooled)
    )
