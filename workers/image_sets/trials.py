"""Ordinary images against one set: the encoder's background bank, and whatever images a user has.

The bank is embeddings only, so it tries the encoder's part alone; a user's images go through the whole inspection.
Either searches a view of the set alone that reports far lower scores than a worker's: a tail is fitted to them.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from shared.core.matching import IDENTICAL_SCORE, Background, Calibration
from shared.errors import SafelightError
from shared.types import ReferenceMatch, Relation, SetCreated, Verdict
from workers.image_sets.calibration import Trial
from workers.image_sets.enrolment import SetContents, SetSummary
from workers.index.state import IndexState
from workers.index.view_builder import ViewBuilder
from workers.search.view import IndexView

FLOOR: Final = 10.0
"""Scores from here on are reported: five of six unrelated images reach it, each with two references or so."""
NO_DIGEST: Final = "0" * 64
BATCH: Final = 64
"""Pictures of the bank a search: what is found near them all is held at once."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class LeaveOneOut(Background):
    """The bank as one of its own pictures meets it: the nearest one, which is itself, is passed over."""

    def discount(self, vector: NDArray[np.float32]) -> float:
        """Return what is taken off every cosine of this vector of the bank, >= 0."""
        cosines = np.vecdot(self.bank, vector)
        kept = min(self.nearest, len(cosines) - 1)
        if kept == 0:
            return 0.0
        nearest = np.sort(np.partition(cosines, -(kept + 1))[-(kept + 1) :])[:-1]
        return max(0.0, float(nearest.mean()) - self.usual)


_logger = logging.getLogger(__name__)


def view_of(contents: SetContents, encoder: str, calibration: Calibration) -> IndexView:
    """Return a view of one set as ``encoder`` sees it, that reports scores from ``FLOOR`` on."""
    summary = contents.summary
    created = SetCreated(
        name=summary.name,
        threshold=FLOOR,
        relation=summary.relation,
        thorough=summary.thorough,
        prior=summary.prior,
    )
    state = IndexState([created], contents.references)
    builder = ViewBuilder(encoder, calibration, _say)
    builder.restore(state)
    return builder.build(builder.inputs(state, 0))


def _say(error: SafelightError) -> None:
    _logger.warning("a reference was passed over: %s", error)


def best_match(matches: Sequence[ReferenceMatch], summary: SetSummary) -> ReferenceMatch | None:
    """Return the best match in a set of a relation that it protects, None where there is none."""
    protected = [
        match
        for match in matches
        if match.set == summary.name and (summary.relation == "any" or match.relation is Relation.COPY)
    ]
    return max(protected, key=lambda match: match.score, default=None)


def bank_trial(
    contents: SetContents, encoder: str, calibration: Calibration, sizes: Sequence[tuple[str, int]] = ()
) -> tuple[Trial, tuple[Trial, ...]]:
    """Return the trial of the encoder's bank on a set, and its strata: ``sizes`` are their names and lengths in order.

    No strata where the sizes do not add up to the bank.  Raises ValueError where the encoder has no bank.
    """
    background = calibration.background
    if background is None:
        raise ValueError("the encoder has no background bank")
    alone = LeaveOneOut(bank=background.bank, nearest=background.nearest, usual=background.usual)
    view = view_of(contents, encoder, replace(calibration, background=alone))
    scores = np.zeros(len(alone.bank))
    for start in range(0, len(scores), BATCH):
        found = view.search([view.probe(NO_DIGEST, vector) for vector in alone.bank[start : start + BATCH]])
        for number, matches in enumerate(found, start):
            best = best_match(matches, contents.summary)
            scores[number] = best.score if best is not None else 0.0
    pool = Trial(name="background bank", scores=scores, floor=FLOOR)
    if sum(size for _, size in sizes) != len(scores):
        return pool, ()
    edges = np.cumsum([0, *(size for _, size in sizes)])
    return pool, _by_stratum(
        [(name, scores[first:last]) for (name, _), first, last in zip(sizes, edges[:-1], edges[1:], strict=True)]
    )


def _by_stratum(parts: Sequence[tuple[str, NDArray[np.float64]]]) -> tuple[Trial, ...]:
    names = dict.fromkeys(name for name, scores in parts if len(scores))
    return tuple(
        Trial(name=name, scores=np.concatenate([s for other, s in parts if other == name]), floor=FLOOR)
        for name in names
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Tried:
    """What the inspection said of one ordinary image; ``match`` is its best in the set."""

    file: str
    stratum: str
    match: ReferenceMatch | None

    @property
    def score(self) -> float:
        """0 where nothing came near."""
        return self.match.score if self.match is not None else 0.0


def tried(file: str, stratum: str, verdict: Verdict, summary: SetSummary) -> Tried | str:
    """Return the outcome of one image, or why it does not count: a verdict's error, or ``reference``."""
    if verdict.error is not None:
        return verdict.error.code.value
    best = best_match(verdict.matches, summary)
    if best is not None and best.score == IDENTICAL_SCORE:
        return "reference"
    return Tried(file=file, stratum=stratum, match=best)


def images_trial(images: Sequence[Tried]) -> tuple[Trial, tuple[Trial, ...]]:
    """Return the trial of a user's images, at least one, and its strata."""
    pool = Trial(name="images", scores=np.array([image.score for image in images]), floor=FLOOR)
    return pool, _by_stratum([(image.stratum, np.array([image.score])) for image in images])
