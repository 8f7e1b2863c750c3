"""How good a classifier is, said at once and with how far that may be from the truth.

Every score here is one that a head gave which had seen neither the picture nor any of its cluster.  Shares of true
positives have an interval by clusters, not pictures: a burst of ten is one observation.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from workers.intervals import Interval, clopper_pearson

Scores = NDArray[np.float64]

THRESHOLDS: Final = tuple(float(score) for score in range(101))
CONFUSIONS: Final = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Rate:
    """``count`` of ``tried``; the interval covers the true share in 95 % of all experiments."""

    count: int
    tried: int
    interval: Interval

    @property
    def share(self) -> float:
        """The share, 0 of none."""
        return self.count / self.tried if self.tried else 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelRates:
    """``true_positives`` of the label's examples, ``false_positives`` of other pictures, at ``threshold``."""

    label: str
    examples: int
    clusters: int
    threshold: float
    true_positives: Rate
    false_positives: Rate
    suggested: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Confusion:
    """``count`` examples of ``label`` that were called ``said``, ``example`` among them."""

    label: str
    said: str
    count: int
    example: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Rates:
    """What ``show`` tells; the curves give true and false positives of all labels at thresholds 0 to 100.

    ``false_positives`` are of ordinary pictures, ``strangers`` of negatives and drawings that got a label.
    """

    labels: tuple[LabelRates, ...]
    false_positives: Rate
    strangers: Rate
    confusions: tuple[Confusion, ...]
    true_curve: tuple[float, ...]
    false_curve: tuple[float, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Scored:
    """Held-out scores: n x labels of the examples, with each one's label number, name and cluster.

    ``others`` are m x labels of ordinary pictures, ``strangers`` of a user's negatives and of drawings of documents
    that are none of the labels, and of nothing.
    """

    labels: tuple[str, ...]
    examples: Scores
    numbers: NDArray[np.intp]
    names: Sequence[str]
    clusters: Sequence[int]
    others: Scores
    strangers: Scores


def measure(scored: Scored, thresholds: Sequence[float], target: float) -> Rates:
    """Return the rates at the labels' ``thresholds``, and for each label the one for ``target`` false positives."""
    limits = np.asarray(thresholds, np.float64)
    said = decide(scored.examples, limits)
    called = decide(scored.others, limits)
    return Rates(
        labels=tuple(_label(scored, number, limits, said, called, target) for number in range(len(scored.labels))),
        false_positives=rate(int((called >= 0).sum()), len(called)),
        strangers=rate(int((decide(scored.strangers, limits) >= 0).sum()), len(scored.strangers)),
        confusions=_confusions(scored, said),
        true_curve=tuple(_found(scored, np.full_like(limits, at)) for at in THRESHOLDS),
        false_curve=tuple(float((scored.others.max(axis=1) >= at).mean()) for at in THRESHOLDS),
    )


def decide(scores: Scores, thresholds: Scores) -> NDArray[np.intp]:
    """Return the best label that is reached of each row of n x labels scores, -1 for `other`."""
    reached = np.where(scores >= thresholds, scores, -1.0)
    best = reached.argmax(axis=1)
    return np.where(reached[np.arange(len(scores)), best] < 0, -1, best)


def suggest(others: Scores, target: float) -> float:
    """Return the lowest threshold that at most a share ``target`` of other pictures reaches; never below 1."""
    allowed = int(target * len(others) + 1e-9)
    highest = np.sort(others)[::-1]
    return float(min(100.0, max(1.0, np.floor(highest[allowed] * 10 + 1) / 10))) if len(others) > allowed else 1.0


def rate(count: int, tried: int, independent: int | None = None) -> Rate:
    """Return a rate; ``independent`` observations stand behind the interval where they are fewer than ``tried``."""
    if not tried:
        return Rate(count=0, tried=0, interval=Interval(low=0.0, high=1.0))
    behind = tried if independent is None else independent
    return Rate(count=count, tried=tried, interval=clopper_pearson(round(count / tried * behind), behind))


def _label(
    scored: Scored,
    number: int,
    limits: Scores,
    said: NDArray[np.intp],
    called: NDArray[np.intp],
    target: float,
) -> LabelRates:
    own = scored.numbers == number
    clusters = len({cluster for cluster, mine in zip(scored.clusters, own, strict=True) if mine})
    return LabelRates(
        label=scored.labels[number],
        examples=int(own.sum()),
        clusters=clusters,
        threshold=float(limits[number]),
        true_positives=rate(int((said[own] == number).sum()), int(own.sum()), clusters),
        false_positives=rate(int((called == number).sum()), len(called)),
        suggested=suggest(scored.others[:, number], target / len(scored.labels)),
    )


def _found(scored: Scored, limits: Scores) -> float:
    return float((decide(scored.examples, limits) == scored.numbers).mean())


def _confusions(scored: Scored, said: NDArray[np.intp]) -> tuple[Confusion, ...]:
    wrong = np.flatnonzero((said != scored.numbers) & (said >= 0)).tolist()
    pairs = [(scored.labels[scored.numbers[row]], scored.labels[said[row]]) for row in wrong]
    example = {pair: scored.names[row] for pair, row in zip(reversed(pairs), reversed(wrong), strict=True)}
    return tuple(
        Confusion(label=pair[0], said=pair[1], count=count, example=example[pair])
        for pair, count in Counter(pairs).most_common(CONFUSIONS)
    )
