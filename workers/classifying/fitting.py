"""From examples and the bank to a classifier: fit, score what was held out, calibrate, measure.

The held-out scores come from FOLDS heads, each fitted without a tenth of the clusters and of the bank (where there are
no more than FOLDS clusters, that is leave one cluster out); those of the bank's photographs that no head is fitted on
come from the head itself.  With 50 pictures of one label and the bank it takes a second of one core.

A user's picture overwrites the bank: a drawn document that lies as near to a label's examples as these lie to one
another is left out, for it shows the label, and so is a near-duplicate.  No other photograph is: the nearest ones are
what the false positives are counted on.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from shared.core.policy_conditions import OTHER
from shared.errors import UsageError
from workers.classifying.bank import Bank
from workers.classifying.calibration import NAMED_RATE, NAMED_SCORE, calibrate
from workers.classifying.clusters import COSINE, cluster, folds_of
from workers.classifying.dense_features import Floats
from workers.classifying.head import Head, fit_head
from workers.classifying.model import Classifier, Example, Mode, rows_of
from workers.classifying.rates import Scored, measure
from workers.classifying.vectors import Space, unit

RIDGE: Final = 0.003
"""Between .001 and .01 nothing moves; .03 names 1 document in 100 less."""
FOLDS: Final = 10
FEWEST: Final = 5
"""Examples of a label below which nothing can be said of it."""
ADVISED: Final = 20
NEAR_SHARE: Final = 0.1
"""As near as all but this share of a label's examples are to another of them, a drawn document shows the label."""
NEGATIVES_WEIGH: Final = 40
"""A user's negatives, all together, weigh as much as the bank from half of this number on."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """What a user chooses; ``thresholds`` by label, NAMED_SCORE where one is not named."""

    name: str
    thresholds: Mapping[str, float]
    mode: Mode
    target: float = NAMED_RATE


def fit(recipe: Recipe, examples: tuple[Example, ...], bank: Bank, space: Space, now: float) -> Classifier:
    """Return a classifier of the examples' labels; raises UsageError for a label of too few."""
    labels = tuple(sorted({example.label for example in examples} - {OTHER}))
    for label in labels:
        count = sum(example.label == label for example in examples)
        if count < FEWEST:
            raise UsageError(f"label {label} has {count} images; at least {FEWEST} are needed, {ADVISED} are advised")
    ordered = tuple(sorted(examples, key=lambda example: (example.label, example.sha256)))
    lesson = _lesson(ordered, labels, bank)
    head = _fitted(lesson, lesson.fits, None)
    clusters = cluster([example.pdq for example in ordered], unit(rows_of(ordered)))
    margins = _held_out(lesson, head, clusters)
    calibration = calibrate(margins[lesson.ordinary])
    thresholds = tuple(recipe.thresholds.get(label, NAMED_SCORE) for label in labels)
    own = np.flatnonzero(lesson.classes > 0)
    scored = Scored(
        labels=labels,
        examples=calibration.score(margins[own]),
        numbers=lesson.classes[own] - 1,
        names=[ordered[row].name for row in own.tolist()],
        clusters=[clusters[row] for row in own.tolist()],
        others=calibration.score(margins[lesson.ordinary]),
        strangers=calibration.score(margins[(lesson.classes == 0) & ~lesson.ordinary]),
    )
    return Classifier(
        name=recipe.name,
        space=space,
        labels=labels,
        thresholds=thresholds,
        mode=recipe.mode,
        examples=ordered,
        head=head,
        calibration=calibration,
        rates=measure(scored, thresholds, recipe.target),
        created=now,
    )


@dataclass(frozen=True, slots=True)
class _Lesson:
    """The examples' rows, then the bank's; class 0 is `other`, ``ordinary`` what false positives are counted on.

    ``fits``: what a head is fitted on.
    """

    rows: Floats
    classes: NDArray[np.intp]
    weights: Floats
    count: int
    ordinary: NDArray[np.bool_]
    fits: NDArray[np.bool_]


def _lesson(examples: tuple[Example, ...], labels: tuple[str, ...], bank: Bank) -> _Lesson:
    rows = rows_of(examples)
    number = {OTHER: 0} | {label: index + 1 for index, label in enumerate(labels)}
    classes = np.array([number[example.label] for example in examples], np.intp)
    left = ~_overwritten(rows, classes, bank)
    kept = bank.rows[left]
    return _Lesson(
        rows=np.concatenate([rows, kept]),
        ordinary=np.concatenate([np.zeros(len(rows), np.bool_), bank.ordinary[left]]),
        classes=np.concatenate([classes, np.zeros(len(kept), np.intp)]),
        fits=np.concatenate([np.ones(len(rows), np.bool_), bank.fits[left]]),
        weights=_weights(classes, bank.fits[left]),
        count=len(labels) + 1,
    )


def _weights(classes: NDArray[np.intp], banked: NDArray[np.bool_]) -> Floats:
    """Every label weighs 1, and so does `other`, of which a user's negatives are up to a half."""
    sizes = np.bincount(classes)
    weights = 1.0 / sizes[classes]
    negatives = classes == 0
    share = min(0.5, negatives.sum() / NEGATIVES_WEIGH)
    weights[negatives] = share / max(1, negatives.sum())
    return np.concatenate([weights, banked * (1 - share) / max(1, banked.sum())]).astype(np.float32)


def _overwritten(rows: Floats, classes: NDArray[np.intp], bank: Bank) -> NDArray[np.bool_]:
    directions, others = unit(rows), unit(bank.rows)
    out = np.zeros(len(others), np.bool_)
    for number in np.unique(classes[classes > 0]):
        own = directions[classes == number]
        among = own @ own.T
        np.fill_diagonal(among, -1.0)
        usual = float(np.quantile(among.max(axis=1), NEAR_SHARE))
        out |= (others @ own.T).max(axis=1) >= np.where(bank.ordinary, COSINE, min(COSINE, usual))
    return out


def _fitted(lesson: _Lesson, used: NDArray[np.bool_], start: Head | None) -> Head:
    return fit_head(
        lesson.rows[used],
        lesson.classes[used],
        lesson.count,
        ridge=RIDGE,
        weights=_again(lesson.weights, lesson.classes, used),
        start=start,
    )


def _again(weights: Floats, classes: NDArray[np.intp], used: NDArray[np.bool_]) -> Floats:
    """A class of which a part is held out weighs as much as before."""
    whole = np.bincount(classes, weights)
    part = np.bincount(classes[used], weights[used], len(whole))
    return np.asarray(weights[used] * (whole / np.maximum(part, 1e-12))[classes[used]], dtype=np.float32)


def _held_out(lesson: _Lesson, head: Head, clusters: Sequence[int]) -> Floats:
    """Return each row's margins by a head that was fitted without it and its cluster."""
    banked = lesson.fits[len(clusters) :]
    folds = np.concatenate([_spread(lesson, clusters), np.where(banked, (np.cumsum(banked) - 1) % FOLDS, -1)])
    margins = head.margins(lesson.rows)
    for fold in range(FOLDS):
        out = folds == fold
        if out.any():
            margins[out] = _fitted(lesson, lesson.fits & ~out, head).margins(lesson.rows[out])
    return margins


def _spread(lesson: _Lesson, clusters: Sequence[int]) -> NDArray[np.intp]:
    """Each example's fold, label by label, so that no fold takes the whole of a label.

    A label whose examples are all one cluster cannot be held out whole: its pictures are spread one by one.
    """
    folds = np.zeros(len(clusters), np.intp)
    for number in np.unique(lesson.classes[: len(clusters)]):
        own = np.flatnonzero(lesson.classes[: len(clusters)] == number)
        mine = [clusters[row] for row in own.tolist()]
        folds[own] = folds_of(mine if len(set(mine)) > 1 else range(len(own)), FOLDS)
    return folds
