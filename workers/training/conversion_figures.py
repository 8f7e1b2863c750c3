"""What converted embeddings are worth, measured on pictures that neither encoder nor converter has seen.

References are whole pictures and their views, queries edited pictures as the target sees them; every other picture is
an unrelated one.  Scores are the product's, by the target's calibration, for sets of a few references.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from shared.core.matching import LEAST_CHANCES, Calibration, fused_scores
from workers.training.conversion_pictures import Seen, Vectors

SCORE: Final = 85.0
RARITIES: Final = (1e-5, 3e-5, 1e-4, 3e-4, 1e-3, 3e-3, 1e-2)
"""Shares of unrelated pairs at which converted cosines may be brought to native ones.

A threshold lies where one pair in 400,000 is, or fewer, and what is fitted far from there does not hold there: between
the two encoders of this project converted cosines are too large by 7 % at 1e-2, by 4 % at 1e-4, by nothing at 1e-5, for
what looks alike without being the same is what comes near to a native reference, and to a blurred one it comes less
near.  So the rarest ones count that can be told.
"""
FITTED: Final = 2
FEWEST: Final = 10
"""Pairs beyond a rarity that is looked at."""
SCALES: Final = (0.5, 1.2)
SAME: Final = 0.9
"""Whole pictures of this cosine show the same thing: not unrelated."""
BINS: Final = 12

type Cosines = NDArray[np.float64]
type Bits = NDArray[np.bool_]


@dataclass(frozen=True, slots=True, kw_only=True)
class Enrolled:
    """R references as an index keeps them: ``whole`` R x E, ``codes`` R x V x E, the signs of views (None: none)."""

    whole: Vectors
    codes: Bits | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """Q queries against R references, Q x R each: ``cosines`` of the vectors, ``scores``; ``own`` is each query's."""

    cosines: Cosines
    scores: Cosines
    own: NDArray[np.intp]

    @property
    def at_rank_1(self) -> float:
        """Share of the queries whose own reference has the largest cosine."""
        return float((self.cosines.argmax(axis=1) == self.own).mean())

    @property
    def found(self) -> float:
        """Share of the queries whose own reference reaches ``SCORE``."""
        return float((self.matching >= SCORE).mean())

    @property
    def matching(self) -> Cosines:
        """Q: the scores with their own references."""
        return np.asarray(np.take_along_axis(self.scores, self.own[:, None], axis=1)[:, 0])


def queries_of(seen: Seen) -> Vectors:
    """The edited pictures as the target sees them: P x edits x E."""
    return seen.target[:, 1 + seen.views :]


def native(seen: Seen) -> Enrolled:
    """The pictures as the target enrols them."""
    return Enrolled(whole=seen.target[:, 0], codes=seen.target[:, 1 : 1 + seen.views] > 0)


def measure(enrolled: Enrolled, queries: Vectors, calibration: Calibration) -> Measured:
    """Search P x edits x E ``queries`` among P references."""
    count, edits, dimension = queries.shape
    flat = queries.reshape(-1, dimension)
    discounts = np.array([calibration.discount(query) for query in flat])[:, None]
    cosines = np.asarray(flat @ enrolled.whole.T, np.float64)
    views = np.full_like(cosines, np.nan) if enrolled.codes is None else view_cosines(flat, enrolled.codes) - discounts
    rarest = calibration.pair_log10(np.clip(cosines, -1, 1) - discounts, views, np.nan)
    scores = fused_scores(rarest, LEAST_CHANCES)
    return Measured(cosines=cosines, scores=scores, own=np.repeat(np.arange(count), edits))


def view_cosines(queries: Vectors, codes: Bits) -> Cosines:
    """Q x R: the cosine of each query with the nearest view of each reference, as far as their signs tell it."""
    dimension = queries.shape[1]
    mine = np.where(queries > 0, np.float32(1), np.float32(-1))
    best = np.full((len(queries), len(codes)), -np.inf)
    for view in range(codes.shape[1]):
        theirs = np.where(codes[:, view], np.float32(1), np.float32(-1))
        np.maximum(best, mine @ theirs.T, out=best)
    return np.asarray(np.cos(np.pi * (dimension - best) / 2 / dimension))


def unrelated(seen: Seen) -> Bits:
    """Q x R: which pairs of a query and a reference show different things, as far as the target can tell."""
    wholes = seen.target[:, 0]
    edits = seen.target.shape[1] - 1 - seen.views
    return np.repeat(wholes @ wholes.T < SAME, edits, axis=0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Strangers:
    """Queries of the target that show something else than R references: ``vectors`` Q x E, ``pairs`` Q x R."""

    vectors: Vectors
    pairs: Bits


def strangers(seen: Seen, trained: Seen) -> Strangers:
    """All that the target saw, as queries of what is in ``seen``: its edited copies, and pictures trained on.

    A converter has learnt of those what the source sees in them, but here they stand as the target sees them.
    """
    known = trained.target.reshape(-1, trained.target.shape[2])
    edited = queries_of(seen).reshape(-1, known.shape[1])
    wholes = seen.target[:, 0]
    return Strangers(
        vectors=np.concatenate([edited, known]), pairs=np.concatenate([unrelated(seen), known @ wholes.T < SAME])
    )


def fit_scale(found: Vectors, expected: Vectors, others: Strangers, calibration: Calibration) -> float:
    """Return what R ``found`` references are multiplied by to be as near to others as R ``expected`` ones, both L2 = 1.

    Queries' discounts are taken off both first, as they are in a search.  The mean over the rarities of what makes the
    share of unrelated pairs that reach the native cosine the same.
    """
    pairs = others.pairs
    discounts = np.array([calibration.discount(vector) for vector in others.vectors])
    taken = np.broadcast_to(discounts[:, None], pairs.shape)[pairs]
    cosines = np.asarray(others.vectors @ found.T, np.float64)[pairs]
    natives = np.asarray(others.vectors @ expected.T, np.float64)[pairs] - taken
    factors = []
    for rarity in _rarities(len(cosines)):
        wanted = float(np.quantile(natives, 1 - rarity))
        low, high = SCALES
        for _ in range(20):
            middle = (low + high) / 2
            over = float(np.quantile(middle * cosines - taken, 1 - rarity)) > wanted
            low, high = (low, middle) if over else (middle, high)
        factors.append(low)
    return round(float(np.mean(factors)), 4) if factors else 1.0


def _rarities(pairs: int) -> tuple[float, ...]:
    """The rarest of ``RARITIES`` that can be told from so many pairs."""
    return tuple(rarity for rarity in RARITIES if rarity * pairs >= FEWEST)[:FITTED]


def fit_flips(codes: Bits, seen: Seen, others: Strangers) -> NDArray[np.bool_]:
    """Return which bits of converted codes are turned around, so that unrelated views come no nearer than native ones.

    Codes have no length that could be scaled: a bit that is always turned takes from every cosine what the bit would
    have added.  Those go first that agree least with native ones.
    """
    dimension = codes.shape[2]
    expected = seen.target[:, 1 : 1 + seen.views] > 0
    order = np.argsort((codes == expected).mean(axis=(0, 1)), kind="stable")
    queries, pairs = others.vectors, others.pairs
    wanted = _tail(view_cosines(queries, expected)[pairs])
    flips = np.zeros(dimension, np.bool_)
    step = max(1, dimension // 64)
    for start in range(0, dimension // 4, step):
        if np.mean(_tail(view_cosines(queries, codes ^ flips)[pairs]) - wanted) <= 0:
            break
        flips[order[start : start + step]] = True
    return flips


def _tail(cosines: Cosines) -> Cosines:
    return np.quantile(cosines, [1 - rarity for rarity in _rarities(len(cosines)) or RARITIES[-1:]])


def false_share(found: Measured, pairs: Bits) -> float:
    """Share of the unrelated pairs that reach ``SCORE``."""
    return float((found.scores[pairs] >= SCORE).mean())


def agreement(found: Measured, expected: Measured) -> Mapping[str, tuple[tuple[float, float], ...]]:
    """Lines of the scores of converted references over those of native ones: a tenth, the median, nine tenths."""
    edges = np.linspace(0, 100, BINS + 1)
    place = np.clip(np.digitize(expected.matching, edges) - 1, 0, BINS - 1)
    lines: dict[str, list[tuple[float, float]]] = {"median": [], "a tenth is below": [], "a tenth is above": []}
    for number in range(BINS):
        mine = found.matching[place == number]
        if len(mine) < FEWEST:
            continue
        centre = float(expected.matching[place == number].mean())
        for name, share in zip(lines, (0.5, 0.1, 0.9), strict=True):
            lines[name].append((round(centre, 2), round(float(np.quantile(mine, share)), 2)))
    return {"the same": ((0.0, 0.0), (100.0, 100.0)), **{name: tuple(line) for name, line in lines.items()}}
