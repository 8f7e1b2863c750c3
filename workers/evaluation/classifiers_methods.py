"""Ways to name a picture from a few examples: the nearest of them, several near ones, and the product's head.  Pure."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Final

import numpy as np

from shared.core.policy_conditions import OTHER
from workers.classifying.bank import Bank
from workers.classifying.calibration import calibrate
from workers.classifying.dense_features import Floats
from workers.classifying.fitting import Recipe, fit
from workers.classifying.model import Example, rows_of
from workers.classifying.rates import Scores
from workers.classifying.vectors import Space, unit

NEAREST: Final = 3
"""Of k-nearest voting: the mean of so many similarities."""

type Scorer = Callable[[Floats], Scores]
"""From n rows to n x labels scores, 0..100; the labels in alphabetical order."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Method:
    """``handmade``: on whole rows, not the encoder's part alone; ``learn`` takes examples and the bank."""

    name: str
    handmade: bool
    learn: Callable[[tuple[Example, ...], Bank], Scorer]

    def rows(self, rows: Floats, dimension: int) -> Floats:
        """Return what the method compares of n x length rows that begin with the encoder's ``dimension`` values."""
        return rows if self.handmade else rows[:, :dimension]

    def taught(self, examples: tuple[Example, ...], bank: Bank, dimension: int) -> Scorer:
        """Return the method's scores after these examples."""
        if not self.handmade:
            part = rows_of(examples)[:, :dimension].astype(np.float16)
            examples = tuple(replace(one, row=row.tobytes()) for one, row in zip(examples, part, strict=True))
        return self.learn(examples, replace(bank, rows=self.rows(bank.rows, dimension)))


def by_neighbours(examples: tuple[Example, ...], bank: Bank, *, nearest: int) -> Scorer:
    """Score by how much nearer the ``nearest`` examples of a label are than those of the bank's ordinary pictures.

    Calibrated as the head is: on the bank's pictures, each against the others, and on those that it only counts.
    """
    labels = np.array([one.label for one in examples])
    own = unit(rows_of(examples))
    others, counted = (unit(bank.rows[bank.ordinary & used]) for used in (bank.fits, ~bank.fits))
    names = sorted(set(labels.tolist()) - {OTHER})

    def near(directions: Floats) -> Floats:
        return np.stack([_mean_of_best(directions @ own[labels == name].T, nearest) for name in names], axis=1)

    among = others @ others.T
    np.fill_diagonal(among, -1.0)

    def nearer(directions: Floats) -> Floats:
        return near(directions) - _mean_of_best(directions @ others.T, nearest)[:, None]

    calibration = calibrate(np.concatenate([near(others) - _mean_of_best(among, nearest)[:, None], nearer(counted)]))
    return lambda rows: calibration.score(nearer(unit(rows)))


def by_head(examples: tuple[Example, ...], bank: Bank) -> Scorer:
    """Score as a classifier of the product does."""
    recipe = Recipe(name="evaluation", thresholds={}, mode="best")
    return fit(recipe, examples, bank, Space(encoder="evaluation", features="evaluation"), 0.0).scores


def _mean_of_best(similarities: Floats, count: int) -> Floats:
    count = min(count, similarities.shape[1])
    return np.asarray(np.partition(similarities, -count, axis=1)[:, -count:].mean(axis=1), np.float32)


METHODS: Final = (
    Method(name="nearest neighbour, encoder", handmade=False, learn=partial(by_neighbours, nearest=1)),
    Method(name="k-NN, encoder", handmade=False, learn=partial(by_neighbours, nearest=NEAREST)),
    Method(name="head, encoder", handmade=False, learn=by_head),
    Method(name="k-NN, all vectors", handmade=True, learn=partial(by_neighbours, nearest=NEAREST)),
    Method(name="head, all vectors (product)", handmade=True, learn=by_head),
)
