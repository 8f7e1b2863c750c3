"""What classifiers and label spaces say of a picture: each input made once, for all that are asked."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import chain
from types import MappingProxyType
from typing import Final, Protocol

import numpy as np
from numpy.typing import NDArray

from shared.core.policy_conditions import OTHER
from shared.errors import IntegrityError
from shared.telemetry import Metrics
from shared.types import DecodedFrame, LabelScore
from workers.classifying.dense_features import Floats
from workers.classifying.model import Classifier
from workers.classifying.vectors import FeatureModel, row_of

_log = logging.getLogger(__name__)


class Shown:
    """A file's pictures as what gives labels takes them; only those that have a vector of the encoder.

    Whatever nobody asks for is not computed, and nothing twice.
    """

    def __init__(
        self, frames: Sequence[DecodedFrame], vectors: Sequence[Floats | None], side: int, model: FeatureModel
    ) -> None:
        seen = [(frame, vector) for frame, vector in zip(frames, vectors, strict=True) if vector is not None]
        self.frames: Final = [frame for frame, _ in seen]
        self._vectors = [vector for _, vector in seen]
        self._side = side
        self._model = model

    def __len__(self) -> int:
        return len(self.frames)

    @cached_property
    def vectors(self) -> Floats:
        """The encoder's vectors, n x dimension."""
        return np.stack(self._vectors)

    @cached_property
    def rows(self) -> Floats:
        """The weighed vectors of all kinds, n x length, as classifiers compare them."""
        described = [self._model.describe(frame, self._side) for frame in self.frames]
        return np.stack(
            [row_of(vector, each, self._model) for vector, each in zip(self._vectors, described, strict=True)]
        )

    @cached_property
    def pixels(self) -> Floats:
        """The pictures, n x 3 x side x side RGB 0..255."""
        side = self._side
        squares = [np.frombuffer(frame.pixels, np.uint8).reshape(side, side, 3) for frame in self.frames]
        return np.stack(squares).transpose(0, 3, 1, 2).astype(np.float32)


class Answers(Protocol):
    """What gives labels: a classifier or a label space."""

    def answer(self, shown: Shown) -> tuple[LabelScore, ...]:
        """Return what it says of at least one picture; computes.  Raises IntegrityError where it cannot say."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Labellers:
    """What can answer, by name, as it is at a position of the log, and the revision in force of each name."""

    position: int = 0
    by_name: Mapping[str, Answers] = field(default_factory=lambda: MappingProxyType({}))
    revisions: Mapping[str, int] = field(default_factory=lambda: MappingProxyType({}))


@dataclass(frozen=True, slots=True, kw_only=True)
class Labelled:
    """What was said, and what it rests on: the position of the classifiers' log, and the revision of each asked."""

    labels: tuple[LabelScore, ...] = ()
    position: int = 0
    revisions: tuple[tuple[str, int], ...] = ()


class Current(Protocol):
    """What knows who can answer, such as a ClassifierReplica."""

    def current(self) -> Labellers:
        """Return them as they are now."""
        ...


class Notes(Protocol):
    """What hears of the images that classifiers were shown, such as Candidates."""

    def note(self, sha256: str, frames: Sequence[DecodedFrame], classifier: Classifier, rows: Floats) -> None:
        """Hear of a file whose pictures are ``frames`` with n x length ``rows``."""
        ...


class Labeller:
    """Answers for all that is taught behind one encoder whose input is ``side`` pixels; from any thread."""

    def __init__(
        self, classifiers: Current, model: FeatureModel, side: int, metrics: Metrics, *, notes: Notes | None = None
    ) -> None:
        self._notes = notes
        self._classifiers = classifiers
        self._model = model
        self._side = side
        self._metrics = metrics

    def answer(
        self, sha256: str, names: Sequence[str], frames: Sequence[DecodedFrame], vectors: Sequence[Floats | None]
    ) -> Labelled:
        """Return what is said of a file under these names; what is not here, or fails, says nothing."""
        known = self._classifiers.current()
        asked = [(name, known.by_name[name]) for name in names if name in known.by_name]
        shown = Shown(frames, vectors, self._side, self._model)
        said = {name: self._said(name, one, shown) for name, one in asked}
        if self._notes is not None and len(shown):
            for _, one in asked:
                if isinstance(one, ClassifierAnswers):
                    self._notes.note(sha256, shown.frames, one.classifier, shown.rows)
        # What failed is asked again next time: that it said nothing is no answer of this revision.
        revisions = tuple((name, known.revisions.get(name, 0)) for name in names if said.get(name) != ())
        return Labelled(labels=tuple(chain(*said.values())), position=known.position, revisions=revisions)

    def _said(self, name: str, one: Answers, shown: Shown) -> tuple[LabelScore, ...]:
        if not len(shown):  # nothing that could be told apart, such as a blank page
            return (LabelScore(classifier=name, label=OTHER, score=100.0),)
        try:
            return one.answer(shown)
        except IntegrityError as error:
            self._metrics.count("safelight_worker_label_failures_total")
            _log.error("%s gives no answer: %s", name, error)
            return ()


def label_scores(
    name: str, labels: Sequence[str], scores: NDArray[np.floating], reached: Sequence[int]
) -> tuple[LabelScore, ...]:
    """Return the ``reached`` labels by their numbers, or `OTHER` where there is none.

    ``scores`` are 0..100, one a label.  The score of `OTHER` is what the nearest label lacks.
    """
    if not reached:
        lacking = round(100.0 - float(scores.max()), 1)
        return (LabelScore(classifier=name, label=OTHER, score=lacking),)
    return tuple(
        LabelScore(classifier=name, label=labels[number], score=round(float(scores[number]), 1)) for number in reached
    )


@dataclass(frozen=True, slots=True)
class ClassifierAnswers:
    """A classifier that is asked."""

    classifier: Classifier

    def answer(self, shown: Shown) -> tuple[LabelScore, ...]:
        """Return the labels that are reached, the best first (only that where its mode is ``best``).

        A file that shows several pictures has the best score of any.
        """
        classifier = self.classifier
        scores = classifier.scores(shown.rows).max(axis=0)
        reached = [number for number in np.argsort(-scores).tolist() if scores[number] >= classifier.thresholds[number]]
        told = reached[:1] if classifier.mode == "best" else reached
        return label_scores(classifier.name, classifier.labels, scores, told)
