"""A segment as one view sees it: what of it is alive, and how near an image must come to be worth a score."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from shared.core.matching import (
    Calibration,
    Floats,
    SetFacts,
    fused_scores,
    largest_distance,
    least_cosine,
    needed_log10,
)
from shared.types import Reference
from workers.ann_index import Vectors
from workers.evidence import Finding, Sight
from workers.index_segment import Numbers, Segment
from workers.pdq_index import UNKNOWN

SCORE_FLOOR: Final = 50.0
"""Below this nothing is reported (one in five unrelated images would be), unless a set's threshold is lower."""
SMALL_SET_SHARE: Final = 64
"""A set with less than this part of all vectors is searched exactly.

The floor of a set of m is at p = 0.1/m per vector, so about 0.1 N/m unrelated ones of all N are over it: a graph that
returns 64 neighbours would drown a small set's own.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Probe:
    """One image as the index is asked about it; None and empty where a measure is missing or must not count.

    ``discount`` is taken off its cosines before they are scored (a picture near everything says less by being near).
    ``sight`` is what local features are made from, where there is time for them.
    """

    sha256: str
    vector: Vectors | None = None
    pdq: tuple[str, ...] = ()
    discount: float = 0.0
    sight: Sight | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Hit:
    """A reference that an image came near, with every measure; NaN and None where one is missing.

    ``cosine`` is as measured, ``discounted`` and ``views`` after the discount; ``upright`` and ``distance`` in bits.
    """

    reference: Reference
    facts: SetFacts
    cosine: float
    discounted: float
    views: float
    upright: float
    distance: float
    identical: bool = False
    finding: Finding | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Measures:
    """An image against every reference of a segment; NaN where a measure is missing.

    ``views``: cosine with the nearest view, discounted; ``upright``, ``nearest``: PDQ distance in bits, as it is and of
    the nearest of the eight turns.
    """

    views: Floats
    upright: Floats
    nearest: Floats


Reach = Callable[[SetFacts], tuple[float, float, int]]
"""Gives a set's (least cosine, least cosine of a view, largest PDQ distance) that can still reach its floor."""


def make_reach(calibration: Calibration) -> Reach:
    """Return how near a reference of a set must come to be worth a score."""

    def reach(facts: SetFacts) -> tuple[float, float, int]:
        needed = needed_log10(floor_of(facts), facts.chances)
        views = math.inf if calibration.views is None else least_cosine(calibration.views, needed)
        return least_cosine(calibration.cosine, needed), views, largest_distance(calibration, needed)

    return reach


def floor_of(facts: SetFacts) -> float:
    """Return the score from which references of this set are reported."""
    return min(SCORE_FLOOR, facts.threshold)


@dataclass(frozen=True, slots=True, kw_only=True)
class LiveSegment:
    """A segment and what of it can match at present sizes and thresholds.

    ``floors``: least cosine per vector row (inf for references that are gone); ``view_floors`` and ``ceilings``: least
    cosine of a view and largest PDQ distance per reference (inf, -1: never); ``facts``: per set of the segment;
    ``blocks``: the rows of its small sets.
    """

    segment: Segment
    alive: npt.NDArray[np.bool_]
    floors: Vectors
    view_floors: Vectors
    ceilings: npt.NDArray[np.int16]
    facts: tuple[SetFacts | None, ...]
    blocks: tuple[tuple[int, int], ...]

    @classmethod
    def build(cls, segment: Segment, gone: Sequence[int], sets: Mapping[str, SetFacts], reach: Reach) -> LiveSegment:
        """``gone`` are numbers of references that were removed or replaced since the segment was built."""
        facts = tuple(sets.get(name) for name in segment.set_names)
        limits = [reach(fact) if fact is not None else (np.inf, np.inf, -1) for fact in facts]
        alive = np.ones(len(segment.references), dtype=np.bool_)
        alive[list(gone)] = False

        def least(place: int) -> Vectors:
            of_set = np.array([limit[place] for limit in limits], dtype=np.float32)[segment.set_of]
            return np.where(alive, of_set, np.float32(np.inf))

        ceilings = np.array([limit[2] for limit in limits], dtype=np.int16)[segment.set_of]
        return cls(
            segment=segment,
            alive=alive,
            floors=least(0)[segment.owner],
            view_floors=least(1),
            ceilings=np.where(alive, ceilings, np.int16(-1)),
            facts=facts,
            blocks=tuple(
                (first, last)
                for first, last in segment.blocks
                if 0 < (last - first) * SMALL_SET_SHARE < len(segment.owner)
            ),
        )

    def rows(self, probes: Sequence[Probe]) -> list[Numbers]:
        """Return for each probe the vector rows over their floors."""
        nothing = np.empty(0, dtype=np.intp)
        queries = [probe.vector for probe in probes if probe.vector is not None]
        if not queries or len(self.floors) == 0:
            return [nothing] * len(probes)
        hits = iter(self.segment.ann.candidates(np.stack(queries), self.floors, self.blocks))
        return [next(hits) if probe.vector is not None else nothing for probe in probes]

    def measures(self, probe: Probe) -> Measures:
        """Measure the image against every reference: 3 ms for 10,000."""
        upright, nearest = self._bits(probe)
        return Measures(views=self._views(probe), upright=upright, nearest=nearest)

    def near(self, probe: Probe, rows: Numbers, measures: Measures) -> list[Hit]:
        """Return everything near; ``rows`` are the vector rows over their floors."""
        segment = self.segment
        identical = [n for n in segment.by_sha256.get(probe.sha256, ()) if self.alive[n]]
        numbers = [
            segment.owner[rows],
            np.array(identical, dtype=np.intp),
            np.flatnonzero(measures.views >= self.view_floors),
            np.flatnonzero(measures.nearest <= self.ceilings),
        ]
        return list(self.hits(np.unique(np.concatenate(numbers)).tolist(), probe, measures, identical).values())

    def hits(
        self, numbers: Sequence[int], probe: Probe, measures: Measures, identical: Sequence[int] = ()
    ) -> dict[int, Hit]:
        """Return these references, however far, by their numbers; dead ones are left out."""
        kept = np.array([n for n in numbers if self.alive[n]], dtype=np.intp)
        cosines = self.segment.cosines(kept, probe.vector)
        hits = {}
        for place, number in enumerate(kept.tolist()):
            facts = self.facts[self.segment.set_of[number]]
            if facts is None:
                continue
            hits[number] = Hit(
                reference=self.segment.references[number],
                facts=facts,
                cosine=float(cosines[place]),
                discounted=float(cosines[place]) - probe.discount,
                views=float(measures.views[number]),
                upright=float(measures.upright[number]),
                distance=float(measures.nearest[number]),
                identical=number in identical,
            )
        return hits

    def voted(self, sight: Sight, limit: int) -> list[tuple[int, float]]:
        """Return (number, votes) of the living references that the image's local features speak for."""
        if self.segment.features is None:
            return []
        votes: dict[int, float] = {}
        for candidate in self.segment.features.candidates(sight.features, limit):
            # One may be named twice, plain and mirrored.
            if self.alive[candidate.number]:
                votes[candidate.number] = max(candidate.votes, votes.get(candidate.number, 0.0))
        return list(votes.items())

    def _views(self, probe: Probe) -> Floats:
        signs = self.segment.signs
        if probe.vector is None or len(self.segment.references) == 0 or signs.words.size == 0:
            return np.full(len(self.segment.references), np.nan)
        bits = signs.nearest(probe.vector)
        cosines = np.cos(np.pi * bits / (signs.unknown - 1)) - probe.discount
        return np.where(bits == signs.unknown, np.nan, cosines)

    def _bits(self, probe: Probe) -> tuple[Floats, Floats]:
        if not probe.pdq or not self.segment.references:
            unknown = np.full(len(self.segment.references), np.nan)
            return unknown, unknown
        upright, nearest = (np.where(d == UNKNOWN, np.nan, d) for d in self.segment.pdq.distances(probe.pdq))
        return upright, nearest


def first_scores(calibration: Calibration, hits: Sequence[Hit]) -> Floats:
    """Return the scores before any local feature was looked at, 0..100."""
    return fused_scores(
        calibration.pair_log10(
            [hit.discounted for hit in hits], [hit.views for hit in hits], [hit.distance for hit in hits]
        ),
        [hit.facts.chances for hit in hits],
    )
