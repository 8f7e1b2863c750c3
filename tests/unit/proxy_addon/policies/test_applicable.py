"""What is remembered is what would be found: by list, day and context."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from proxy_addon.policies.applicable import KNOWN_CONTEXTS, ApplicablePolicies
from shared.core.policy import Exemption, Policy, Selectors, applicable, decide
from shared.types import Action, Activity, ActivityContext, Actor, Direction
from tests.factories import make_policy

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
ONE = (
    Policy(name="all", action=Action.BLOCK),
    Policy(name="mail", action=Action.BLOCK, when=Selectors(hosts=("mail.example",))),
    Policy(name="until", action=Action.BLOCK, exemptions=(Exemption(selectors=Selectors(), until=date(2026, 11, 21)),)),
)
OTHER = ONE[1:]


def context(host: str, user: str = "") -> ActivityContext:
    return ActivityContext(
        activity=Activity.UPLOAD, direction=Direction.OUTBOUND, host=host, actor=Actor(user=user, ip="192.0.2.7")
    )


asked = st.lists(
    st.tuples(
        st.sampled_from([ONE, OTHER, ()]),
        st.builds(context, st.sampled_from(["mail.example", "files.example"]), st.sampled_from(["", "ann"])),
        st.sampled_from([NOW, NOW + timedelta(days=1)]),
    ),
    max_size=12,
)


@given(asked)
def test_the_answer_is_the_one_that_would_be_found(
    questions: list[tuple[tuple[Policy, ...], ActivityContext, datetime]],
) -> None:
    remembered = ApplicablePolicies()
    for policies, about, now in questions:
        assert remembered.find(policies, about, now) == applicable(policies, about, now)


def test_the_answer_is_remembered_and_what_is_remembered_is_bounded() -> None:
    remembered = ApplicablePolicies()
    first = remembered.find(ONE, context("files.example"), NOW)
    assert remembered.find(ONE, context("files.example"), NOW) is first
    for number in range(KNOWN_CONTEXTS):
        remembered.find(ONE, context(f"{number}.example"), NOW)
    again = remembered.find(ONE, context("files.example"), NOW)
    assert again == first
    assert again is not first


def test_a_transfer_without_an_image_is_decided_once() -> None:
    remembered = ApplicablePolicies()
    for policies in (ONE, OTHER, ONE):
        decision = remembered.without_images(policies)
        assert decision == decide(policies, ())
        assert remembered.without_images(policies) is decision


def test_the_same_policies_are_the_same_tuple_for_all_contexts() -> None:
    remembered = ApplicablePolicies()
    first = remembered.find(ONE, context("files.example"), NOW)
    assert remembered.find(ONE, context("pictures.example"), NOW) is first
    assert remembered.find(ONE, context("mail.example"), NOW) is not first


def test_whether_any_policy_is_about_transfers_themselves() -> None:
    remembered = ApplicablePolicies()
    about_images = (make_policy(), make_policy(name="other"))
    for policies, expected in ((about_images, False), (ONE, True), ((), False), (about_images, False)):
        assert remembered.any_about_transfers(policies) is expected
