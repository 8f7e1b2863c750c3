"""The broad except, and the decision when even the code that decides has failed."""

from __future__ import annotations

import asyncio

import pytest

from proxy_addon.policies.failsafe import Failsafe, as_image_policies, last_resort
from shared.core.policy import OnUninspected
from shared.telemetry import Metrics
from shared.types import Action, Mode, UninspectedReason
from tests.factories import make_policy

BLOCKING = OnUninspected(default=Action.BLOCK)


async def broken() -> int:
    raise RuntimeError("a bug")


async def working() -> int:
    return 7


async def cancelled() -> int:
    raise asyncio.CancelledError


async def test_work_that_succeeds_is_left_alone() -> None:
    assert await Failsafe(Metrics()).guard("stage", working, lambda: 0) == 7


@pytest.mark.error_logs("stage body failed")
def test_an_attempt_that_breaks_is_none() -> None:
    metrics = Metrics()
    failsafe = Failsafe(metrics)
    assert failsafe.attempt("body", lambda: 1 // 1, 0) == 1
    assert failsafe.attempt("body", lambda: 1 // 0, 7) == 7
    assert metrics.value("safelight_proxy_failures_total", stage="body") == 1


@pytest.mark.error_logs("stage judge failed")
async def test_work_that_breaks_is_replaced_counted_and_logged() -> None:
    metrics = Metrics()
    assert await Failsafe(metrics).guard("judge", broken, lambda: 0) == 0
    assert metrics.value("safelight_proxy_failures_total", stage="judge") == 1


async def test_a_cancellation_is_no_failure() -> None:
    with pytest.raises(asyncio.CancelledError):
        await Failsafe(Metrics()).guard("judge", cancelled, lambda: 0)


@pytest.mark.parametrize(("default", "action"), [(Action.ALLOW, Action.ALLOW), (Action.BLOCK, Action.BLOCK)])
async def test_the_policy_decides(default: Action, action: Action) -> None:
    policy = make_policy(on_uninspected=OnUninspected(default=default))
    decision = await Failsafe(Metrics()).decision([policy], "a bug")
    assert decision.action is action
    assert "a bug" in decision.findings[0].reason


def test_the_last_resort_needs_no_other_code() -> None:
    policies = [
        make_policy(name="monitors", mode=Mode.MONITOR, on_uninspected=BLOCKING),
        make_policy(name="allows"),
        make_policy(name="listed", on_uninspected=OnUninspected(by_reason={UninspectedReason.DEFAULT: Action.BLOCK})),
    ]
    decision = last_resort(policies, "a bug")
    assert (decision.action, decision.policy, len(decision.findings)) == (Action.BLOCK, "listed", 1)
    assert last_resort(policies[:2], "a bug").action is Action.ALLOW


def test_policies_about_the_transfer_become_judged_by_on_uninspected() -> None:
    about, scan = make_policy(images=None), make_policy(action=Action.QUARANTINE)
    (changed,) = as_image_policies([about, scan])
    assert changed.images is not None
