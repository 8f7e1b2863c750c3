"""Alerts as OCSF events: Data Security Finding, with the profile security_control.

The version followed is 1.5.0: a control may have *observed* (``action_id`` 3, since 1.4.0), which is what monitor mode
does.  Source: https://schema.ocsf.io/1.5.0/classes/data_security_finding.  The class has no attribute for
an HTTP request: where the file was on its way is ``file.url``, its method is under ``unmapped``.  URLs lose query,
fragment and user information, since signed upload URLs are credentials.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib.metadata import version
from types import MappingProxyType
from typing import Final

from shared.types import Action, ActivityContext, Alert, Direction, Finding, Mode, Severity

OCSF_VERSION: Final = "1.5.0"
PRODUCT: Final = "Safelight"
_PRODUCT_VERSION: Final = version("safelight")

CATEGORY_FINDINGS: Final = 2
CLASS_DATA_SECURITY_FINDING: Final = 2006
ACTIVITY_CREATE: Final = 1

_SEVERITY_ID: Final[Mapping[Severity, int]] = MappingProxyType(
    {
        Severity.INFORMATIONAL: 1,
        Severity.LOW: 2,
        Severity.MEDIUM: 3,
        Severity.HIGH: 4,
        Severity.CRITICAL: 5,
    }
)
_OBSERVED: Final = (3, "Observed", 17, "Logged")
_OUTCOME: Final[Mapping[Action, tuple[int, str, int, str]]] = MappingProxyType(
    {
        Action.ALLOW: (1, "Allowed", 1, "Allowed"),
        Action.COACH: (2, "Denied", 23, "Challenge"),
        Action.REDACT: (4, "Modified", 11, "Corrected"),
        Action.BLOCK: (2, "Denied", 2, "Blocked"),
        Action.TAG: (4, "Modified", 18, "Tagged"),
        Action.QUARANTINE: (2, "Denied", 3, "Quarantined"),
        Action.DELETE: (2, "Denied", 5, "Deleted"),
    }
)
"""What happened to the transfer: action_id, action, disposition_id, disposition."""

Json = dict[str, object]
_SUBJECT: Final[Mapping[str, str]] = MappingProxyType(
    {"match": "Protected image", "uninspected": "Uninspected transfer", "justified": "Justified transfer"}
)


def to_ocsf(alert: Alert) -> dict[str, object]:
    """Return the event of one alert, ready for JSON.

    ``finding_info.uid`` is the incident, which every finding of a transfer shares; ``metadata.uid`` is unique to the
    event and the same on every delivery.
    """
    finding = alert.finding
    monitored = finding.mode is Mode.MONITOR
    action_id, action, disposition_id, disposition = _OBSERVED if monitored else _OUTCOME[alert.enforced]
    event: Json = {
        "activity_id": ACTIVITY_CREATE,
        "activity_name": "Create",
        "category_uid": CATEGORY_FINDINGS,
        "category_name": "Findings",
        "class_uid": CLASS_DATA_SECURITY_FINDING,
        "class_name": "Data Security Finding",
        "type_uid": CLASS_DATA_SECURITY_FINDING * 100 + ACTIVITY_CREATE,
        "type_name": "Data Security Finding: Create",
        "time": round(alert.time * 1000),
        "severity_id": _SEVERITY_ID[finding.severity],
        "severity": finding.severity.capitalize(),
        "status_id": 1,
        "status": "New",
        "is_alert": True,
        "action_id": action_id,
        "action": action,
        "disposition_id": disposition_id,
        "disposition": disposition,
        "message": _title(alert),
        "metadata": _metadata(alert),
        "finding_info": _finding_info(alert),
        "policy": {"name": finding.policy, "is_applied": not monitored},
        "data_security": _data_security(finding),
        "dst_endpoint": {"hostname": alert.context.host},
        "unmapped": {"safelight": _unmapped(alert)},
        **_who(alert.context),
        **_file(alert),
    }
    if finding.justification:
        event["comment"] = finding.justification
    if finding.score is not None:
        event["confidence_score"] = round(finding.score)  # an integer in the schema; the exact one is under unmapped
    return event


def strip_url(url: str) -> str:
    """Return a URL without user information, query and fragment.  Never fails: the URL came from traffic."""
    bare = url.partition("?")[0].partition("#")[0]
    scheme, separator, rest = bare.partition("://")
    if not separator:
        return bare
    authority, slash, path = rest.partition("/")
    return f"{scheme}://{authority.rpartition('@')[2]}{slash}{path}"


def _title(alert: Alert) -> str:
    if alert.finding.kind == "operation":
        return alert.finding.reason.partition(": ")[0]
    what = _SUBJECT[alert.finding.kind]
    context = alert.context
    to = "from" if context.direction is Direction.INBOUND else "to"
    return f"{what}: {context.activity.replace('_', ' ')} {to} {context.app or context.host}"


def _metadata(alert: Alert) -> Json:
    finding = alert.finding
    return {
        "version": OCSF_VERSION,
        "profiles": ["security_control"],
        "uid": f"{alert.incident}/{finding.policy}/{finding.kind}",
        "product": {"name": PRODUCT, "vendor_name": PRODUCT, "version": _PRODUCT_VERSION},
    }


def _finding_info(alert: Alert) -> Json:
    return {
        "uid": alert.incident,
        "title": _title(alert),
        "desc": alert.finding.reason,
        "types": [alert.finding.kind],
        "created_time": round(alert.time * 1000),
    }


def _data_security(finding: Finding) -> Json:
    values: Json = {
        "category_id": 4,
        "category": "Business",
        "data_lifecycle_state_id": 2,
        "data_lifecycle_state": "Data in-Transit",
        "detection_system_id": 5,
        "detection_system": "Secure Web Gateway",
        "policy": {"name": finding.policy},
    }
    if finding.set:
        values["detection_pattern"] = finding.set
    return values


def _who(context: ActivityContext) -> Json:
    actor = context.actor
    user: Json = {"name": actor.user, "type_id": 1 if actor.user else 0, "type": "User" if actor.user else "Unknown"}
    if actor.groups:
        user["groups"] = [{"name": group} for group in actor.groups]
    values: Json = {"actor": {"user": user}}
    source = {"ip": actor.ip, "name": actor.device}
    if any(source.values()):
        values["src_endpoint"] = {key: value for key, value in source.items() if value}
    return values


def _file(alert: Alert) -> Json:
    """Describe the image; a transfer that was not inspected as a whole has none."""
    finding = alert.finding
    if not finding.sha256:
        return {}
    url = strip_url(alert.url)
    values: Json = {
        "name": finding.name or finding.locator or finding.sha256,
        "type_id": 1,
        "type": "Regular File",
        # Unknown for what came out of an archive.
        **({"size": finding.size} if finding.size else {}),
        "hashes": [{"algorithm_id": 3, "algorithm": "SHA-256", "value": finding.sha256}],
    }
    if url:
        values["url"] = {"url_string": url, "hostname": alert.context.host}
    return {"file": values}


def _unmapped(alert: Alert) -> Json:
    finding, context = alert.finding, alert.context
    missed = finding.kind == "uninspected"
    reason, _, detail = finding.reason.partition(": ") if missed else (finding.reason, "", "")
    values: Json = {
        "kind": finding.kind,
        "mode": finding.mode.value,
        "activity": context.activity.value,
        "direction": context.direction.value,
        "account": context.account.value,
        "app": context.app,
        "set": finding.set,
        "reference": finding.reference,
        "score": finding.score,
        "action": finding.action.value,
        "enforced": alert.enforced.value,
        "notify": list(finding.notify),
        "reason": reason,
        "detail": detail,
        "locator": finding.locator,
        "method": alert.method,
        "url": strip_url(alert.url),
        "encoder": alert.encoder,
        "index_revision": alert.index_revision,
    }
    return {**values, "note": finding.note} if finding.note else values
