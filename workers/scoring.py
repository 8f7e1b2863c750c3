"""From hits and findings to matches: one score per relation, the likelihoods, and who found it.

A verified match counts as a copy as far as what lies inside agrees: its evidence (log10 of the probability of coming as
near by chance) is weighed by the probability that it is a copy.  Where that falls under one half, the relation is *same
layout*, whose score rests on the geometry alone.  Where local features had enough to go by and found nothing, the other
matchers' evidence loses ``SILENCE`` decades: so seldom does a copy with features on both sides not verify.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from shared.core.matching import IDENTICAL_SCORE, Calibration, exact_score, fused_scores, raw_score
from shared.types import Matcher, ReferenceMatch, Relation
from workers.evidence import Sight
from workers.exactness import same_content
from workers.live_segment import Hit

SILENCE: Final = 1.5
LEAST_COPY: Final = 0.33
"""Held out, no filled form reached .29 against its blank; half-size and tilted line drawings went down to .34."""
UNCHANGED: Final = 0.5
"""Of the copies shown whole and upright, how many are taken to be unchanged before anything was looked at."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scored:
    """A match and its place: by score, then cosine, then name, never by chance (many scores meet at the floor)."""

    match: ReferenceMatch
    cosine: float

    @property
    def order(self) -> tuple[float, float, str, str]:
        """Sorts the best first."""
        return (-self.match.score, -self.cosine, self.match.set, self.match.reference)


def score_hits(calibration: Calibration, hits: Sequence[Hit], sight: Sight | None) -> list[Scored]:
    """Return a match for every hit."""
    return [_scored(calibration, hit, sight) for hit in hits]


def copy_log10(calibration: Calibration, hit: Hit) -> float:
    """Return log10 of the probability that an unrelated image comes as near to this reference as a copy."""
    finding = hit.finding
    local = finding.strength * finding.sameness if finding is not None and finding.geometry is not None else math.nan
    rarest = float(calibration.pair_log10(hit.discounted, hit.views, hit.distance, local))
    if finding is None or not finding.told:
        return rarest
    if finding.geometry is None:
        return min(0.0, rarest + SILENCE)
    return rarest * finding.sameness


def _scored(calibration: Calibration, hit: Hit, sight: Sight | None) -> Scored:
    finding = hit.finding
    relation, rarest = Relation.COPY, copy_log10(calibration, hit)
    if finding is not None and finding.geometry is not None and finding.copy < LEAST_COPY and not hit.identical:
        relation = Relation.SAME_LAYOUT
        rarest = float(calibration.layout.at(finding.strength)) if calibration.layout is not None else rarest
    score = IDENTICAL_SCORE if hit.identical else float(fused_scores(rarest, hit.facts.chances))
    cosine = 1.0 if hit.identical else (0.0 if math.isnan(hit.cosine) else hit.cosine)
    similar = 1.0 if hit.identical else calibration.odds(score, hit.facts.prior)
    if relation is Relation.SAME_LAYOUT and finding is not None:
        similar *= finding.copy
    wanted = relation is Relation.COPY or hit.facts.relation == "any"
    match = ReferenceMatch(
        set=hit.reference.set,
        reference=hit.reference.reference,
        name=hit.reference.name,
        matched=wanted and score >= hit.facts.threshold,
        relation=relation,
        score=score,
        raw_score=raw_score(cosine),
        exact_score=_exact_score(hit, similar),
        similar_score=similar,
        evidence=None if finding is None or sight is None else finding.evidence(sight.image_size, sight.plane_size),
        matched_by=_matched_by(calibration, hit),
    )
    return Scored(match=match, cosine=cosine)


def _exact_score(hit: Hit, similar: float) -> float:
    """Return how likely it is that the picture is the reference and nothing in it was changed."""
    if hit.identical:
        return 1.0
    if hit.finding is not None and hit.finding.exact is not None:
        return similar * same_content(hit.finding.exact, UNCHANGED)
    return min(similar, exact_score(None if math.isnan(hit.upright) else int(hit.upright)))


def _matched_by(calibration: Calibration, hit: Hit) -> tuple[Matcher, ...]:
    """Return the matchers that alone would reach the set's threshold."""
    nothing = math.nan
    alone = {
        Matcher.PDQ: calibration.pair_log10(nothing, nothing, hit.distance),
        Matcher.ENCODER: calibration.pair_log10(hit.discounted, hit.views, nothing),
    }
    if hit.finding is not None and hit.finding.geometry is not None:
        strength = hit.finding.strength * hit.finding.sameness
        alone[Matcher.LOCAL] = calibration.pair_log10(nothing, nothing, nothing, strength)
    found = [
        matcher
        for matcher, rarest in alone.items()
        if float(fused_scores(rarest, hit.facts.chances)) >= hit.facts.threshold
    ]
    return (Matcher.BYTES, *found) if hit.identical else tuple(found)
