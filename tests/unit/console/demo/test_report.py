"""The demonstration succeeds only where its promise was kept."""

import io
import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from console.demo.report import print_report, read_alerts
from console.demo.traffic import Item, Outcome


def outcome(
    kind: str, *, blocked: bool, must_block: bool, incident: str = "", redacted: bool = False, must_redact: bool = False
) -> Outcome:
    return Outcome(
        item=Item(kind=kind, name=f"{kind}-{incident}.jpg", data=b"", must_block=must_block, must_redact=must_redact),
        blocked=blocked,
        redacted=redacted,
        status=403 if blocked else 201,
        incident=incident,
        milliseconds=12.0,
        intact=True,
    )


KEPT = [
    outcome("original", blocked=True, must_block=True, incident="i-original"),
    *(outcome("grey", blocked=True, must_block=True, incident=f"i-{number}") for number in range(19)),
    outcome("quality", blocked=False, must_block=True),
    outcome("to the chat", blocked=False, must_block=False, incident="i-chat", redacted=True, must_redact=True),
    outcome("unrelated", blocked=False, must_block=False),
    outcome("text", blocked=False, must_block=False),
]
FALSE = outcome("unrelated", blocked=True, must_block=False, incident="i-0")


def alerts(outcomes: Sequence[Outcome]) -> dict[str, dict[str, Any]]:
    facts = {"kind": "match", "set": "designs", "reference": "r-1", "score": 97.0}
    event = {"policy": {"name": "no-design-leaves"}, "unmapped": {"safelight": facts}}
    return {one.incident: event for one in outcomes if one.blocked or one.redacted}


def report(outcomes: Sequence[Outcome], known: dict[str, dict[str, Any]]) -> tuple[bool, str]:
    out = io.StringIO()
    kept = print_report(outcomes, known, Console(file=out, width=160))
    return kept, " ".join(out.getvalue().split())


def test_19_of_20_edits_blocked_is_the_promise() -> None:
    kept, text = report(KEPT, alerts(KEPT))
    assert kept
    assert "95.0% of 20 edits blocked" in text
    assert "missed: upload of quality-.jpg" in text
    assert "no-design-leaves" in text


@pytest.mark.parametrize(
    ("outcomes", "complaint"),
    [
        (KEPT[2:], "94.7% of 19 edits"),
        ([*KEPT, FALSE], "1 unrelated blocked"),
        ([replace(KEPT[0], blocked=False), *KEPT[1:]], "NOT ALL BLOCKED"),
        ([*KEPT[:-1], replace(KEPT[-1], intact=False)], "A PASSED BODY WAS CHANGED"),
        ([*KEPT[:21], replace(KEPT[21], redacted=False), *KEPT[22:]], "NOT REDACTED AS PROMISED"),
    ],
)
def test_a_broken_promise_is_said(outcomes: list[Outcome], complaint: str) -> None:
    kept, text = report(outcomes, alerts(outcomes))
    assert not kept
    assert complaint in text


def test_a_block_without_its_alert_breaks_the_promise() -> None:
    kept, text = report(KEPT, {})
    assert not kept
    assert "BLOCKS WITHOUT ALERT" in text


def test_alerts_are_read_by_incident_but_for_a_line_that_is_being_written(tmp_path: Path) -> None:
    path = tmp_path / "alerts.jsonl"
    assert read_alerts(path) == {}
    events = [{"finding_info": {"uid": uid}} for uid in ("a", "b", "a")]
    path.write_text("".join(json.dumps(event) + "\n" for event in events) + '{"finding_info": {"u')
    assert read_alerts(path).keys() == {"a", "b"}
