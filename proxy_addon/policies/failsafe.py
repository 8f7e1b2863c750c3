"""The fail mode: whatever goes wrong, the policies' ``on_uninspected`` says what happens to the transfer.

mitmproxy logs an addon's exception and lets the traffic through.  So every stage of a transfer runs inside ``guard``,
which holds the one broad ``except`` of this program: anything narrower would fail open on the error nobody foresaw.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace

from shared.core.policy import Policy, decide_uninspected
from shared.core.policy_conditions import ImageCondition, ImageConditions
from shared.telemetry import Metrics
from shared.types import Action, Decision, Finding, UninspectedReason

_log = logging.getLogger(__name__)
_ANY_IMAGE = ImageConditions(any=(ImageCondition(),))


class Failsafe:
    """Runs stages; counts and logs the ones that break."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics

    async def guard[T](self, stage: str, work: Callable[[], Awaitable[T]], otherwise: Callable[[], T]) -> T:
        """Return what ``work`` returns, or what ``otherwise`` does where it raises."""
        try:
            return await work()
        except Exception:  # noqa: BLE001 - see above
            _log.exception("stage %s failed; on_uninspected applies", stage)
            self._metrics.count("safelight_proxy_failures_total", stage=stage)
            return otherwise()

    def attempt[T](self, stage: str, work: Callable[[], T], otherwise: T) -> T:
        """Return what ``work`` returns, or ``otherwise`` where it raises."""
        try:
            return work()
        except Exception:  # noqa: BLE001 - see above
            _log.exception("stage %s failed", stage)
            self._metrics.count("safelight_proxy_failures_total", stage=stage)
            return otherwise

    async def decision(self, policies: Sequence[Policy], detail: str) -> Decision:
        """Decide over a transfer whose handling broke."""
        reason = UninspectedReason.DEFAULT
        self._metrics.count("safelight_proxy_uninspected_total", reason=reason)

        async def regular() -> Decision:
            return decide_uninspected(policies, reason, detail)

        return await self.guard("on_uninspected", regular, lambda: last_resort(policies, detail))


def as_image_policies(policies: Sequence[Policy]) -> tuple[Policy, ...]:
    """Return policies to be judged by ``on_uninspected`` alone.

    Where not even the head could be read, nobody knows whether a policy about the transfer itself applies.
    """
    return tuple(replace(policy, images=policy.images or _ANY_IMAGE) for policy in policies if policy.for_transfers)


def last_resort(policies: Sequence[Policy], detail: str) -> Decision:
    """Decide without the code that decides, which has just failed: the first policy that would block, does."""
    for policy in policies:
        if policy.acts and policy.on_uninspected.action(UninspectedReason.DEFAULT) is not Action.ALLOW:
            finding = Finding(
                policy=policy.name,
                action=Action.BLOCK,
                mode=policy.mode,
                severity=policy.severity,
                notify=policy.notify,
                kind="uninspected",
                reason=f"{UninspectedReason.DEFAULT}: {detail}",
            )
            return Decision(action=Action.BLOCK, policy=policy.name, findings=(finding,))
    return Decision(action=Action.ALLOW)
