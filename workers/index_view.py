"""What one search sees: sets, a base segment, what came since, and what of the base is gone.  Immutable.

A replica publishes a new view for every change and swaps one reference, so a search never meets half a change, and
the revision it reports is that of the references it looked at.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Final

import numpy as np
import numpy.typing as npt

from shared.core.matching import (
    IDENTICAL_SCORE,
    MIN_PDQ_QUALITY,
    Calibration,
    Floats,
    SetFacts,
    exact_score,
    fused_scores,
    largest_distance,
    least_cosine,
    needed_log10,
    raw_score,
    similar_score,
)
from shared.types import Reference, ReferenceMatch, Relation
from workers.ann_index import Vectors
from workers.index_segment import Numbers, Segment
from workers.pdq_index import UNKNOWN

SCORE_FLOOR: Final = 50.0
"""Below this nothing is reported (one in five unrelated images would be), unless a set's threshold is lower."""
MATCHES_PER_SET: Final = 5
SMALL_SET_SHARE: Final = 64
"""A set with less than this part of all vectors is searched exactly.

The floor of a set of m is at p = 0.1/m per vector, so about 0.1 N/m unrelated ones of all N are over it: a graph that
returns 64 neighbours would drown a small set's own.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Probe:
    """One image as the index is asked about it; None and empty where a measure is missing or must not count.

    ``discount`` is taken off its cosines before they are scored (a picture near everything says less by being near).
    """

    sha256: str
    vector: Vectors | None = None
    pdq: tuple[str, ...] = ()
    discount: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class LiveSegment:
    """A segment and what of it can match at present sizes and thresholds.

    ``floors``: least cosine per vector row (inf for references that are gone); ``ceilings``: largest PDQ distance per
    reference (-1: never); ``facts``: per set of the segment; ``blocks``: the rows of its small sets.
    """

    segment: Segment
    alive: npt.NDArray[np.bool_]
    floors: Vectors
    ceilings: npt.NDArray[np.int16]
    facts: tuple[SetFacts | None, ...]
    blocks: tuple[tuple[int, int], ...]

    @classmethod
    def build(cls, segment: Segment, gone: Sequence[int], sets: Mapping[str, SetFacts], reach: Reach) -> LiveSegment:
        """``gone`` are numbers of references that were removed or replaced since the segment was built."""
        facts = tuple(sets.get(name) for name in segment.set_names)
        limits = [reach(fact) if fact is not None else (np.inf, -1) for fact in facts]
        alive = np.ones(len(segment.references), dtype=np.bool_)
        alive[list(gone)] = False
        floors = np.array([limit[0] for limit in limits], dtype=np.float32)[segment.set_of]
        ceilings = np.array([limit[1] for limit in limits], dtype=np.int16)[segment.set_of]
        return cls(
            segment=segment,
            alive=alive,
            floors=np.where(alive, floors, np.float32(np.inf))[segment.owner],
            ceilings=np.where(alive, ceilings, np.int16(-1)),
            facts=facts,
            blocks=tuple(
                (first, last)
                for first, last in segment.blocks
                if 0 < (last - first) * SMALL_SET_SHARE < len(segment.owner)
            ),
        )

    def search(
        self, probe: Probe, rows: Numbers, calibration: Calibration
    ) -> list[tuple[float, float, ReferenceMatch]]:
        """Return (score, cosine, match) of everything near; ``rows`` are the vector rows over their floors."""
        segment = self.segment
        identical = [n for n in segment.by_sha256.get(probe.sha256, ()) if self.alive[n]]
        numbers = [segment.owner[rows], np.array(identical, dtype=np.intp)]
        upright = nearest = np.empty(0, dtype=np.uint16)
        if probe.pdq and segment.references:
            upright, nearest = segment.pdq.distances(probe.pdq)
            numbers.append(np.flatnonzero(nearest.astype(np.int16) <= self.ceilings))
        found = np.unique(np.concatenate(numbers))
        if len(found) == 0:
            return []
        cosines = segment.cosines(found, probe.vector)
        bits = upright[found] if len(upright) else np.full(len(found), UNKNOWN)
        scores = self._scores(found, cosines - probe.discount, nearest, calibration)
        same = np.isin(found, identical)
        columns = (found.tolist(), scores.tolist(), cosines.tolist(), bits.tolist(), same.tolist())
        return [
            self._match(number, score, cosine, upright_bits, identical=is_same)
            for number, score, cosine, upright_bits, is_same in zip(*columns, strict=True)
        ]

    def _scores(
        self, found: Numbers, cosines: Floats, nearest: npt.NDArray[np.uint16], calibration: Calibration
    ) -> Floats:
        chances = np.array([fact.chances if fact is not None else 1 for fact in self.facts])[self.segment.set_of[found]]
        distances = np.full(len(found), np.nan)
        if len(nearest):
            distances = np.where(nearest[found] == UNKNOWN, np.nan, nearest[found])
        return fused_scores(calibration, cosines, distances, chances)

    def _match(
        self, number: int, score: float, cosine: float, bits: int, *, identical: bool
    ) -> tuple[float, float, ReferenceMatch]:
        reference = self.segment.references[number]
        fact = self.facts[self.segment.set_of[number]]
        cosine = 1.0 if identical else (0.0 if np.isnan(cosine) else cosine)
        score = IDENTICAL_SCORE if identical else score
        match = ReferenceMatch(
            set=reference.set,
            reference=reference.reference,
            name=reference.name,
            matched=fact is not None and score >= fact.threshold,
            relation=Relation.COPY,
            score=score,
            raw_score=raw_score(cosine),
            exact_score=exact_score(None if bits == UNKNOWN else bits, identical=identical),
            similar_score=similar_score(score),
        )
        return score, cosine, match


Reach = Callable[[SetFacts], tuple[float, int]]
"""Gives a set's (least cosine, largest PDQ distance) that can still reach its floor."""


def make_reach(calibration: Calibration) -> Reach:
    """Return how near a reference of a set must come to be worth a score."""

    def reach(facts: SetFacts) -> tuple[float, int]:
        needed = needed_log10(floor_of(facts), facts.chances)
        return least_cosine(calibration, needed), largest_distance(calibration, needed)

    return reach


def floor_of(facts: SetFacts) -> float:
    """Return the score from which references of this set are reported."""
    return min(SCORE_FLOOR, facts.threshold)


@dataclass(frozen=True, slots=True, kw_only=True)
class IndexView:
    """The index at one revision."""

    revision: str
    sets: Mapping[str, SetFacts]
    segments: tuple[LiveSegment, ...]
    calibration: Calibration

    def references(self, set_name: str) -> tuple[Reference, ...]:
        """Return a set's searchable references."""
        return tuple(
            reference
            for live in self.segments
            for number, reference in enumerate(live.segment.references)
            if reference.set == set_name and live.alive[number]
        )

    def search(
        self,
        vectors: Vectors | None,
        pdqs: Sequence[tuple[str, ...]],
        sha256s: Sequence[str],
        *,
        pdq_qualities: Sequence[int] | None = None,
        low_information: Sequence[bool] | None = None,
    ) -> list[tuple[ReferenceMatch, ...]]:
        """Return, per image, the best references of every set, best first.

        ``vectors``: n x dimension float32, L2 = 1, None or a row of zeros where there is none (then PDQ and SHA-256
        alone are asked); ``pdqs``: the eight dihedral variants each, empty for none.  Hashes of a quality under 50
        do not count, and a low-information image counts by its bytes only.  Raises ValueError for vectors of another
        dimension.  Takes 0.6 ms for 10,000 vectors on one core: call it in a thread above that.
        """
        qualities = pdq_qualities if pdq_qualities is not None else [MIN_PDQ_QUALITY] * len(sha256s)
        empty = low_information if low_information is not None else [False] * len(sha256s)
        probes = [
            self._probe(vectors, i, pdqs[i] if qualities[i] >= MIN_PDQ_QUALITY else (), sha256s[i], empty=empty[i])
            for i in range(len(sha256s))
        ]
        found: list[list[tuple[float, float, ReferenceMatch]]] = [[] for _ in probes]
        for live in self.segments:
            for hits, probe, rows in zip(found, probes, _rows(live, probes), strict=True):
                hits.extend(live.search(probe, rows, self.calibration))
        return [self._best(hits) for hits in found]

    def _probe(self, vectors: Vectors | None, row: int, pdq: tuple[str, ...], sha256: str, *, empty: bool) -> Probe:
        if empty:
            return Probe(sha256=sha256)
        vector = None if vectors is None else vectors[row]
        if vector is None or not vector.any() or not np.isfinite(vector).all():
            return Probe(sha256=sha256, pdq=pdq)
        return Probe(sha256=sha256, vector=vector, pdq=pdq, discount=self.calibration.discount(vector))

    def _best(self, hits: list[tuple[float, float, ReferenceMatch]]) -> tuple[ReferenceMatch, ...]:
        # Many scores meet at the calibration's floor: there the cosine decides, then the name, never chance.
        hits.sort(key=lambda hit: (hit[2].set, -hit[0], -hit[1], hit[2].reference))
        best: list[tuple[float, float, ReferenceMatch]] = []
        for name, of_set in groupby(hits, key=lambda hit: hit[2].set):
            floor = floor_of(self.sets[name])
            best += [hit for hit in of_set if hit[0] >= floor][:MATCHES_PER_SET]
        best.sort(key=lambda hit: (-hit[0], -hit[1], hit[2].set, hit[2].reference))
        return tuple(hit[2] for hit in best)


def _rows(live: LiveSegment, probes: Sequence[Probe]) -> list[Numbers]:
    nothing = np.empty(0, dtype=np.intp)
    queries = [probe.vector for probe in probes if probe.vector is not None]
    if not queries or len(live.floors) == 0:
        return [nothing] * len(probes)
    hits = iter(live.segment.ann.candidates(np.stack(queries), live.floors, live.blocks))
    return [next(hits) if probe.vector is not None else nothing for probe in probes]
