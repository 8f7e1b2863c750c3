"""Alerts as OCSF events, held still by golden files."""

import json
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

import pytest

from shared.core.alert_format import strip_url, to_ocsf
from shared.types import Action, Activity, Actor, Alert, Direction, Mode, Severity
from tests.factories import make_alert, make_context, make_finding

GOLDEN: Final = Path(__file__).parents[3] / "golden"

UNINSPECTED: Final = make_finding(
    kind="uninspected",
    action=Action.ALLOW,
    reason="too_large: body of 209715200 bytes",
    severity=Severity.LOW,
    locator="",
    sha256="",
    name="",
    size=0,
    set="",
    reference="",
    score=None,
)
CASES: Final[dict[str, Alert]] = {
    "ocsf_blocked_match": make_alert(),
    "ocsf_monitored_match": make_alert(finding=make_finding(mode=Mode.MONITOR), enforced=Action.ALLOW),
    "ocsf_uninspected": make_alert(
        finding=UNINSPECTED, enforced=Action.ALLOW, context=make_context(app="", actor=Actor()), encoder=""
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_golden(name: str) -> None:
    event: dict[str, Any] = json.loads(json.dumps(to_ocsf(CASES[name])))
    assert event["metadata"]["product"].pop("version") == version("safelight")
    assert event == json.loads((GOLDEN / f"{name}.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize(
    ("enforced", "mode", "action_id", "disposition_id"),
    [
        (Action.ALLOW, Mode.ENFORCE, 1, 1),
        (Action.BLOCK, Mode.ENFORCE, 2, 2),
        (Action.COACH, Mode.ENFORCE, 2, 23),
        (Action.REDACT, Mode.ENFORCE, 4, 11),
        (Action.TAG, Mode.ENFORCE, 4, 18),
        (Action.QUARANTINE, Mode.ENFORCE, 2, 3),
        (Action.DELETE, Mode.ENFORCE, 2, 5),
        (Action.ALLOW, Mode.MONITOR, 3, 17),
        (Action.BLOCK, Mode.MONITOR, 3, 17),
    ],
)
def test_what_happened(enforced: Action, mode: Mode, action_id: int, disposition_id: int) -> None:
    event = to_ocsf(make_alert(enforced=enforced, finding=make_finding(mode=mode)))
    assert (event["action_id"], event["disposition_id"]) == (action_id, disposition_id)


@pytest.mark.parametrize(("severity", "number"), list(zip(Severity, range(1, 6), strict=True)))
def test_severity(severity: Severity, number: int) -> None:
    assert to_ocsf(make_alert(finding=make_finding(severity=severity)))["severity_id"] == number


def test_the_events_of_one_incident_have_identities_of_their_own() -> None:
    events = [
        to_ocsf(make_alert(finding=make_finding(policy=policy, kind=kind)))
        for policy, kind in [("a", "match"), ("a", "uninspected"), ("b", "match")]
    ]
    uids = [event["metadata"]["uid"] for event in events if isinstance(event["metadata"], dict)]
    assert len(set(uids)) == 3
    infos = [event["finding_info"] for event in events]
    assert {info["uid"] for info in infos if isinstance(info, dict)} == {"incident-1"}


@pytest.mark.parametrize(
    ("url", "stripped"),
    [
        ("https://a.example/up/x.png?sig=secret#part", "https://a.example/up/x.png"),
        ("https://user:secret@a.example:8443/up", "https://a.example:8443/up"),
        ("https://a.example", "https://a.example"),
        ("https://a.example?sig=secret", "https://a.example"),
        ("https://a.example#sig=secret?x", "https://a.example"),
        ("https://a.example/@user/x", "https://a.example/@user/x"),
        ("http://[bad", "http://[bad"),
        ("", ""),
    ],
)
def test_a_url_keeps_no_credentials(url: str, stripped: str) -> None:
    assert strip_url(url) == stripped


def test_the_title_says_which_way() -> None:
    context = make_context(activity=Activity.DOWNLOAD, direction=Direction.INBOUND)
    assert to_ocsf(make_alert(context=context))["message"] == "Protected image: download from vendor-files"


def test_no_credential_is_anywhere_in_an_event() -> None:
    assert "secret" not in json.dumps(to_ocsf(make_alert()))
