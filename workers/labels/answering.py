"""A label space as the worker asks it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from shared.types import LabelScore
from workers.classifying.labelling import Shown, label_scores
from workers.labels.network import LabelNetwork


@dataclass(frozen=True, slots=True)
class SpaceAnswers:
    """A label space that is asked under its name."""

    name: str
    network: LabelNetwork

    def answer(self, shown: Shown) -> tuple[LabelScore, ...]:
        """Return the labels that the space's card chooses, the nearest first; raises IntegrityError.

        A file that shows several pictures is as near to a label as the nearest of them.
        """
        cosines = self.network.cosines(shown.vectors if self.network.card.encoder else shown.pixels)
        nearest = cosines.max(axis=0, keepdims=True)
        given = np.flatnonzero(self.network.chosen(nearest)[0])
        reached = given[np.argsort(-nearest[0, given], kind="stable")].tolist()
        return label_scores(self.name, self.network.card.names, self.network.scores(nearest)[0], reached)
