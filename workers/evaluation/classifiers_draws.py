"""Which pictures teach and which are asked for, and what a method said of these.  Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from workers.classifying.calibration import NAMED_RATE, NAMED_SCORE, TARGETS, score_of
from workers.classifying.clusters import cluster
from workers.classifying.dense_features import Floats
from workers.classifying.model import Example
from workers.classifying.rates import Scores, decide
from workers.classifying.vectors import unit
from workers.evaluation.classifiers_pictures import LEAST_TESTED, TESTED

SEED: Final = 7


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Seen:
    """Pictures as vectors: label, whether no training of the encoder had it, and PDQ of each; rows n x length."""

    labels: tuple[str, ...]
    unseen: NDArray[np.bool_]
    pdqs: tuple[str, ...]
    rows: Floats

    def example(self, number: int) -> Example:
        """Return a picture as a classifier keeps it."""
        name = str(number)
        row = self.rows[number].astype(np.float16).tobytes()
        return Example(sha256=name, name=name, label=self.labels[number], pdq=self.pdqs[number], row=row)


@dataclass(frozen=True, slots=True, kw_only=True)
class Draw:
    """Numbers of the pictures that teach and of those that are asked for, of ``labels``, in alphabetical order."""

    labels: tuple[str, ...]
    taught: tuple[int, ...]
    asked: tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """How many of the ``asked`` pictures, and of the ``fresh`` ones that no training had, were given their label.

    ``named``: where one in 200 of the ``others`` pictures is given any; ``accepted``, and how many others were given a
    label (``alarms``): at the score that stands for it; ``nearest``: had `other` been no answer.  ``reached``: how many
    others were given a label at the scores that stand for the shares TARGETS.
    """

    asked: int
    fresh: int
    others: int
    named: int
    named_fresh: int
    accepted: int
    alarms: int
    nearest: int
    reached: tuple[int, ...]


def clusters_of(seen: Seen) -> NDArray[np.intp]:
    """Return each picture's cluster: near-duplicates are of one, whatever their label."""
    return np.array(cluster(seen.pdqs, unit(seen.rows)), np.intp)


def draw(seen: Seen, clusters: NDArray[np.intp], shots: int, number: int) -> Draw:
    """Return the ``number``-th draw of ``shots`` pictures a class; a class that is too small is left out.

    Whole clusters are taken, those that a training has seen first: what is asked for is unseen as far as there is any.
    A cluster that is cut is asked for no more.
    """
    rng = np.random.default_rng([SEED, shots, number])
    labels = np.array(seen.labels)
    taught: list[int] = []
    asked: list[int] = []
    kept = []
    for label in sorted(set(seen.labels)):
        own = np.flatnonzero(labels == label)
        order = _shuffled(own, clusters, seen.unseen, rng)
        mine, rest = order[:shots], order[shots:]
        rest = [one for one in rest if clusters[one] not in clusters[mine]]
        rest = sorted(rest, key=lambda one: not seen.unseen[one])[:TESTED]
        if len(mine) == shots and len(rest) >= LEAST_TESTED:
            kept.append(label)
            taught += mine
            asked += rest
    # A picture may lie beside one of another label that teaches.
    used = set(clusters[taught].tolist())
    return Draw(
        labels=tuple(kept),
        taught=tuple(taught),
        asked=tuple(one for one in asked if clusters[one] not in used),
    )


def _shuffled(
    own: NDArray[np.intp], clusters: NDArray[np.intp], unseen: NDArray[np.bool_], rng: np.random.Generator
) -> list[int]:
    numbers = rng.permutation(np.unique(clusters[own]))
    fresh = [bool(unseen[own[clusters[own] == number]].any()) for number in numbers]
    order = [numbers[place] for place in np.argsort(fresh, kind="stable")]
    return [int(one) for number in order for one in own[clusters[own] == number]]


def judge(seen: Seen, drawn: Draw, scores: Scores, others: Scores) -> Outcome:
    """Count what a method said: n x labels ``scores`` of what was asked for, in order, m x labels of ``others``."""
    place = {label: number for number, label in enumerate(drawn.labels)}
    truth = np.array([place[seen.labels[one]] for one in drawn.asked], np.intp)
    fresh = seen.unseen[list(drawn.asked)]
    best = scores.argmax(axis=1)
    named = (best == truth) & (scores.max(axis=1) > reached_by(others))
    limits = np.full(len(drawn.labels), NAMED_SCORE)
    return Outcome(
        asked=len(truth),
        fresh=int(fresh.sum()),
        others=len(others),
        named=int(named.sum()),
        named_fresh=int((named & fresh).sum()),
        accepted=int((decide(scores, limits) == truth).sum()),
        alarms=int((decide(others, limits) >= 0).sum()),
        nearest=int((best == truth).sum()),
        reached=tuple(int((others.max(axis=1) >= score_of(target)).sum()) for target in TARGETS),
    )


def reached_by(others: Scores, rate: float = NAMED_RATE) -> float:
    """Return the score that at most a share ``rate`` of other pictures is above."""
    highest: Sequence[float] = np.sort(others.max(axis=1))[::-1].tolist()
    return highest[min(len(highest) - 1, int(rate * len(highest) + 1e-9))]
