"""A reason counts for one user, one policy, one image and a few minutes, and nothing can be made up."""

from __future__ import annotations

from dataclasses import replace

import pytest

from proxy_addon.coaching.passes import MAX_REASON, MAX_TICKET, Coaching, Ticket, reason_error, who
from proxy_addon.enforcement import Case
from shared.core.policy import Policy, decide
from shared.errors import StoreError
from shared.sealing import Sealer
from shared.telemetry import Metrics
from shared.types import Action, Decision, ImageJudgement, Versioned
from tests.factories import make_actor, make_context, make_head, make_judgement, make_match, make_policy, make_verdict
from tests.inspection_doubles import StillClock
from tests.memory_store import MemoryStore

SEALER = Sealer(bytes(32))
COACH = make_policy(name="ask", action=Action.COACH)
OTHER = make_policy(name="ask-too", action=Action.COACH)
BLOCK = make_policy(name="never")
WHO = who("u1@corp.example", "192.0.2.7")
HOST = "files.vendor.example"


def image(digit: str) -> ImageJudgement:
    return make_judgement(
        sha256=digit * 64, locator=digit, verdict=make_verdict(sha256=digit * 64, matches=(make_match(),))
    )


def case_of(*policies: Policy, **actor: str) -> Case:
    context = make_context(actor=make_actor(**actor))
    return Case(request=make_head(), context=context, policies=policies or (COACH,))


class Desk:
    """Two proxies of one deployment: one store, one key."""

    def __init__(self) -> None:
        self.clock, self.store, self.metrics = StillClock(), MemoryStore(), Metrics()
        self.here = Coaching(self.store, SEALER, self.clock, self.metrics)
        self.there = Coaching(self.store, Sealer(bytes(32)), self.clock, Metrics())

    async def justify(self, case: Case, *judgements: ImageJudgement, reason: str = "for the tender") -> Ticket:
        """Be coached, and give a reason."""
        decision = decide(case.policies, judgements)
        ticket = self.here.opened(self.here.ticket(case, decision, judgements, "incident-1"), _who(case), HOST)
        assert ticket is not None
        await self.here.grant(ticket, reason)
        return ticket

    async def excused(self, case: Case, *judgements: ImageJudgement) -> Decision:
        return await self.there.excused(case, decide(case.policies, judgements), judgements)


def _who(case: Case) -> str:
    return who(case.context.actor.user, case.context.actor.ip)


async def test_a_reason_lets_the_same_transfer_through_on_every_proxy() -> None:
    desk, case = Desk(), case_of()
    assert (await desk.excused(case, image("a"))).action is Action.COACH
    await desk.justify(case, image("a"))
    decision = await desk.excused(case, image("a"))
    assert (decision.action, decision.policy) == (Action.ALLOW, None)
    (finding,) = decision.findings
    assert (finding.kind, finding.justification, finding.policy) == ("justified", "for the tender", "ask")
    assert "incident-1" in finding.note
    counts = [desk.metrics.value("safelight_proxy_coaching_total", outcome=each) for each in ("asked", "justified")]
    assert counts == [1, 1]


async def test_it_counts_for_what_it_was_given_for_alone() -> None:
    desk = Desk()
    await desk.justify(case_of(), image("a"))
    for case, images in (
        (case_of(), [image("b")]),
        (case_of(), [image("a"), image("b")]),
        (case_of(user="u2@corp.example"), [image("a")]),
        (case_of(OTHER), [image("a")]),
    ):
        assert (await desk.excused(case, *images)).action is Action.COACH
    elsewhere = case_of(ip="192.0.2.99")
    assert (await desk.excused(elsewhere, image("a"))).action is Action.ALLOW, "a user who is known may move"
    unmatched = make_judgement(sha256="c" * 64, locator="c")
    assert (await desk.excused(case_of(), image("a"), unmatched)).action is Action.ALLOW


async def test_without_a_user_it_is_the_address_that_counts() -> None:
    desk = Desk()
    await desk.justify(case_of(user="", ip="192.0.2.1"), image("a"))
    assert (await desk.excused(case_of(user="", ip="192.0.2.1"), image("a"))).action is Action.ALLOW
    assert (await desk.excused(case_of(user="", ip="192.0.2.2"), image("a"))).action is Action.COACH
    assert (await desk.excused(case_of(user="ip:192.0.2.1", ip="x"), image("a"))).action is Action.COACH


async def test_a_transfer_without_images_is_bound_to_its_address() -> None:
    desk, policy = Desk(), replace(COACH, images=None)
    case = case_of(policy)
    await desk.justify(case)
    assert (await desk.excused(case)).action is Action.ALLOW
    other = replace(case, request=make_head(path="/other"))
    assert (await desk.excused(other)).action is Action.COACH


async def test_a_pass_runs_out() -> None:
    desk, case = Desk(), case_of(replace(COACH, pass_minutes=5))
    await desk.justify(case, image("a"))
    desk.clock.today += 299
    assert (await desk.excused(case, image("a"))).action is Action.ALLOW
    desk.clock.today += 1
    assert (await desk.excused(case, image("a"))).action is Action.COACH
    await desk.justify(case, image("a"), reason="once more")
    assert (await desk.excused(case, image("a"))).findings[0].justification == "once more"


async def test_a_reason_for_one_policy_leaves_the_others() -> None:
    desk = Desk()
    await desk.justify(case_of(COACH, OTHER), image("a"))
    decision = await desk.excused(case_of(COACH, OTHER), image("a"))
    assert (decision.action, decision.policy) == (Action.COACH, "ask-too")
    assert [finding.kind for finding in decision.findings] == ["match", "justified"]
    await desk.justify(case_of(OTHER), image("a"))
    decision = await desk.excused(case_of(COACH, OTHER), image("a"))
    assert decision.action is Action.ALLOW
    assert {finding.policy for finding in decision.findings} == {"ask", "ask-too"}


async def test_no_reason_undoes_a_block() -> None:
    desk = Desk()
    await desk.justify(case_of(), image("a"))
    blocked = decide([COACH, BLOCK], [image("a")])
    assert await desk.there.excused(case_of(COACH, BLOCK), blocked, [image("a")]) == blocked


def test_a_ticket_is_the_user_s_the_host_s_and_runs_out() -> None:
    desk, case = Desk(), case_of()
    judgements = [image("a")]
    text = desk.here.ticket(case, decide(case.policies, judgements), judgements, "incident-1")
    ticket = desk.there.opened(text, WHO, HOST)
    assert ticket is not None
    assert (ticket.policy, ticket.incident, ticket.host, ticket.minutes) == ("ask", "incident-1", HOST, 15)
    assert desk.there.opened(text, who("u2@corp.example", "192.0.2.7"), HOST) is None
    assert desk.there.opened(text, WHO, "evil.example") is None
    desk.clock.today += 15 * 60
    assert desk.there.opened(text, WHO, HOST) is None


@pytest.mark.parametrize("text", ["", "x", "ä", "!" * 8, "A" * 400, "A" * (MAX_TICKET + 1)])
def test_a_ticket_cannot_be_made_up(text: str) -> None:
    assert Desk().here.opened(text, WHO, HOST) is None


def test_a_ticket_of_another_deployment_or_a_changed_one() -> None:
    desk, case = Desk(), case_of()
    judgements = [image("a")]
    decision = decide(case.policies, judgements)
    foreign = Coaching(desk.store, Sealer(b"x" * 32), desk.clock, Metrics())
    assert desk.here.opened(foreign.ticket(case, decision, judgements, "i"), WHO, HOST) is None
    text = desk.here.ticket(case, decision, judgements, "i")
    changed = text[:40] + ("A" if text[40] != "A" else "B") + text[41:]
    assert desk.here.opened(changed, WHO, HOST) is None


class DeadStore(MemoryStore):
    async def get(self, key: str) -> Versioned | None:
        raise StoreError("down")


async def test_without_the_store_nobody_is_excused() -> None:
    metrics = Metrics()
    coaching = Coaching(DeadStore(), SEALER, StillClock(), metrics)
    decision = decide([COACH], [image("a")])
    assert await coaching.excused(case_of(), decision, [image("a")]) == decision
    assert metrics.value("safelight_store_errors_total", operation="coach") == 1


async def test_a_pass_that_was_put_there_by_somebody_else_is_none() -> None:
    desk, case = Desk(), case_of()
    await desk.justify(case, image("a"))
    await desk.justify(case, image("b"))
    one, other = [key for key in desk.store.keys if key.startswith("coach/")]
    desk.store.keys[one] = desk.store.keys[other]
    decisions = [await desk.excused(case, each) for each in (image("a"), image("b"))]
    assert sorted(each.action for each in decisions) == [Action.ALLOW, Action.COACH]


@pytest.mark.parametrize(
    ("reason", "error"), [("", "at least"), ("abcd", "at least"), ("abcde", ""), ("x" * (MAX_REASON + 1), "within")]
)
def test_reasons_have_limits(reason: str, error: str) -> None:
    assert error in reason_error(reason)
    assert bool(error) == bool(reason_error(reason))
