"""What classifiers say of a picture: rows once, for all that are asked, then each one's scores."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from shared.core.policy_conditions import OTHER
from shared.types import DecodedFrame, LabelScore
from workers.classifying.dense_features import Floats
from workers.classifying.model import Classifier
from workers.classifying.replica import Labellers
from workers.classifying.vectors import FeatureModel, row_of


@dataclass(frozen=True, slots=True, kw_only=True)
class Labelled:
    """What was said, and what it rests on: the position of the classifiers' log, and the revision of each asked."""

    labels: tuple[LabelScore, ...] = ()
    position: int = 0
    revisions: tuple[tuple[str, int], ...] = ()


class Current(Protocol):
    """What knows the classifiers, such as a ClassifierReplica."""

    def current(self) -> Labellers:
        """Return them as they are now."""
        ...


class Labeller:
    """Answers for the classifiers of one encoder whose input is ``side`` pixels; from any thread."""

    def __init__(self, classifiers: Current, model: FeatureModel, side: int) -> None:
        self._classifiers = classifiers
        self._model = model
        self._side = side

    def answer(
        self, names: Sequence[str], frames: Sequence[DecodedFrame], vectors: Sequence[Floats | None]
    ) -> Labelled:
        """Return what the named classifiers say; one that is not here says nothing."""
        known = self._classifiers.current()
        revisions = tuple((name, known.revisions.get(name, 0)) for name in names)
        asked = [known.by_name[name] for name in names if name in known.by_name]
        if not asked:
            return Labelled(position=known.position, revisions=revisions)
        rows = rows_of_frames(frames, vectors, self._side, self._model)
        labels = tuple(said for one in asked for said in answers(one, rows))
        return Labelled(labels=labels, position=known.position, revisions=revisions)


def rows_of_frames(
    frames: Sequence[DecodedFrame], vectors: Sequence[Floats | None], side: int, model: FeatureModel
) -> Floats:
    """Return a row for each frame that has an encoder's vector: n x length, n may be 0."""
    rows = [
        row_of(vector, model.describe(frame, side), model)
        for frame, vector in zip(frames, vectors, strict=True)
        if vector is not None
    ]
    return np.stack(rows) if rows else np.empty((0, 0), np.float32)


def answers(classifier: Classifier, rows: Floats) -> tuple[LabelScore, ...]:
    """Return the labels that are reached, the best first (only that where its mode is ``best``), else `OTHER`.

    A file that shows several pictures has the best score of any.  The score of `OTHER` is what the nearest label lacks.
    """
    if not len(rows):  # nothing that could be told apart, such as a blank page
        return (LabelScore(classifier=classifier.name, label=OTHER, score=100.0),)
    scores = classifier.scores(rows).max(axis=0)
    reached = [number for number in np.argsort(-scores) if scores[number] >= classifier.thresholds[number]]
    if not reached:
        lacking = round(100.0 - float(scores.max()), 1)
        return (LabelScore(classifier=classifier.name, label=OTHER, score=lacking),)
    told = reached[:1] if classifier.mode == "best" else reached
    return tuple(
        LabelScore(classifier=classifier.name, label=classifier.labels[number], score=round(float(scores[number]), 1))
        for number in told
    )
