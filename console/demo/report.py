"""The demonstration's table: what was blocked, redacted and passed, why, and how long it waited."""

from __future__ import annotations

import json
import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from rich.console import Console
from rich.table import Table

from console.demo.traffic import Outcome

EDITS_BLOCKED: Final = 0.95
EXAMPLES: Final = 4
NO_EDIT: Final = frozenset({"original", "unrelated", "text", "protected", "to the chat"})


def read_alerts(path: Path) -> dict[str, dict[str, Any]]:
    """Return the alerts by incident; the last line may still be being written."""
    if not path.exists():
        return {}
    events = [json.loads(line) for line in path.read_text(encoding="utf-8").split("\n")[:-1] if line]
    return {event["finding_info"]["uid"]: event for event in events}


def print_report(outcomes: Sequence[Outcome], alerts: dict[str, dict[str, Any]], console: Console) -> bool:
    """Print the tables and return whether the demonstration's promise was kept."""
    console.print(_summary(outcomes))
    console.print(_why(outcomes, alerts))
    wrong = [outcome for outcome in outcomes if not _as_promised(outcome)]
    for outcome in wrong:
        console.print(f"  {_complaint(outcome)}: {outcome.item.way} of {outcome.item.name}{_reason(outcome, alerts)}")
    edits = [outcome for outcome in outcomes if outcome.item.kind not in NO_EDIT]
    share = sum(outcome.blocked for outcome in edits) / max(1, len(edits))
    false = sum(outcome.blocked for outcome in outcomes if not outcome.item.must_block)
    originals = all(outcome.blocked for outcome in outcomes if outcome.item.kind in {"original", "protected"})
    told = all(outcome.incident in alerts for outcome in outcomes if outcome.blocked or outcome.redacted)
    redacted = all(outcome.redacted is outcome.item.must_redact for outcome in outcomes)
    intact = all(outcome.intact for outcome in outcomes)
    console.print(
        f"{share:.1%} of {len(edits)} edits blocked (wanted: {EDITS_BLOCKED:.0%}), "
        f"{false} unrelated blocked (wanted: 0), "
        f"originals {'all blocked' if originals else 'NOT ALL BLOCKED'}, "
        f"{'the chat got them redacted' if redacted else 'NOT REDACTED AS PROMISED'}, "
        f"{'every block has its alert' if told else 'BLOCKS WITHOUT ALERT'}, "
        f"{'what passed arrived byte for byte' if intact else 'A PASSED BODY WAS CHANGED'}"
    )
    return share >= EDITS_BLOCKED and not false and originals and redacted and told and intact


def _summary(outcomes: Sequence[Outcome]) -> Table:
    fields = ("way", "what", "sent", "blocked", "redacted", "passed", "waited p50 ms", "p95 ms")
    table = Table(*fields, title="What happened")
    groups: dict[tuple[str, str], list[Outcome]] = {}
    for outcome in outcomes:
        groups.setdefault((outcome.item.way, outcome.item.kind), []).append(outcome)
    for (way, kind), group in groups.items():
        blocked = sum(outcome.blocked for outcome in group)
        redacted = sum(outcome.redacted for outcome in group)
        waits = sorted(outcome.milliseconds for outcome in group)
        p95 = waits[min(len(waits) - 1, round(0.95 * len(waits)))]
        counts = (str(len(group)), str(blocked), str(redacted), str(len(group) - blocked - redacted))
        table.add_row(way, kind, *counts, f"{statistics.median(waits):.0f}", f"{p95:.0f}")
    return table


def _why(outcomes: Sequence[Outcome], alerts: dict[str, dict[str, Any]]) -> Table:
    table = Table("file", "status", "policy", "set", "reference", "score", title="Why (some of them)")
    stopped = [outcome for outcome in outcomes if outcome.incident in alerts]
    for outcome in stopped[:: max(1, len(stopped) // (4 * EXAMPLES))]:
        event = alerts[outcome.incident]
        facts = event["unmapped"]["safelight"]
        score = facts["score"]
        table.add_row(
            outcome.item.name,
            str(outcome.status),
            event["policy"]["name"],
            facts["set"],
            facts["reference"],
            f"{score:.1f}" if score is not None else "",
        )
    return table


def _as_promised(outcome: Outcome) -> bool:
    item = outcome.item
    return (outcome.blocked, outcome.redacted) == (item.must_block, item.must_redact) and outcome.intact


def _complaint(outcome: Outcome) -> str:
    if not outcome.intact:
        return "NOT OBSCURED" if outcome.redacted else "CHANGED ON THE WAY"
    if outcome.item.must_redact:
        return "NOT REDACTED"
    return "missed" if outcome.item.must_block else "WRONGLY BLOCKED"


def _reason(outcome: Outcome, alerts: dict[str, dict[str, Any]]) -> str:
    event = alerts.get(outcome.incident)
    if event is None:
        return ""
    facts = event["unmapped"]["safelight"]
    return f" ({facts['kind']}: set {facts['set']}, reference {facts['reference']}, score {facts['score']})"
