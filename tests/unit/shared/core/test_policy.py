"""Which policies could apply, and what is decided."""

from datetime import UTC, date, datetime
from typing import Any

import pytest

from shared.core.policy import (
    REASON_OF_ERROR,
    Exemption,
    OnUninspected,
    Policy,
    Selectors,
    applicable,
    classifiers_named,
    decide,
    decide_uninspected,
    near_cache_allowed,
    needs_images,
    wait_ms,
)
from shared.core.policy_conditions import ImageCondition, ImageConditions, LabelCondition, SetCondition
from shared.errors import ErrorCode
from shared.types import Account, Action, Activity, Actor, Direction, Matcher, Mode, Severity, UninspectedReason
from tests.factories import (
    SET,
    make_actor,
    make_context,
    make_error_verdict,
    make_judgement,
    make_match,
    make_matching,
    make_policy,
    make_verdict,
)

NOON = datetime(2027, 1, 31, 12, tzinfo=UTC)
NONE_OF = ImageConditions(none=(SetCondition(set=SET),))


@pytest.mark.parametrize(
    ("selectors", "context", "admits"),
    [
        ({}, {}, True),
        ({"activities": frozenset({Activity.UPLOAD, Activity.SHARE})}, {}, True),
        ({"activities": frozenset({Activity.SHARE})}, {}, False),
        ({"direction": frozenset({Direction.INBOUND})}, {}, False),
        ({"accounts": frozenset({Account.PERSONAL})}, {}, True),
        ({"accounts": frozenset({Account.UNKNOWN})}, {"account": Account.UNKNOWN}, True),
        ({"accounts": frozenset({Account.COMPANY})}, {}, False),
        ({"apps": ("vendor-files",)}, {}, True),
        ({"apps": ("drive",)}, {}, False),
        ({"apps": ("drive", "tag:unsanctioned")}, {}, True),
        ({"apps": ("tag:storage",)}, {}, False),
        ({"apps": ("*",)}, {"app": ""}, True),
        ({"apps": ("vendor-files",), "hosts": ("elsewhere.example",)}, {}, False),
        ({"hosts": ("*.vendor.example",)}, {}, True),
        ({"hosts": ("*.vendor.example",)}, {"host": "a.b.vendor.example"}, True),
        ({"hosts": ("*.vendor.example",)}, {"host": "vendor.example"}, False),
        ({"hosts": ("*.vendor.example",)}, {"host": "evilvendor.example"}, False),
        ({"hosts": ("vendor.example",)}, {"host": "vendor.example"}, True),
        ({"hosts": ("vendor.example",)}, {"host": "vendorxexample"}, False),
        ({"hosts": ("*.VENDOR.example",)}, {"host": "Files.Vendor.Example."}, True),
        ({"users": ("*",)}, {"actor": Actor()}, True),
        ({"users": ("u1@*",)}, {}, True),
        ({"users": ("u1@*",)}, {"actor": Actor()}, False),
        ({"users": ("U1@CORP.example",)}, {}, True),
        ({"groups": ("*",)}, {"actor": Actor()}, True),
        ({"groups": ("design", "staff")}, {}, True),
        ({"groups": ("design",)}, {}, False),
        ({"groups": ("design",)}, {"actor": Actor()}, False),
        ({"groups": ("[ext] design?",)}, {"actor": make_actor(groups=("[ext] design?",))}, True),
        ({"groups": ("[ext]",)}, {"actor": make_actor(groups=("e",))}, False),
        ({"devices": ("laptop-*",)}, {}, True),
        ({"devices": ("phone-*",)}, {}, False),
        ({"devices": ("*",)}, {"actor": Actor()}, True),
    ],
)
def test_selectors(selectors: dict[str, Any], context: dict[str, Any], admits: bool) -> None:
    policy = make_policy(when=Selectors(**selectors))
    assert (applicable([policy], make_context(**context), NOON) == (policy,)) is admits


@pytest.mark.parametrize(
    ("exemption", "exempt"),
    [
        (Exemption(selectors=Selectors(groups=("staff",))), True),
        (Exemption(selectors=Selectors(groups=("staff",)), until=date(2027, 1, 31)), True),
        (Exemption(selectors=Selectors(groups=("staff",)), until=date(2027, 1, 30)), False),
        (Exemption(selectors=Selectors(groups=("design",))), False),
        (Exemption(selectors=Selectors(groups=("staff",), hosts=("elsewhere.example",))), False),
    ],
)
def test_exemptions_hold_through_their_last_day(exemption: Exemption, exempt: bool) -> None:
    policy = make_policy(exemptions=(exemption,))
    assert (applicable([policy], make_context(), NOON) == ()) is exempt


def test_actions_of_scans_never_apply_to_a_transfer() -> None:
    scans = [make_policy(action=action) for action in (Action.DELETE, Action.QUARANTINE, Action.TAG)]
    assert applicable(scans, make_context(), NOON) == ()
    assert decide(scans, [make_matching()]).action is Action.ALLOW
    assert wait_ms(scans) == 0


DESTRUCTIVE_ACTIONS = pytest.mark.parametrize("action", [Action.DELETE, Action.QUARANTINE])


@DESTRUCTIVE_ACTIONS
@pytest.mark.parametrize("matched_by", [(Matcher.BYTES,), (Matcher.LOCAL,), (Matcher.PDQ, Matcher.ENCODER)])
def test_what_is_proven_is_destroyed(action: Action, matched_by: tuple[Matcher, ...]) -> None:
    (finding,) = decide([make_policy(action=action)], [make_matching(matched_by=matched_by)]).findings
    assert (finding.action, finding.reason) == (action, "set designs: copy of pump.png, score 96.1")


@DESTRUCTIVE_ACTIONS
@pytest.mark.parametrize("matched_by", [(), (Matcher.PDQ,), (Matcher.ENCODER,)])
def test_what_one_matcher_alone_says_is_tagged_and_the_reason_says_so(
    action: Action, matched_by: tuple[Matcher, ...]
) -> None:
    (finding,) = decide([make_policy(action=action)], [make_matching(matched_by=matched_by)]).findings
    assert finding.action is Action.TAG
    assert finding.reason == (
        f"set designs: copy of pump.png, score 96.1; one matcher alone, so tag instead of {action}"
    )


def test_one_proven_image_is_what_a_destructive_finding_names() -> None:
    forged = make_matching(reference="forged", score=99.9, matched_by=(Matcher.ENCODER,))
    real = make_matching(reference="real", score=88.0, matched_by=(Matcher.LOCAL,))
    (finding,) = decide([make_policy(action=Action.DELETE)], [forged, real]).findings
    assert (finding.action, finding.reference) == (Action.DELETE, "real")
    assert finding.reason == "set designs: copy of pump.png, score 88.0"


@pytest.mark.parametrize("action", sorted(set(Action) - {Action.DELETE, Action.QUARANTINE}))
def test_what_can_be_undone_needs_no_proof(action: Action) -> None:
    (finding,) = decide([make_policy(action=action)], [make_matching(matched_by=(Matcher.ENCODER,))]).findings
    assert (finding.action, finding.reason) == (action, "set designs: copy of pump.png, score 96.1")


def test_what_must_be_waited_for() -> None:
    head_only = make_policy(images=None, deadline_ms=9000)
    monitor = make_policy(mode=Mode.MONITOR, deadline_ms=8000)
    short, long = make_policy(deadline_ms=100), make_policy(deadline_ms=700)
    assert wait_ms([head_only, monitor, short, long]) == 700
    assert wait_ms([head_only, monitor]) == 0
    assert needs_images([head_only, monitor])
    assert not needs_images([head_only])


def test_nothing_applies() -> None:
    decision = decide([], [make_matching()])
    assert (decision.action, decision.policy, decision.findings) == (Action.ALLOW, None, ())
    assert decide([make_policy()], [make_judgement()]) == decision


def test_a_match_blocks_and_says_why() -> None:
    judgement = make_matching(score=97.0)
    decision = decide([make_policy(severity=Severity.HIGH, notify=("admin", "user"))], [make_judgement(), judgement])
    assert (decision.action, decision.policy) == (Action.BLOCK, "no-design-leaves")
    (finding,) = decision.findings
    assert (finding.kind, finding.action, finding.mode, finding.severity, finding.notify) == (
        "match",
        Action.BLOCK,
        Mode.ENFORCE,
        Severity.HIGH,
        ("admin", "user"),
    )
    assert (finding.set, finding.reference, finding.score) == (SET, "r-1", 97.0)
    assert (finding.locator, finding.sha256, finding.size, finding.name) == (
        judgement.locator,
        judgement.sha256,
        judgement.size,
        judgement.name,
    )


def test_a_policy_is_recorded_once_with_the_image_that_says_most() -> None:
    images = [make_matching(score=score, reference=f"r-{score}") for score in (88.0, 99.0, 90.0)]
    (finding,) = decide([make_policy()], images).findings
    assert finding.reference == "r-99.0"
    assert finding.reason.endswith("(and 2 more)")


def test_all_groups_must_hold_for_one_image() -> None:
    both = ImageConditions(all=(SetCondition(set="a"), SetCondition(set="b")))
    apart = [make_matching(set="a"), make_matching(set="b")]
    together = make_judgement(verdict=make_verdict(matches=(make_match(set="a"), make_match(set="b"))))
    assert decide([make_policy(images=both)], apart).findings == ()
    assert decide([make_policy(images=both)], [*apart, together]).action is Action.BLOCK


def test_none_of_needs_an_image_that_was_judged() -> None:
    policy = make_policy(images=NONE_OF)
    assert decide([policy], [make_judgement()]).action is Action.BLOCK
    assert decide([policy], [make_matching()]).findings == ()
    assert decide([policy], [make_judgement(verdict=make_error_verdict(ErrorCode.NOT_AN_IMAGE))]).findings == ()
    assert decide([policy], []).findings == ()
    (finding,) = decide([policy], [make_judgement(verdict=make_error_verdict(ErrorCode.CORRUPT))]).findings
    assert (finding.kind, finding.action) == ("uninspected", Action.ALLOW)
    (finding,) = decide([policy], [make_judgement(verdict=make_verdict(degraded=True))]).findings
    assert (finding.kind, finding.reason) == ("uninspected", "default: degraded")


def test_a_policy_without_image_conditions_is_decided_on_the_head() -> None:
    policy = make_policy(images=None)
    for decision in (decide([policy], []), decide_uninspected([policy], UninspectedReason.TIMEOUT, "")):
        assert decision.action is Action.BLOCK
        assert [finding.kind for finding in decision.findings] == ["match"]


@pytest.mark.parametrize(
    ("actions", "action", "policy"),
    [
        ([Action.ALLOW], Action.ALLOW, "p0"),
        ([Action.ALLOW, Action.BLOCK], Action.BLOCK, "p1"),
        ([Action.BLOCK, Action.BLOCK], Action.BLOCK, "p0"),
        ([Action.COACH, Action.REDACT], Action.REDACT, "p1"),
        ([Action.REDACT, Action.COACH, Action.BLOCK], Action.BLOCK, "p2"),
        ([Action.COACH], Action.COACH, "p0"),
    ],
)
def test_the_most_restrictive_wins_and_on_a_tie_the_first(actions: list[Action], action: Action, policy: str) -> None:
    policies = [make_policy(name=f"p{index}", action=each) for index, each in enumerate(actions)]
    decision = decide(policies, [make_matching()])
    assert (decision.action, decision.policy) == (action, policy)
    assert decision.findings[0].policy == policy
    assert {finding.policy: finding.action for finding in decision.findings} == {
        f"p{index}": each for index, each in enumerate(actions)
    }


def test_monitoring_is_recorded_and_never_acts() -> None:
    monitor = make_policy(name="watch", mode=Mode.MONITOR)
    decision = decide([monitor], [make_matching()])
    assert (decision.action, decision.policy) == (Action.ALLOW, None)
    assert [finding.action for finding in decision.findings] == [Action.BLOCK]
    allowing = make_policy(name="allow", action=Action.ALLOW)
    decision = decide([monitor, allowing], [make_matching()])
    assert (decision.action, decision.policy) == (Action.ALLOW, "allow")
    assert [finding.policy for finding in decision.findings] == ["allow", "watch"]


def test_every_error_but_not_an_image_has_a_reason() -> None:
    assert set(ErrorCode) - set(REASON_OF_ERROR) == {ErrorCode.NOT_AN_IMAGE}


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        (ErrorCode.TOO_LATE, UninspectedReason.TIMEOUT),
        (ErrorCode.ENCRYPTED, UninspectedReason.ENCRYPTED),
        (ErrorCode.OPAQUE, UninspectedReason.OPAQUE),
        (ErrorCode.OVER_BUDGET, UninspectedReason.TOO_LARGE),
        (ErrorCode.DECODE_TIMEOUT, UninspectedReason.UNDECODABLE),
        (ErrorCode.INTERNAL_ERROR, UninspectedReason.DEFAULT),
    ],
)
def test_an_error_gets_the_action_of_its_reason(code: ErrorCode, reason: UninspectedReason) -> None:
    policy = make_policy(on_uninspected=OnUninspected(by_reason={reason: Action.BLOCK}))
    decision = decide([policy], [make_judgement(verdict=make_error_verdict(code))])
    assert (decision.action, decision.policy) == (Action.BLOCK, policy.name)
    (finding,) = decision.findings
    assert (finding.kind, finding.action, finding.reason) == ("uninspected", Action.BLOCK, f"{reason}: {code}")


def test_a_reason_without_an_action_gets_the_default() -> None:
    policy = make_policy(
        on_uninspected=OnUninspected(default=Action.BLOCK, by_reason={UninspectedReason.TIMEOUT: Action.ALLOW})
    )
    late = make_judgement(verdict=None, uninspected=UninspectedReason.TIMEOUT)
    lost = make_judgement(verdict=None, uninspected=None)
    assert decide([policy], [late]).action is Action.ALLOW
    assert decide([policy], [lost]).action is Action.BLOCK
    (finding,) = decide([policy], [late, lost, lost]).findings
    assert (finding.action, finding.reason) == (Action.BLOCK, "default: no verdict (and 2 more)")
    assert [finding.reason for finding in decide([make_policy()], [late]).findings] == ["timeout"]
    assert [finding.reason for finding in decide([make_policy()], [late, late]).findings] == ["timeout: (and 1 more)"]


@pytest.mark.parametrize(
    ("listed", "action"),
    [
        ((UninspectedReason.TIMEOUT,), Action.BLOCK),
        ((UninspectedReason.OVERLOADED,), Action.BLOCK),
        ((UninspectedReason.DECODE_BUDGET,), Action.BLOCK),
        ((UninspectedReason.TOO_LARGE,), Action.ALLOW),
        ((), Action.ALLOW),
    ],
)
def test_more_than_one_sender_may_have_decoded_is_a_way_to_be_overloaded(
    listed: tuple[UninspectedReason, ...], action: Action
) -> None:
    assert (
        OnUninspected(by_reason=dict.fromkeys(listed, Action.BLOCK)).action(UninspectedReason.DECODE_BUDGET) is action
    )


def test_the_nearest_reason_that_is_listed_counts() -> None:
    both = {UninspectedReason.TIMEOUT: Action.ALLOW, UninspectedReason.DECODE_BUDGET: Action.BLOCK}
    rules = OnUninspected(by_reason=both)
    assert rules.action(UninspectedReason.DECODE_BUDGET) is Action.BLOCK
    assert rules.action(UninspectedReason.OVERLOADED) is Action.ALLOW


def test_what_is_no_image_is_no_failure() -> None:
    policy = make_policy(
        on_uninspected=OnUninspected(default=Action.BLOCK), images=ImageConditions(any=(ImageCondition(),))
    )
    assert decide([policy], [make_judgement(verdict=make_error_verdict(ErrorCode.NOT_AN_IMAGE))]).findings == ()


def test_a_match_and_a_failure_of_one_policy_are_both_recorded() -> None:
    policy = make_policy(action=Action.ALLOW, on_uninspected=OnUninspected(default=Action.BLOCK))
    late = make_judgement(verdict=None, uninspected=UninspectedReason.TIMEOUT)
    decision = decide([policy], [make_matching(), late])
    assert decision.action is Action.BLOCK
    assert [(finding.kind, finding.action) for finding in decision.findings] == [
        ("uninspected", Action.BLOCK),
        ("match", Action.ALLOW),
    ]


def test_a_whole_transfer_that_was_not_inspected() -> None:
    policies: list[Policy] = [
        make_policy(name="open"),
        make_policy(name="closed", on_uninspected=OnUninspected(default=Action.BLOCK)),
        make_policy(name="watch", on_uninspected=OnUninspected(default=Action.BLOCK), mode=Mode.MONITOR),
    ]
    decision = decide_uninspected(policies, UninspectedReason.TOO_LARGE, "body of 200 MiB")
    assert (decision.action, decision.policy) == (Action.BLOCK, "closed")
    assert [(finding.policy, finding.action) for finding in decision.findings] == [
        ("closed", Action.BLOCK),
        ("open", Action.ALLOW),
        ("watch", Action.BLOCK),
    ]
    assert {finding.reason for finding in decision.findings} == {"too_large: body of 200 MiB"}


def test_what_looks_alike_will_do_where_all_that_ask_of_images_say_so() -> None:
    allows, asks, of_transfer = make_policy(near_cache=True), make_policy(), make_policy(images=None)
    assert near_cache_allowed([allows, allows, of_transfer])
    assert not near_cache_allowed([allows, asks])
    assert not near_cache_allowed([of_transfer])
    assert not near_cache_allowed([])


def test_the_classifiers_that_policies_name_are_asked() -> None:
    documents, rooms = (
        make_policy(images=ImageConditions(none=(LabelCondition(classifier=name, label="lab"),)))
        for name in ("rooms", "documents")
    )
    assert classifiers_named([rooms, documents, make_policy(), make_policy(images=None)]) == ("documents", "rooms")


def test_what_no_classifier_answered_is_uninspected() -> None:
    policy = make_policy(images=ImageConditions(any=(LabelCondition(classifier="rooms", label="lab"),)))
    (finding,) = decide([policy], [make_judgement(verdict=make_verdict())]).findings
    assert (finding.kind, finding.reason) == ("uninspected", "default: a classifier gave no answer")
