"""From a body to a decision."""

from __future__ import annotations

import asyncio
from collections.abc import Generator, Sequence
from dataclasses import replace

import pytest

from proxy_addon.enforcement import Case
from proxy_addon.verdicts.judging import HASHED_THROUGH_BYTES, STRAIGHT_THROUGH_BYTES, Extract, Judging, patience_ms
from shared.core.policy import DEFAULT_DEADLINE_MS, OnUninspected
from shared.errors import ErrorCode
from shared.extract.pipeline import Extraction, Limits, Problem, extract_steps
from shared.telemetry import Metrics
from shared.types import (
    Action,
    Activity,
    Direction,
    HttpMessage,
    ImageJudgement,
    Inquiry,
    Mode,
    Part,
    UninspectedReason,
)
from tests.factories import make_context, make_error_verdict, make_head, make_judgement, make_policy
from tests.proxies import KnowingJudge, RecallingJudge, make_image

BLOCKS_TIMEOUT = make_policy(on_uninspected=OnUninspected(by_reason={UninspectedReason.TIMEOUT: Action.BLOCK}))


class SteppingClock:
    """Every look at it takes ``step`` seconds."""

    def __init__(self, step: float = 0.0) -> None:
        self.now = 100.0
        self.step = step

    def monotonic(self) -> float:
        self.now += self.step
        return self.now

    def wall(self) -> float:
        return 1_800_000_000.0


class DeadlineJudge(KnowingJudge):
    """Remembers until when it may take."""

    deadline = 0.0

    async def verdicts(self, parts: Sequence[Part], inquiry: Inquiry) -> list[ImageJudgement]:
        self.deadline = inquiry.deadline
        return await super().verdicts(parts, inquiry)


class ErrorJudge(KnowingJudge):
    """Finds nothing it can read."""

    async def verdicts(self, parts: Sequence[Part], inquiry: Inquiry) -> list[ImageJudgement]:
        return [make_judgement(verdict=make_error_verdict(ErrorCode.CORRUPT)) for _ in parts]


def make_case(*policies: object) -> Case:
    return Case(request=make_head(), context=make_context(), policies=policies or (make_policy(),))  # type: ignore[arg-type]


def make_message(body: bytes) -> HttpMessage:
    return HttpMessage(head=make_head(), body=body, direction=Direction.OUTBOUND)


def with_problem(code: ErrorCode) -> Extract:
    def extract(message: HttpMessage, limits: Limits) -> Generator[None, None, Extraction]:
        yield
        return Extraction(problems=(Problem(code=code, locator="body", size=9, message="no"),))

    return extract


@pytest.mark.parametrize(("protected", "action"), [(True, Action.BLOCK), (False, Action.ALLOW)])
async def test_the_verdicts_decide(protected: bool, action: Action) -> None:
    metrics = Metrics()
    judging = Judging(KnowingJudge(), SteppingClock(), metrics)
    judged = await judging.decide(make_case(), make_message(make_image(200_000, protected=protected)))
    assert judged.decision.action is action
    assert len(judged.judgements) == 1
    assert metrics.value("safelight_proxy_images_total", direction="outbound") == 1


async def test_a_body_without_images_is_not_asked_about() -> None:
    judge = KnowingJudge()
    judged = await Judging(judge, SteppingClock(), Metrics()).decide(make_case(), make_message(b"hello"))
    assert judged.decision.action is Action.ALLOW
    assert judge.asked == []


async def test_the_deadline_counts_from_the_complete_body() -> None:
    judge, clock = DeadlineJudge(), SteppingClock()
    await Judging(judge, clock, Metrics()).decide(make_case(make_policy(deadline_ms=700)), make_message(make_image()))
    assert judge.deadline == pytest.approx(100.7)


def test_a_flow_waits_for_the_last_enforcing_policy_alone() -> None:
    slow_monitor = make_policy(mode=Mode.MONITOR, deadline_ms=9000)
    assert patience_ms([make_policy(deadline_ms=300), make_policy(deadline_ms=500), slow_monitor]) == 500
    assert patience_ms([slow_monitor]) == 9000
    assert patience_ms([]) == DEFAULT_DEADLINE_MS  # an object is only to be remembered


async def test_taking_apart_ends_at_the_deadline() -> None:
    metrics = Metrics()
    judging = Judging(KnowingJudge(), SteppingClock(step=1.0), metrics, extract=extract_steps)
    judged = await judging.decide(make_case(BLOCKS_TIMEOUT), make_message(make_image(1_000_000)))
    assert judged.decision.action is Action.BLOCK
    assert metrics.value("safelight_proxy_uninspected_total", reason="timeout") == 1


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        (ErrorCode.OVER_BUDGET, UninspectedReason.TOO_LARGE),
        (ErrorCode.ENCRYPTED, UninspectedReason.ENCRYPTED),
        (ErrorCode.OPAQUE, UninspectedReason.OPAQUE),
        (ErrorCode.CORRUPT, UninspectedReason.UNDECODABLE),
    ],
)
async def test_what_could_not_be_opened_is_uninspected(code: ErrorCode, reason: UninspectedReason) -> None:
    metrics = Metrics()
    judging = Judging(KnowingJudge(), SteppingClock(), metrics, extract=with_problem(code))
    policy = make_policy(on_uninspected=OnUninspected(by_reason={reason: Action.BLOCK}))
    assert (await judging.decide(make_case(policy), make_message(b""))).decision.action is Action.BLOCK
    assert metrics.value("safelight_proxy_uninspected_total", reason=reason) == 1
    assert metrics.value("safelight_proxy_limit_hits_total", limit=code) == 1


async def test_a_verdict_with_an_error_counts_as_uninspected() -> None:
    metrics = Metrics()
    await Judging(ErrorJudge(), SteppingClock(), metrics).decide(make_case(), make_message(make_image()))
    assert metrics.value("safelight_proxy_uninspected_total", reason="undecodable") == 1


@pytest.mark.parametrize(
    ("body", "others"),
    [
        (make_image(), 0),
        (make_image(STRAIGHT_THROUGH_BYTES), 0),
        (make_image(HASHED_THROUGH_BYTES), 1),
        (b"text " * STRAIGHT_THROUGH_BYTES, 1),
    ],
    ids=["short", "a picture", "a long picture", "a long text"],
)
async def test_others_have_turns_where_it_takes_a_while(body: bytes, others: int) -> None:
    seen: list[int] = []
    judging = Judging(KnowingJudge(), SteppingClock(), Metrics())
    asyncio.get_running_loop().call_soon(lambda: seen.append(1))
    await judging.decide(make_case(), make_message(body))
    assert len(seen) == others


def make_plain_case() -> Case:
    return replace(make_case(), context=make_context(app=""))


async def test_a_picture_that_is_known_is_decided_at_once() -> None:
    judge, metrics = RecallingJudge(), Metrics()
    judging, case, message = Judging(judge, SteppingClock(), metrics), make_plain_case(), make_message(make_image())
    assert judging.decide_at_once(case, message.head, message.body) is None
    judged = await judging.decide(case, message)
    assert judging.decide_at_once(case, message.head, message.body) == judged.decision
    assert len(judge.asked) == 1
    assert metrics.value("safelight_proxy_images_total", direction="outbound") == 2
    assert metrics.value("safelight_proxy_extract_seconds") == 2
    assert metrics.value("safelight_proxy_verdict_seconds") == 2


async def test_what_may_not_pass_is_decided_with_all_that_belongs_to_it() -> None:
    judge, metrics = RecallingJudge(), Metrics()
    judging, case, message = (
        Judging(judge, SteppingClock(), metrics),
        make_plain_case(),
        make_message(make_image(protected=True)),
    )
    first = await judging.decide(case, message)
    assert judging.decide_at_once(case, message.head, message.body) is None
    again = await judging.decide(case, message)
    assert again.decision == first.decision
    assert again.decision.action is Action.BLOCK
    assert (again.judgements, again.parts) == (first.judgements, first.parts)
    assert len(judge.asked) == 1
    assert metrics.value("safelight_proxy_images_total", direction="outbound") == 2


async def test_what_was_glanced_at_counts_for_that_message_alone() -> None:
    judge = RecallingJudge()
    judging, case = Judging(judge, SteppingClock(), Metrics()), make_plain_case()
    glanced, other = make_message(make_image(protected=True)), make_message(make_image(4096))
    assert judging.decide_at_once(case, glanced.head, glanced.body) is None
    judged = await judging.decide(case, other)
    assert judged.decision.action is Action.ALLOW
    assert [part.data for part in judge.asked] == [other.body]


@pytest.mark.parametrize("error", [True, False])
async def test_what_is_more_than_a_picture_that_passes_is_not_decided_at_once(error: bool) -> None:
    judge = RecallingJudge()
    judging, message = Judging(judge, SteppingClock(), Metrics()), make_message(make_image())
    of_an_app = replace(make_plain_case(), context=make_context(app="drive"))
    names_an_object = replace(make_plain_case(), context=make_context(app="", activity=Activity.COPY))
    await judging.decide(make_plain_case(), message)
    for case in (of_an_app, names_an_object):
        assert judging.decide_at_once(case, message.head, message.body) is None
    large = make_message(make_image(HASHED_THROUGH_BYTES))
    await judging.decide(make_plain_case(), large)
    assert judging.decide_at_once(make_plain_case(), large.head, large.body) is None
    if error:
        failed = make_judgement(verdict=make_error_verdict(ErrorCode.CORRUPT))
        judge.known = dict.fromkeys(judge.known, failed)
        assert judging.decide_at_once(make_plain_case(), message.head, message.body) is None
