"""What holds of every decision, whatever the policies and the images."""

import dataclasses
from typing import Final

from hypothesis import given
from hypothesis import strategies as st

from shared.core.policy import TRANSFER_ACTIONS, OnUninspected, Policy, decide, decide_uninspected
from shared.core.policy_conditions import (
    Condition,
    HashListCondition,
    ImageCondition,
    ImageConditions,
    LabelCondition,
    SetCondition,
)
from shared.errors import ErrorCode
from shared.types import (
    RESTRICTIVENESS,
    Action,
    HashHit,
    ImageJudgement,
    LabelScore,
    Mode,
    Relation,
    UninspectedReason,
    VerdictError,
)
from tests.factories import make_judgement, make_match, make_policy, make_verdict

NAMES: Final = st.sampled_from(["a", "b"])
SCORES: Final = st.floats(0, 100)

SET_CONDITIONS: Final = st.builds(
    SetCondition,
    set=NAMES,
    min_score=st.none() | SCORES,
    relation=st.sampled_from([None, "any", "copy", "same_layout"]),
)
CONDITIONS: Final[st.SearchStrategy[Condition]] = st.one_of(
    SET_CONDITIONS,
    st.builds(LabelCondition, classifier=NAMES, label=st.sampled_from(["x", "other"])),
    st.builds(HashListCondition, list=NAMES),
    st.just(ImageCondition()),
)
GROUP: Final = st.lists(CONDITIONS, max_size=2).map(tuple)
IMAGE_CONDITIONS: Final = (
    st.tuples(GROUP, GROUP, GROUP)
    .filter(any)
    .map(lambda groups: ImageConditions(any=groups[0], all=groups[1], none=groups[2]))
)
UNINSPECTED_ACTIONS: Final = st.sampled_from([Action.ALLOW, Action.BLOCK])
POLICIES: Final = st.builds(
    make_policy,
    name=st.text(min_size=1, max_size=3),
    action=st.sampled_from(sorted(Action)),
    mode=st.sampled_from(Mode),
    images=st.none() | IMAGE_CONDITIONS,
    on_uninspected=st.builds(
        OnUninspected,
        default=UNINSPECTED_ACTIONS,
        by_reason=st.dictionaries(st.sampled_from(UninspectedReason), UNINSPECTED_ACTIONS),
    ),
)
MATCHES: Final = st.builds(
    make_match, set=NAMES, matched=st.booleans(), relation=st.sampled_from(Relation), score=SCORES
)
VERDICTS: Final = st.builds(
    make_verdict,
    matches=st.lists(MATCHES, max_size=3).map(tuple),
    labels=st.lists(st.builds(LabelScore, classifier=NAMES, label=st.just("x"), score=SCORES), max_size=2).map(tuple),
    hash_hits=st.lists(st.builds(HashHit, list=NAMES, kind=st.just("pdq"), distance=st.just(3)), max_size=1).map(tuple),
    degraded=st.booleans(),
    error=st.none() | st.builds(VerdictError, code=st.sampled_from(ErrorCode), message=st.just("")),
)
JUDGEMENTS: Final[st.SearchStrategy[ImageJudgement]] = st.one_of(
    st.builds(make_judgement, verdict=VERDICTS),
    st.builds(make_judgement, verdict=st.none(), uninspected=st.none() | st.sampled_from(UninspectedReason)),
)
TRANSFERS: Final = st.lists(JUDGEMENTS, max_size=4)
FILES: Final = st.lists(POLICIES, max_size=4)


def restrictiveness(action: Action) -> int:
    return RESTRICTIVENESS.index(action)


@given(FILES, POLICIES, TRANSFERS)
def test_one_policy_more_never_lets_more_through(
    policies: list[Policy], more: Policy, images: list[ImageJudgement]
) -> None:
    before, after = decide(policies, images), decide([*policies, more], images)
    assert restrictiveness(after.action) >= restrictiveness(before.action)


@given(FILES, TRANSFERS)
def test_monitoring_never_acts(policies: list[Policy], images: list[ImageJudgement]) -> None:
    watching = [dataclasses.replace(policy, mode=Mode.MONITOR) for policy in policies]
    decision = decide(watching, images)
    assert (decision.action, decision.policy) == (Action.ALLOW, None)
    recorded = sorted((each.policy, each.kind, each.action) for each in decide(policies, images).findings)
    assert sorted((each.policy, each.kind, each.action) for each in decision.findings) == recorded


@given(st.data(), FILES, TRANSFERS)
def test_the_order_of_policies_does_not_change_what_happens(
    data: st.DataObject, policies: list[Policy], images: list[ImageJudgement]
) -> None:
    shuffled = data.draw(st.permutations(policies))
    assert decide(shuffled, images).action is decide(policies, images).action


@given(SET_CONDITIONS, SCORES, SCORES, TRANSFERS)
def test_raising_the_score_never_adds_a_match(
    condition: SetCondition, one: float, other: float, images: list[ImageJudgement]
) -> None:
    low, high = (
        make_policy(images=ImageConditions(any=(dataclasses.replace(condition, min_score=score),)))
        for score in sorted((one, other))
    )
    if any(finding.kind == "match" for finding in decide([high], images).findings):
        assert any(finding.kind == "match" for finding in decide([low], images).findings)


@given(FILES, TRANSFERS)
def test_the_decision_is_one_of_its_findings(policies: list[Policy], images: list[ImageJudgement]) -> None:
    decision = decide(policies, images)
    assert decision.action in TRANSFER_ACTIONS
    assert len(decision.findings) <= 2 * len(policies)
    if decision.policy is None:
        assert decision.action is Action.ALLOW
    else:
        assert decision.findings[0].policy == decision.policy
        assert decision.findings[0].mode is Mode.ENFORCE


@given(FILES, st.sampled_from(UninspectedReason))
def test_what_was_not_inspected_is_never_silent(policies: list[Policy], reason: UninspectedReason) -> None:
    decision = decide_uninspected(policies, reason, "")
    assert len(decision.findings) == len(policies)
    closed = any(p.acts and p.images is not None and p.on_uninspected.action(reason) is Action.BLOCK for p in policies)
    assert decision.action is Action.BLOCK or not closed
