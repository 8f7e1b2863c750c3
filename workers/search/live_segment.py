"""A segment as one view sees it: what of it is alive, and how near an image must come to be worth a score."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

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
from workers.closer_look.evidence import Finding, Sight
from workers.encoders.embeddings import Vectors
from workers.references.reference_table import ReferenceRow
from workers.search.ann_index import Floors, Groups
from workers.search.pdq_index import UNKNOWN
from workers.search.segment import Numbers, Segment
from workers.search.sign_index import signs

SCORE_FLOOR: Final = 50.0
"""Below this nothing is reported (one in five unrelated images would be), unless a set's threshold is lower."""


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

    reference: Reference | ReferenceRow
    facts: SetFacts
    cosine: float
    discounted: float
    views: float
    upright: float
    distance: float
    identical: bool = False
    finding: Finding | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Reach:
    """How near a reference of each of s sets must come to be worth a score.

    ``cosines`` and ``views``: the least (inf: none does); ``distances``: the largest PDQ distance (-1: none).
    """

    cosines: Vectors
    views: Vectors
    distances: npt.NDArray[np.int16]

    @classmethod
    def of(cls, calibration: Calibration, facts: Sequence[SetFacts | None]) -> Reach:
        """Return the reach of sets; nothing comes near one that is None."""
        known = [place for place, each in enumerate(facts) if each is not None]
        asked = [(floor_of(each), each.chances) for each in facts if each is not None]
        of_kind = {kind: needed_log10(*kind) for kind in set(asked)}
        needed = np.array([of_kind[kind] for kind in asked])
        reach = cls(
            cosines=np.full(len(facts), np.inf, np.float32),
            views=np.full(len(facts), np.inf, np.float32),
            distances=np.full(len(facts), -1, np.int16),
        )
        if known:
            # Sets of one size and threshold, and all small ones, need the same.
            each, of = np.unique(needed, return_inverse=True)
            reach.cosines[known] = least_cosine(calibration.cosine, each)[of]
            if calibration.views is not None:
                reach.views[known] = least_cosine(calibration.views, each)[of]
            reach.distances[known] = largest_distance(calibration, each)[of]
        return reach


@dataclass(frozen=True, slots=True)
class _Measures:
    """How near an image is to some references: NaN where a measure is missing."""

    numbers: Numbers
    cosines: Floats
    views: Floats
    upright: Floats
    distances: Floats

    def reached(self, reach: Reach, set_of: Groups) -> npt.NDArray[np.bool_]:
        """Tell which are near by any measure of their own set, not only by that of the set with the lowest."""
        own = set_of[self.numbers]
        near: npt.NDArray[np.bool_] = (
            (self.cosines >= reach.cosines[own])
            | (self.views >= reach.views[own])
            | (self.distances <= reach.distances[own])
        )
        return near

    def chosen(self, wanted: npt.NDArray[np.bool_]) -> _Measures:
        """Return some of them."""
        return _Measures(
            self.numbers[wanted],
            self.cosines[wanted],
            self.views[wanted],
            self.upright[wanted],
            self.distances[wanted],
        )


def floor_of(facts: SetFacts) -> float:
    """Return the score from which references of this set are reported."""
    return min(SCORE_FLOOR, facts.threshold)


@dataclass(frozen=True, slots=True, kw_only=True)
class LiveSegment:
    """A segment and what of it can match at present sizes and thresholds; made in O(sets), for every change makes one.

    ``alive`` per reference; ``facts`` and ``reach`` per set of the segment; ``floors`` are the reach of vector rows.
    """

    segment: Segment
    alive: npt.NDArray[np.bool_]
    facts: tuple[SetFacts | None, ...]
    reach: Reach
    floors: Floors

    @classmethod
    def build(
        cls, segment: Segment, alive: npt.NDArray[np.bool_], sets: Mapping[str, SetFacts], calibration: Calibration
    ) -> LiveSegment:
        """``alive`` is False for references that were removed or replaced since the segment was built."""
        facts = tuple(sets.get(name) for name in segment.set_names)
        reach = Reach.of(calibration, facts)
        floors = Floors(reach.cosines, segment.set_of_row)
        return cls(segment=segment, alive=alive, facts=facts, reach=reach, floors=floors)

    def rows(self, probes: Sequence[Probe]) -> list[Numbers]:
        """Return for each probe the vector rows over their floors."""
        nothing = np.empty(0, dtype=np.intp)
        queries = [probe.vector for probe in probes if probe.vector is not None]
        if not queries:
            return [nothing] * len(probes)
        hits = iter(self.segment.ann.candidates(np.stack(queries), self.floors))
        return [next(hits) if probe.vector is not None else nothing for probe in probes]

    def near(self, probe: Probe, rows: Numbers) -> list[Hit]:
        """Return everything near; ``rows`` are the vector rows over their floors."""
        identical = self.segment.references.identical(probe.sha256)
        numbers: list[npt.NDArray[np.integer[Any]]] = [
            self.segment.owner[rows],
            np.array(identical, dtype=np.intp),
            self._near_views(probe),
            self._near_hashes(probe),
        ]
        if not any(map(len, numbers)):
            return []
        near = self._measured(np.unique(np.concatenate(numbers)), probe)
        reached = near.reached(self.reach, self.segment.set_of)
        if identical:
            reached |= np.isin(near.numbers, identical)
        return list(self._hits(near.chosen(reached), probe, identical).values())

    def hits(self, numbers: Sequence[int], probe: Probe) -> dict[int, Hit]:
        """Return these references, however far, by their numbers; dead ones are left out."""
        return self._hits(self._measured(np.array(numbers, dtype=np.intp), probe), probe, ())

    def _measured(self, numbers: npt.NDArray[np.integer[Any]], probe: Probe) -> _Measures:
        kept = numbers[self.alive[numbers]].astype(np.intp)
        upright, nearest = self._bits(kept, probe)
        return _Measures(
            kept, self.segment.cosines(kept, probe.vector), self._view_cosines(kept, probe), upright, nearest
        )

    def _hits(self, near: _Measures, probe: Probe, identical: Sequence[int]) -> dict[int, Hit]:
        hits = {}
        for place, number in enumerate(near.numbers.tolist()):
            facts = self.facts[self.segment.set_of[number]]
            if facts is None:
                continue
            hits[number] = Hit(
                reference=ReferenceRow(self.segment.references, number, facts.name),
                facts=facts,
                cosine=float(near.cosines[place]),
                discounted=float(near.cosines[place]) - probe.discount,
                views=float(near.views[place]),
                upright=float(near.upright[place]),
                distance=float(near.distances[place]),
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

    def _near_views(self, probe: Probe) -> Numbers:
        if probe.vector is None or self.segment.signs.bits == 0:
            return np.empty(0, np.intp)
        least, bits = self.reach.views.astype(np.float64) + probe.discount, self.segment.signs.bits
        farthest = np.ceil(bits * np.arccos(np.clip(least, -1.0, 1.0)) / math.pi).astype(np.int64)
        return self.segment.signs.near(signs(probe.vector), np.where(least > 1.0, -1, farthest))

    def _near_hashes(self, probe: Probe) -> Numbers:
        if not probe.pdq:
            return np.empty(0, np.intp)
        return self.segment.pdq.near(probe.pdq, self.reach.distances, self.segment.set_of)

    def _view_cosines(self, numbers: Numbers, probe: Probe) -> Floats:
        bits = self.segment.signs.bits
        if probe.vector is None or bits == 0:
            return np.full(len(numbers), np.nan)
        nearest = self.segment.signs.nearest(numbers, signs(probe.vector))
        return np.array(
            [math.nan if far is None else math.cos(math.pi * far / bits) - probe.discount for far in nearest]
        )

    def _bits(self, numbers: Numbers, probe: Probe) -> tuple[Floats, Floats]:
        if not probe.pdq or len(numbers) == 0:
            unknown = np.full(len(numbers), np.nan)
            return unknown, unknown
        upright, nearest = (np.where(d == UNKNOWN, np.nan, d) for d in self.segment.pdq.distances(probe.pdq, numbers))
        return upright, nearest


def first_scores(calibration: Calibration, hits: Sequence[Hit]) -> Floats:
    """Return the scores before any local feature was looked at, 0..100."""
    return fused_scores(
        calibration.pair_log10(
            [hit.discounted for hit in hits], [hit.views for hit in hits], [hit.distance for hit in hits]
        ),
        [hit.facts.chances for hit in hits],
    )
