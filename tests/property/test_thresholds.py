"""Raising a threshold, of a set or of a policy, never adds a match and never makes a decision stricter.

A set's threshold acts through ``matched`` and ``matched_by``, which are computed here from the measures of a pair as
the index does it.  The only policies left out are those that exclude images by a match (``none``): there a match
less is an image more.
"""

import dataclasses
from typing import Final

from hypothesis import given
from hypothesis import strategies as st

from shared.core.matching import IDENTICAL_SCORE, Calibration, Curve
from shared.core.policy import Policy, decide
from shared.core.policy_conditions import Condition, ImageCondition, ImageConditions, LabelCondition, SetCondition
from shared.types import (
    RESTRICTIVENESS,
    Action,
    Decision,
    ImageJudgement,
    LabelScore,
    Matcher,
    Mode,
    ReferenceMatch,
    Relation,
)
from tests.factories import SET, make_judgement, make_match, make_policy, make_verdict
from tests.index_factories import fused_score

CALIBRATION: Final = Calibration(
    cosine=Curve(xs=(0.0, 0.5, 1.0), ys=(0.0, -2.0, -9.0)), pdq=Curve(xs=(0.0, 60.0, 128.0), ys=(-12.0, -5.0, 0.0))
)
THRESHOLDS: Final = st.floats(0, 100)
RELATIONS: Final = st.sampled_from([None, "any", "copy", "same_layout"])


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """What is measured between an image and one reference of a set."""

    cosine: float
    distance: int
    identical: bool
    relation: Relation

    def match(self, threshold: float, looked_for: frozenset[Relation], number: int) -> ReferenceMatch:
        """Score the pair by each matcher and by all of them."""
        alone = {
            Matcher.ENCODER: self._score(cosine=self.cosine),
            Matcher.PDQ: self._score(distance=self.distance),
            Matcher.BYTES: self._score(identical=self.identical),
        }
        score = self._score(cosine=self.cosine, distance=self.distance, identical=self.identical)
        return make_match(
            reference=f"r-{number}",
            relation=self.relation,
            score=score,
            matched=score >= threshold and self.relation in looked_for,
            matched_by=tuple(matcher for matcher, each in alone.items() if each >= threshold),
        )

    def _score(self, *, cosine: float | None = None, distance: int | None = None, identical: bool = False) -> float:
        if identical:
            return IDENTICAL_SCORE
        return fused_score(CALIBRATION, cosine=cosine, distance=distance, chances=25)


PAIRS: Final = st.builds(
    Pair,
    cosine=st.floats(-1, 1),
    distance=st.integers(0, 256),
    identical=st.booleans(),
    relation=st.sampled_from(Relation),
)
IMAGES: Final = st.lists(st.lists(PAIRS, max_size=3), max_size=3)
LOOKED_FOR: Final = st.sampled_from([frozenset({Relation.COPY}), frozenset(Relation)])
CONDITIONS: Final[st.SearchStrategy[Condition]] = st.one_of(
    st.builds(SetCondition, set=st.just(SET), min_score=st.none() | THRESHOLDS, relation=RELATIONS),
    st.builds(LabelCondition, classifier=st.just("documents"), label=st.sampled_from(["passport", "other"])),
    st.just(ImageCondition()),
)
GROUP: Final = st.lists(CONDITIONS, max_size=3).map(tuple)
POLICIES: Final = st.builds(
    make_policy,
    name=st.text(min_size=1, max_size=3),
    action=st.sampled_from(sorted(Action)),
    mode=st.sampled_from(Mode),
    images=st.tuples(GROUP, GROUP).filter(any).map(lambda groups: ImageConditions(any=groups[0], all=groups[1])),
)
FILES: Final = st.lists(POLICIES, min_size=1, max_size=3)


def judged(images: list[list[Pair]], threshold: float, looked_for: frozenset[Relation]) -> list[ImageJudgement]:
    """Return the images as a set of this threshold sees them; every second one is labelled, too."""
    label = LabelScore(classifier="documents", label="passport", score=91.0)
    return [
        make_judgement(
            locator=f"part[{number}]",
            verdict=make_verdict(
                matches=tuple(pair.match(threshold, looked_for, which) for which, pair in enumerate(pairs)),
                labels=(label,) * (number % 2),
            ),
        )
        for number, pairs in enumerate(images)
    ]


def strictness(decision: Decision) -> int:
    return RESTRICTIVENESS.index(decision.action)


def recorded(decision: Decision, policy: Policy) -> int:
    """Return how strict the finding of a policy is; -1 where it has none."""
    actions = [RESTRICTIVENESS.index(each.action) for each in decision.findings if each.policy == policy.name]
    return max(actions, default=-1)


@given(IMAGES, LOOKED_FOR, THRESHOLDS, THRESHOLDS)
def test_raising_a_sets_threshold_never_adds_a_match_nor_a_matcher(
    images: list[list[Pair]], looked_for: frozenset[Relation], one: float, other: float
) -> None:
    low, high = sorted((one, other))
    for pair in (pair for pairs in images for pair in pairs):
        before, after = pair.match(low, looked_for, 0), pair.match(high, looked_for, 0)
        assert after.matched <= before.matched
        assert set(after.matched_by) <= set(before.matched_by)
        assert after.score == before.score


@given(FILES, IMAGES, LOOKED_FOR, THRESHOLDS, THRESHOLDS)
def test_raising_a_sets_threshold_never_makes_a_decision_stricter(
    policies: list[Policy], images: list[list[Pair]], looked_for: frozenset[Relation], one: float, other: float
) -> None:
    low, high = sorted((one, other))
    before = decide(policies, judged(images, low, looked_for))
    after = decide(policies, judged(images, high, looked_for))
    assert strictness(after) <= strictness(before)
    assert all(recorded(after, policy) <= recorded(before, policy) for policy in policies)


@given(POLICIES, RELATIONS, IMAGES, LOOKED_FOR, THRESHOLDS, THRESHOLDS, THRESHOLDS)
def test_raising_a_policys_score_never_makes_a_decision_stricter(
    policy: Policy,
    relation: str | None,
    images: list[list[Pair]],
    looked_for: frozenset[Relation],
    threshold: float,
    one: float,
    other: float,
) -> None:
    seen = judged(images, threshold, looked_for)
    before, after = (
        decide([dataclasses.replace(policy, images=asking(relation, score))], seen) for score in sorted((one, other))
    )
    assert strictness(after) <= strictness(before)
    assert recorded(after, policy) <= recorded(before, policy)


def asking(relation: str | None, score: float) -> ImageConditions:
    """Return what a policy asks that names a score, and a relation or none."""
    return ImageConditions(any=(SetCondition(set=SET, min_score=score, relation=relation),))  # type: ignore[arg-type]


@given(IMAGES, LOOKED_FOR, THRESHOLDS, st.sampled_from([Action.DELETE, Action.QUARANTINE]))
def test_nothing_is_destroyed_that_is_not_proven(
    images: list[list[Pair]], looked_for: frozenset[Relation], threshold: float, action: Action
) -> None:
    seen = judged(images, threshold, looked_for)
    policy = make_policy(action=action, images=ImageConditions(any=(SetCondition(set=SET),)))
    matched = [match for each in seen if each.verdict for match in each.verdict.matches if match.matched]
    proven = any(Matcher.BYTES in match.matched_by or len(match.matched_by) == 2 for match in matched)
    expected = [action if proven else Action.TAG] if matched else []
    assert [finding.action for finding in decide([policy], seen).findings] == expected
