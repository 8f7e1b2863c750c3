"""From hits and findings to matches: one score per relation, the likelihoods, and who found it.

A verified match counts as a copy as far as what lies inside agrees: its evidence (log10 of the probability of coming as
near by chance) is weighed by the probability that it is a copy.  Where that falls under one half, the relation is *same
layout*, whose score rests on the geometry alone.  Where local features had enough to go by and found nothing, the other
matchers' evidence loses ``SILENCE`` decades: so seldom does a copy with features on both sides not verify.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from shared.core.matching import IDENTICAL_SCORE, Calibration, Floats, as_log10, exact_score, fused_scores, raw_score
from shared.types import Matcher, ReferenceMatch, Relation
from workers.closer_look.evidence import Sight
from workers.closer_look.exactness import same_content
from workers.search.live_segment import Hit

SILENCE: Final = 1.5
LEAST_COPY: Final = 0.33
"""Held out, no filled form reached .29 against its blank; half-size and tilted line drawings went down to .34."""
UNCHANGED: Final = 0.5
"""Of the copies shown whole and upright, how many are taken to be unchanged before anything was looked at."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scored:
    """A hit and its place: by score, then cosine, then name, never by chance (many scores meet at the floor)."""

    calibration: Calibration
    hit: Hit
    sight: Sight | None
    relation: Relation
    score: float
    matched_by: tuple[Matcher, ...]

    @property
    def cosine(self) -> float:
        """1 for identical bytes, 0 where none was measured."""
        return 1.0 if self.hit.identical else (0.0 if math.isnan(self.hit.cosine) else self.hit.cosine)

    @property
    def order(self) -> tuple[float, float, str, str]:
        """Sorts the best first."""
        return (-self.score, -self.cosine, self.hit.reference.set, self.hit.reference.reference)

    @property
    def match(self) -> ReferenceMatch:
        """Made when it is asked for: of the hits in a set the best few are."""
        hit, finding, sight = self.hit, self.hit.finding, self.sight
        similar = 1.0 if hit.identical else self.calibration.odds(self.score, hit.facts.prior)
        if self.relation is Relation.SAME_LAYOUT and finding is not None:
            similar *= finding.copy
        wanted = self.relation is Relation.COPY or hit.facts.relation == "any"
        return ReferenceMatch(
            set=hit.reference.set,
            reference=hit.reference.reference,
            name=hit.reference.name,
            matched=wanted and self.score >= hit.facts.threshold,
            relation=self.relation,
            score=self.score,
            raw_score=raw_score(self.cosine),
            exact_score=_exact_score(hit, similar),
            similar_score=similar,
            evidence=None if finding is None or sight is None else finding.evidence(sight.image_size, sight.plane_size),
            matched_by=self.matched_by,
        )


def score_hits(calibration: Calibration, hits: Sequence[Hit], sight: Sight | None) -> list[Scored]:
    """Return every hit with its score.

    What tables are asked for is asked for all at once: one by one it took 0.27 ms a hit, most of a search.
    """
    if not hits:
        return []
    chances = [hit.facts.chances for hit in hits]
    near = _nearness(calibration, hits)
    weighed = [_weighed(calibration, hit, rarest) for hit, rarest in zip(hits, near.rarest.tolist(), strict=True)]
    scores = fused_scores([rarest for _, rarest in weighed], chances).tolist()
    alone = {matcher: fused_scores(rarest, chances).tolist() for matcher, rarest in near.alone.items()}
    return [
        Scored(
            calibration=calibration,
            hit=hit,
            sight=sight,
            relation=weighed[place][0],
            score=IDENTICAL_SCORE if hit.identical else scores[place],
            matched_by=_matched_by(hit, place, alone),
        )
        for place, hit in enumerate(hits)
    ]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Nearness:
    """log10 of the probability of coming as near by chance, for each hit: by all measures, and by each matcher's."""

    rarest: Floats
    alone: Mapping[Matcher, Floats]


def _nearness(calibration: Calibration, hits: Sequence[Hit]) -> _Nearness:
    local = [_local(hit) for hit in hits]
    encoder, pdq, features = calibration.matcher_log10(
        [hit.discounted for hit in hits], [hit.views for hit in hits], [hit.distance for hit in hits], local
    )
    alone = {Matcher.PDQ: as_log10(pdq), Matcher.ENCODER: as_log10(encoder)}
    if not all(map(math.isnan, local)):
        alone[Matcher.LOCAL] = as_log10(features)
    return _Nearness(rarest=as_log10(np.fmin(np.fmin(encoder, pdq), features)), alone=alone)


def _local(hit: Hit) -> float:
    """Return what local features found, as far as it speaks for a copy; NaN where they found nothing."""
    finding = hit.finding
    return finding.strength * finding.sameness if finding is not None and finding.geometry is not None else math.nan


def copy_log10(hit: Hit, rarest: float) -> float:
    """Return log10 of the probability that an unrelated image comes as near to this reference as a copy.

    ``rarest``: of coming as near by its rarest measure.
    """
    finding = hit.finding
    if finding is None or not finding.told:
        return rarest
    if finding.geometry is None:
        return min(0.0, rarest + SILENCE)
    return rarest * finding.sameness


def _weighed(calibration: Calibration, hit: Hit, rarest: float) -> tuple[Relation, float]:
    """Return the relation, and log10 of the probability that an unrelated image comes as near in it."""
    finding = hit.finding
    if finding is not None and finding.geometry is not None and finding.copy < LEAST_COPY and not hit.identical:
        if calibration.layout is not None:
            return Relation.SAME_LAYOUT, float(calibration.layout.at(finding.strength))
        return Relation.SAME_LAYOUT, copy_log10(hit, rarest)
    return Relation.COPY, copy_log10(hit, rarest)


def _exact_score(hit: Hit, similar: float) -> float:
    """Return how likely it is that the picture is the reference and nothing in it was changed."""
    if hit.identical:
        return 1.0
    if hit.finding is not None and hit.finding.exact is not None:
        return similar * same_content(hit.finding.exact, UNCHANGED)
    return min(similar, exact_score(None if math.isnan(hit.upright) else int(hit.upright)))


def _matched_by(hit: Hit, place: int, alone: Mapping[Matcher, Sequence[float]]) -> tuple[Matcher, ...]:
    """Return the matchers that alone would reach the set's threshold."""
    found = [
        matcher
        for matcher, scores in alone.items()
        if scores[place] >= hit.facts.threshold and (matcher is not Matcher.LOCAL or not math.isnan(_local(hit)))
    ]
    return (Matcher.BYTES, *found) if hit.identical else tuple(found)
