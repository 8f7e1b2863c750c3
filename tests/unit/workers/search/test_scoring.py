"""Evidence becomes one score: agreement inside counts as a copy, other content as the same layout, silence against."""

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.core.matching import Curve, SetFacts
from shared.types import Matcher, Relation
from tests.index_factories import CALIBRATION, make_reference
from workers.closer_look.evidence import Finding
from workers.closer_look.geometry import Geometry
from workers.search.live_segment import Hit
from workers.search.scoring import SILENCE, copy_log10, score_hits

STRENGTH = Curve(xs=(0.0, 2.0, 4.0), ys=(0.0, -4.0, -12.0))
WITH_LOCAL = replace(CALIBRATION, local=STRENGTH, layout=STRENGTH)
FACTS = SetFacts(name="designs", threshold=85.0, size=10)


def geometry(inliers: int) -> Geometry:
    return Geometry(
        inliers=inliers,
        weight=float(inliers),
        matrix=np.array([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]]),
        mirrored=False,
        image_region=(0, 0, 100, 80),
        reference_region=(0, 0, 100, 100),
        coverage=1.0,
    )


def hit(cosine: float = math.nan, distance: float = math.nan, **overrides: object) -> Hit:
    values: dict[str, object] = {
        "reference": make_reference(0),
        "facts": FACTS,
        "cosine": cosine,
        "discounted": cosine,
        "views": math.nan,
        "upright": distance,
        "distance": distance,
    }
    return Hit(**{**values, **overrides})  # type: ignore[arg-type]


def verified(inliers: int, copy: float) -> Finding:
    return Finding(geometry=geometry(inliers), copy=copy, told=True)


def test_geometry_alone_finds_a_copy() -> None:
    (found,) = score_hits(WITH_LOCAL, [hit(finding=verified(60, 0.99))], None)
    assert found.match.matched
    assert found.match.relation is Relation.COPY
    assert found.match.matched_by == (Matcher.LOCAL,)


def test_other_content_is_the_same_layout_and_no_copy() -> None:
    near = hit(cosine=0.99, distance=4, finding=verified(60, 0.05))
    (found,) = score_hits(WITH_LOCAL, [near], None)
    assert found.match.relation is Relation.SAME_LAYOUT
    assert found.match.score > 85.0
    assert not found.match.matched
    (asked_for,) = score_hits(WITH_LOCAL, [replace(near, facts=replace(FACTS, relation="any"))], None)
    assert asked_for.match.matched


def test_identical_bytes_are_a_copy_whatever_the_look_gave() -> None:
    (found,) = score_hits(WITH_LOCAL, [hit(identical=True, finding=verified(6, 0.01))], None)
    assert (found.match.relation, found.match.score) == (Relation.COPY, 100.0)
    assert found.match.matched_by[0] is Matcher.BYTES


def test_silence_counts_against_only_where_it_tells() -> None:
    near = hit(cosine=0.85)
    plain = float(WITH_LOCAL.pair_log10(near.discounted, near.views, near.distance))
    assert plain < -SILENCE
    assert copy_log10(near, plain) == plain
    assert copy_log10(replace(near, finding=Finding(told=False)), plain) == plain
    assert copy_log10(replace(near, finding=Finding(told=True)), plain) == pytest.approx(plain + SILENCE)
    assert copy_log10(replace(hit(), finding=Finding(told=True)), 0.0) == 0.0


def test_hits_are_scored_together_as_each_alone() -> None:
    hits = [
        hit(cosine=0.9),
        hit(distance=12),
        hit(),
        hit(identical=True),
        hit(cosine=0.99, distance=4, finding=verified(60, 0.05)),
        hit(cosine=0.7, finding=verified(30, 0.95)),
        hit(cosine=0.85, finding=Finding(told=True)),
    ]
    together = score_hits(WITH_LOCAL, hits, None)
    assert together == [scored for each in hits for scored in score_hits(WITH_LOCAL, [each], None)]
    assert [Matcher.LOCAL in found.match.matched_by for found in together] == [False] * 5 + [True, False]
    assert score_hits(WITH_LOCAL, [], None) == []


def test_each_matcher_that_would_do_is_named() -> None:
    (found,) = score_hits(WITH_LOCAL, [hit(cosine=0.95, distance=2, finding=verified(90, 1.0))], None)
    assert found.match.matched_by == (Matcher.PDQ, Matcher.ENCODER, Matcher.LOCAL)
    (weak,) = score_hits(WITH_LOCAL, [hit(cosine=0.3)], None)
    assert weak.match.matched_by == ()


def test_the_likelihood_starts_from_the_set_s_prior() -> None:
    rare = replace(FACTS, prior=1e-4)
    common = replace(FACTS, prior=0.5)
    first, second = score_hits(WITH_LOCAL, [hit(cosine=0.85, facts=rare), hit(cosine=0.85, facts=common)], None)
    assert first.match.score == second.match.score
    assert first.match.similar_score < second.match.similar_score


@given(
    st.floats(-1, 1) | st.just(math.nan),
    st.integers(0, 256) | st.just(math.nan),
    st.integers(5, 200),
    st.floats(0, 1),
    st.floats(0, 100),
    st.floats(0, 100),
)
def test_raising_a_threshold_never_adds_a_match(
    cosine: float, distance: float, inliers: int, copy: float, one: float, other: float
) -> None:
    def matched(threshold: float) -> bool:
        facts = replace(FACTS, threshold=threshold)
        return score_hits(WITH_LOCAL, [hit(cosine, distance, facts=facts, finding=verified(inliers, copy))], None)[
            0
        ].match.matched

    low, high = sorted((one, other))
    assert matched(low) or not matched(high)


@given(st.integers(5, 200), st.integers(5, 200), st.floats(0.34, 1), st.floats(0.34, 1))
def test_more_agreement_never_lowers_the_score(few: int, many: int, one: float, other: float) -> None:
    few, many = sorted((few, many))
    low, high = sorted((one, other))
    scores = [
        found.match.score
        for found in score_hits(WITH_LOCAL, [hit(finding=verified(few, low)), hit(finding=verified(many, high))], None)
    ]
    assert scores[0] <= scores[1] + 1e-9
