"""A decision carried out: recorded first, then answered."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from proxy_addon.enforcement import Case, Enforcement, bare_reply
from proxy_addon.policies.failsafe import Failsafe
from proxy_addon.responses.reply import Reply
from shared.adapters.role import SystemClock
from shared.telemetry import Metrics
from shared.types import Action, Activity, Alert, Decision, HttpHead, Mode
from tests.factories import make_context, make_finding, make_head, make_image_info, make_judgement, make_verdict

CASE = Case(request=make_head(), context=make_context(), policies=())
BLOCK = Decision(action=Action.BLOCK, policy="no-design-leaves", findings=(make_finding(locator="body"),))


class Order:
    """Records what happens in which order: alerts, replies."""

    def __init__(self) -> None:
        self.events: list[object] = []
        self.metrics = Metrics()

    async def commit(self, alerts: Sequence[Alert]) -> None:
        self.events += alerts

    def reply(
        self,
        request: HttpHead,
        decision: Decision,
        incident: str,
        activity: Activity,
        image_size: tuple[int, int] | None,
    ) -> Reply:
        self.events.append((incident, image_size))
        return Reply(status=403, headers=(), body=b"")

    def enforcement(self) -> Enforcement:
        return Enforcement(self, SystemClock(), self.metrics, Failsafe(self.metrics), self.reply)


async def test_the_alert_is_durable_before_the_reply_is_made() -> None:
    order = Order()
    large = make_judgement(verdict=make_verdict(image=make_image_info(width=4000, height=3000)))
    assert await order.enforcement().settle(CASE, BLOCK, [large]) is not None
    alert, said = order.events
    assert isinstance(alert, Alert)
    assert said == (alert.incident, (4000, 3000))
    assert order.metrics.value("safelight_proxy_decisions_total", action="block", mode="enforce") == 1


async def test_what_passes_is_recorded_and_not_answered() -> None:
    order = Order()
    monitored = make_finding(mode=Mode.MONITOR)
    assert await order.enforcement().settle(CASE, Decision(action=Action.ALLOW, findings=(monitored,))) is None
    (alert,) = order.events
    assert isinstance(alert, Alert)
    assert alert.enforced is Action.ALLOW
    assert order.metrics.value("safelight_proxy_decisions_total", action="block", mode="monitor") == 1


async def test_nothing_to_say_is_not_recorded() -> None:
    order = Order()
    assert await order.enforcement().settle(CASE, Decision(action=Action.ALLOW)) is None
    assert order.events == []


async def test_what_has_passed_already_is_not_answered() -> None:
    order = Order()
    assert await order.enforcement().settle(CASE, BLOCK, too_late=True) is None
    (alert,) = order.events
    assert isinstance(alert, Alert)
    assert alert.enforced is Action.ALLOW


@pytest.mark.parametrize("name", ["plain", 'quo"te', "Zürich\r\nX-Other: 1"])
def test_a_bare_reply_is_a_block_whatever_the_policy_is_called(name: str) -> None:
    reply = bare_reply(Decision(action=Action.BLOCK, policy=name), "incident-1")
    assert reply.status == 403
    mark = dict(reply.headers)["X-Safelight"]
    assert mark.isascii()
    assert "\n" not in mark
    assert mark.startswith("block; policy=")
