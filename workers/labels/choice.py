"""Which labels an image is given: those nearest to it, as far as they are sure enough."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from workers.labels import space
from workers.labels.space import Floats

MOST: Final = 256
"""Labels of one image: each takes some 40 bytes of the verdict."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """At most the ``nearest`` labels, of them those whose score, 0..100, is ``within`` or more.

    The k nearest labels, however far, are ``nearest=k, within=0``.  Raises ValueError out of range.
    """

    nearest: int
    within: float

    def __post_init__(self) -> None:
        if not (1 <= self.nearest <= MOST and 0 <= self.within <= 100):
            raise ValueError(f"an image is given 1 to {MOST} labels with scores of 0 to 100")

    def chosen(self, cosines: Floats, scores: NDArray[np.float64]) -> NDArray[np.bool_]:
        """Return N x L: the labels that are given; scores rise with the cosines, but may be equal where they differ."""
        return np.asarray(space.nearest(cosines, self.nearest) & space.within(scores, self.within))


DEFAULT_CHOICE: Final = Choice(nearest=MOST, within=50.0)
"""What is more likely right than wrong."""


def changed(choice: Choice, nearest: int | None, within: float | None) -> Choice:
    """Return the choice with what is not None in place of what it says; raises ValueError out of range."""
    return Choice(
        nearest=choice.nearest if nearest is None else nearest, within=choice.within if within is None else within
    )
