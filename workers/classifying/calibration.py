"""From a head's margins to scores: 85 is where one in 200 other pictures is given a label, whichever it is.

A picture is judged by the largest of its labels' margins.  How often pictures that show none of them reach a value of
it is counted, and beyond the last ones that were counted extrapolated exponentially (Pickands, Annals of Statistics 3,
1975, for a tail without weight).  A score below 85 is linear in the logarithm of that share, 0 where every picture is;
above 85 each factor of ten takes a third of what is left to 100, so that no two margins score the same.  All labels
share the map: scaled by its own negatives each, the better label was no longer the one with the higher score, and one
document in 20 got the wrong one.

It is a calibration of the classifier's own: that of copies is about another question.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from workers.classifying.dense_features import Floats

NAMED_RATE: Final = 0.005
"""Share of other pictures that are given any label at `NAMED_SCORE`."""
NAMED_SCORE: Final = 85.0
TARGETS: Final = (NAMED_RATE, 0.01, 0.02)
"""Shares of other pictures for which `show` tells the threshold, and the evaluation whether it keeps to it."""
LEFT_A_DECADE: Final = 2 / 3
"""Of what a score lacks to 100, beyond `NAMED_SCORE`."""
TAIL_SHARE: Final = 0.0075
FEWEST_IN_TAIL: Final = 12
"""The tail is that share of the counted pictures, and no fewer than this."""
KNOTS: Final = 400
"""Of the map, about."""
LEAST_DECAY: Final = 1e-3


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelCalibration:
    """Score ``scores[i]`` at margin ``values[i]``, both rising to `NAMED_SCORE`; ``decay`` is the tail's margins."""

    values: tuple[float, ...]
    scores: tuple[float, ...]
    decay: float

    def score(self, margins: Floats) -> NDArray[np.float64]:
        """Return n x labels scores, 0..100, for n x labels margins."""
        inside = np.interp(margins, self.values, self.scores)
        beyond = np.maximum(margins.astype(np.float64) - self.values[-1], 0.0) / self.decay
        left = 100.0 - NAMED_SCORE
        return np.asarray(np.where(beyond > 0, 100.0 - left * np.exp(beyond * _POWER), inside))


_POWER: Final = math.log(LEFT_A_DECADE) / math.log(10)


def calibrate(margins: Floats) -> LabelCalibration:
    """Return the calibration from n x labels margins of other pictures that the head was not fitted on.

    Raises ValueError for so few that there is nothing but a tail.
    """
    count = len(margins)
    tail = max(FEWEST_IN_TAIL, round(TAIL_SHARE * count))
    if count <= tail:
        raise ValueError(f"{count} other pictures calibrate nothing")
    reached = np.sort(margins.max(axis=1))
    # The i-th largest of n is reached by a share of i / (n + 1): never nobody.
    shares = (count - np.arange(count)) / (count + 1)
    last = count - tail
    start, share = float(reached[last]), float(shares[last])
    decay = max(float((reached[last:] - start).mean()), LEAST_DECAY)
    step = max(1, last // KNOTS)
    # Where the counted share ends, the tail goes on from it: exp(-(value - start) / decay).
    named = start + decay * math.log(share / NAMED_RATE)
    values, counted = [*reached[:last:step], start, named], [*shares[:last:step], share, NAMED_RATE]
    rising = [number for number, value in enumerate(values) if number == 0 or value > values[number - 1]]
    return LabelCalibration(
        values=tuple(float(values[number]) for number in rising),
        scores=tuple(score_of(counted[number]) for number in rising),
        decay=decay,
    )


def score_of(share: float) -> float:
    """Return the score of what a share of other pictures reaches, 0..100."""
    if share >= NAMED_RATE:
        return NAMED_SCORE * math.log(share) / math.log(NAMED_RATE)
    return 100.0 - (100.0 - NAMED_SCORE) * math.exp(_POWER * math.log(NAMED_RATE / share))
