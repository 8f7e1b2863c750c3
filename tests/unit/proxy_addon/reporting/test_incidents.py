"""Alerts from decisions."""

from __future__ import annotations

from itertools import count

import pytest

from proxy_addon.reporting import incidents
from shared.types import Action, Alert, Decision
from tests.factories import (
    make_context,
    make_finding,
    make_head,
    make_image_info,
    make_judgement,
    make_verdict,
)

FIRST = make_judgement(locator="a", verdict=make_verdict(image=make_image_info(width=30, height=20)))
SECOND = make_judgement(locator="b", verdict=make_verdict(encoder="encoder-2", index_revision="rev-2"))
DECISION = Decision(
    action=Action.BLOCK,
    policy="no-design-leaves",
    findings=(make_finding(locator="b"), make_finding(policy="other", locator="c"), make_finding(locator="a")),
)


def make_alerts(decision: Decision = DECISION) -> tuple[Alert, ...]:
    numbers = count(1)
    return incidents.alerts(
        decision,
        [FIRST, SECOND],
        request=make_head(query="signature=secret"),
        context=make_context(),
        enforced=Action.BLOCK,
        time=5.0,
        new_id=lambda: f"incident-{next(numbers)}",
    )


def test_every_finding_has_an_incident_of_its_own() -> None:
    alerts = make_alerts()
    assert [alert.incident for alert in alerts] == ["incident-1", "incident-2", "incident-3"]
    assert [alert.finding for alert in alerts] == list(DECISION.findings)
    assert {(alert.time, alert.enforced, alert.method) for alert in alerts} == {(5.0, Action.BLOCK, "POST")}


def test_an_alert_names_what_its_image_was_judged_with() -> None:
    assert [(alert.encoder, alert.index_revision) for alert in make_alerts()] == [
        ("encoder-2", "rev-2"),
        ("", ""),
        ("encoder-1", "rev-1"),
    ]


def test_the_size_is_that_of_the_image_that_decided() -> None:
    deciding = Decision(action=Action.BLOCK, policy="p", findings=(make_finding(locator="a"),))
    assert incidents.image_size(deciding, [FIRST, SECOND]) == (30, 20)
    assert incidents.image_size(deciding, [SECOND]) is None
    assert incidents.image_size(Decision(action=Action.BLOCK), [FIRST]) is None


@pytest.mark.parametrize(
    ("head", "url"),
    [
        ({"query": "token=secret"}, "https://files.vendor.example/upload"),
        ({"port": 8443}, "https://files.vendor.example:8443/upload"),
        ({"scheme": "http", "port": 80, "path": "/"}, "http://files.vendor.example/"),
        ({"host": "2001:db8::1"}, "https://[2001:db8::1]/upload"),
    ],
)
def test_addresses_leave_the_query_out(head: dict[str, object], url: str) -> None:
    assert incidents.url(make_head(**head)) == url
