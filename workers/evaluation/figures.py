"""The figures of an evaluation, from rankings to intervals.  Pure."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from workers.intervals import CONFIDENCE, clopper_pearson

PRECISION: Final = 0.99
NONE: Final = -1
"""In `Rankings.numbers` and `truth`: nothing."""

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Rankings:
    """What a method answered to Q queries: its K best references each.

    `numbers` Q x K, best first, NONE where it named fewer; `scores` Q x K, -inf there; `seconds` Q, of one core.
    """

    numbers: NDArray[np.int64]
    scores: Floats
    seconds: Floats


@dataclass(frozen=True, slots=True, kw_only=True)
class OperatingPoint:
    """One threshold for all queries: `recall` of the copies, and the threshold itself (inf where none is possible)."""

    recall: float
    threshold: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Share:
    """A share with its two-sided Clopper-Pearson interval."""

    share: float
    low: float
    high: float


def interval(successes: int, trials: int, confidence: float = CONFIDENCE) -> Share:
    """A share with its exact two-sided interval; the whole range where nothing was tried.

    Raises ValueError for counts that are none.
    """
    if trials == 0:
        return Share(share=0.0, low=0.0, high=1.0)
    found = clopper_pearson(successes, trials, confidence)
    return Share(share=successes / trials, low=found.low, high=found.high)


def upper_bound(count: int, trials: int, confidence: float = CONFIDENCE) -> float:
    """The one-sided upper bound of a rate; with a count of 0 about 3 / trials (the rule of three)."""
    return 1.0 if trials == 0 else clopper_pearson(count, trials, 2 * confidence - 1).high


def found_first(rankings: Rankings, truth: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Per query, whether the best answer is its reference; False where there is none to be found."""
    return np.asarray((rankings.numbers[:, 0] == truth) & (truth != NONE))


def recall_at_1(
    rankings: Rankings, truth: NDArray[np.int64], names: NDArray[np.str_], wanted: Sequence[str]
) -> dict[str, float]:
    """Recall@1 of each transformation in `wanted`; NaN for one without queries."""
    right = found_first(rankings, truth)
    return {name: float(right[names == name].mean()) if (names == name).any() else math.nan for name in wanted}


def _pooled(rankings: Rankings, truth: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64], Floats]:
    """(right answers so far, answers so far, score) at every score at which a threshold can lie, from high to low.

    Answers of one score enter together: no threshold tells them apart.
    """
    answered = np.isfinite(rankings.scores)
    scores = rankings.scores[answered]
    right = ((rankings.numbers == truth[:, None]) & (truth != NONE)[:, None])[answered]
    order = np.argsort(-scores, kind="stable")
    ends = np.flatnonzero(np.append(np.diff(scores[order]) != 0, True)) if len(order) else order
    return np.cumsum(right[order])[ends], (ends + 1).astype(np.int64), scores[order][ends]


def average_precision(rankings: Rankings, truth: NDArray[np.int64]) -> float:
    """Micro average precision over the pooled answers of all queries (Douze et al. 2021, ISC2021); 0 without copies."""
    positives = int((truth != NONE).sum())
    hits, answers, _ = _pooled(rankings, truth)
    if positives == 0 or len(hits) == 0:
        return 0.0
    return float((np.diff(hits, prepend=0) * (hits / answers)).sum() / positives)


def at_precision(rankings: Rankings, truth: NDArray[np.int64], precision: float = PRECISION) -> OperatingPoint:
    """The lowest threshold at which the pooled answers are right to `precision`, and the recall there."""
    positives = int((truth != NONE).sum())
    hits, answers, scores = _pooled(rankings, truth)
    good = np.flatnonzero(hits >= precision * answers)
    if positives == 0 or len(good) == 0:
        return OperatingPoint(recall=0.0, threshold=math.inf)
    return OperatingPoint(recall=float(hits[good[-1]] / positives), threshold=float(scores[good[-1]]))


def precision_recall(rankings: Rankings, truth: NDArray[np.int64], points: int = 120) -> list[tuple[float, float]]:
    """(recall, precision) along the thresholds, thinned to about `points`."""
    positives = int((truth != NONE).sum())
    hits, answers, _ = _pooled(rankings, truth)
    if positives == 0 or len(hits) == 0:
        return []
    rows = np.unique(np.linspace(0, len(hits) - 1, points).astype(np.intp))
    return [(float(hits[row] / positives), float(hits[row] / answers[row])) for row in rows]


def recalled(rankings: Rankings, truth: NDArray[np.int64], threshold: float) -> NDArray[np.bool_]:
    """Per query, whether its own reference reaches the threshold."""
    hit = (rankings.numbers == truth[:, None]) & (rankings.scores >= threshold)
    return np.asarray(hit.any(axis=1) & (truth != NONE))


def alarmed(rankings: Rankings, threshold: float) -> NDArray[np.bool_]:
    """Per query, whether any answer reaches the threshold."""
    return np.asarray((rankings.scores >= threshold).any(axis=1))


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceRow:
    """One source at the threshold that was fixed on all the others."""

    source: str
    threshold: float
    recall: Share | None
    false_positives: Share | None


def leave_one_source_out(
    rankings: Rankings, truth: NDArray[np.int64], sources: NDArray[np.str_], precision: float = PRECISION
) -> list[SourceRow]:
    """Per source: recall, and false alarms of its negatives, at the threshold that gives `precision` on the others.

    None where a source has no queries of that kind.
    """
    rows = []
    for source in sorted(set(sources.tolist())):
        of_it = sources == source
        point = at_precision(select(rankings, ~of_it), truth[~of_it], precision)
        copies, strangers = of_it & (truth != NONE), of_it & (truth == NONE)
        hits = int(recalled(rankings, truth, point.threshold)[copies].sum())
        false = int(alarmed(rankings, point.threshold)[strangers].sum())
        rows.append(
            SourceRow(
                source=source,
                threshold=point.threshold,
                recall=interval(hits, int(copies.sum())) if copies.any() else None,
                false_positives=interval(false, int(strangers.sum())) if strangers.any() else None,
            )
        )
    return rows


def select(rankings: Rankings, rows: NDArray[np.bool_]) -> Rankings:
    """The answers to some of the queries."""
    return Rankings(numbers=rankings.numbers[rows], scores=rankings.scores[rows], seconds=rankings.seconds[rows])


def area_under_roc(positives: Floats, negatives: Floats) -> float:
    """The chance that a positive scores over a negative, ties half (Mann and Whitney); NaN without either."""
    if len(positives) == 0 or len(negatives) == 0:
        return math.nan
    ordered = np.sort(negatives)
    below, up_to = (np.searchsorted(ordered, positives, side=side) for side in ("left", "right"))
    return float((below + up_to).sum() / (2 * len(positives) * len(negatives)))


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """What a query costs on one core."""

    mean_ms: float
    p50_ms: float
    p95_ms: float
    images_per_second: float


def cost(seconds: Floats) -> Cost:
    """Of the seconds of one core that each query took; raises ValueError for none."""
    if len(seconds) == 0:
        raise ValueError("no query was timed")
    p50, p95 = np.percentile(seconds, (50, 95)) * 1000
    mean = float(seconds.mean())
    return Cost(
        mean_ms=mean * 1000, p50_ms=float(p50), p95_ms=float(p95), images_per_second=1 / mean if mean > 0 else math.inf
    )


def mixed_cost_ratio(near: Floats, far: Floats, alone: Floats, share: float) -> float:
    """Mean cost of a stream of which `share` is near a reference, over the mean cost of `alone`."""
    mixed = share * float(near.mean()) + (1 - share) * float(far.mean())
    return mixed / float(alone.mean())


def mean_of(values: Mapping[str, float]) -> float:
    """The mean of those that are numbers; NaN where none is."""
    numbers = [value for value in values.values() if not math.isnan(value)]
    return sum(numbers) / len(numbers) if numbers else math.nan
