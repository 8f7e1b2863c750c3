"""What a person is told, and what a program is told of the same: sentences, pages and problem details (RFC 9457)."""

from __future__ import annotations

import html
import re
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from importlib.resources import files
from string import Template
from typing import Final

from shared.types import Activity, Decision, Finding

HTML: Final = "text/html; charset=utf-8"
COACH_PATH: Final = "/.well-known/safelight/coach"
"""Answered by the proxy itself on every host (RFC 8615): a page of the same origin needs no CORS to post there."""
PROBLEM_BLOCKED: Final = "urn:safelight:problem:blocked"
PROBLEM_UNINSPECTED: Final = "urn:safelight:problem:uninspected"
PROBLEM_JUSTIFY: Final = "urn:safelight:problem:justification-required"

_FORBIDDEN: Final = 403
_CONTENT_POLICY: Final = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; frame-ancestors 'none'; "
_NOT_VISIBLE: Final = re.compile(r"[\x00-\x1f\x7f]")


@dataclass(frozen=True, slots=True)
class Told:
    """What there is to tell.  ``ticket`` and ``justify``, an address, where a reason is asked for."""

    decision: Decision
    incident: str
    activity: Activity
    ticket: str = ""
    justify: str = ""
    at: datetime | None = None


def content_policy(*, form: bool) -> str:
    """Return the Content-Security-Policy of a page: no script at all, and a form only where a reason is asked for."""
    return _CONTENT_POLICY + ("form-action 'self'" if form else "form-action 'none'")


def sentence(told: Told) -> str:
    """Return what happened."""
    reason = _uninspected_reason(told.decision)
    doing = told.activity.replace("_", " ")
    if reason:
        return f"This {doing} could not be inspected ({reason.replace('_', ' ')}), and a policy does not let it pass."
    if told.ticket:
        return f"A policy of your organisation asks for a reason before this {doing}."
    return f"A policy of your organisation does not allow this {doing}."


def problem_details(told: Told) -> dict[str, object]:
    """Return the problem details."""
    reason = _uninspected_reason(told.decision)
    kind, title = PROBLEM_BLOCKED, "Blocked by policy"
    if reason:
        kind, title = PROBLEM_UNINSPECTED, "Blocked: could not be inspected"
    elif told.ticket:
        kind, title = PROBLEM_JUSTIFY, "A reason is asked for"
    problem: dict[str, object] = {
        "type": kind,
        "title": title,
        "status": _FORBIDDEN,
        "detail": sentence(told),
        "incident": told.incident,
        "policy": told.decision.policy or "",
        "activity": told.activity.value,
    }
    deciding = _deciding(told.decision)
    more = {"reason": reason, "justify": told.justify, "note": deciding.note if deciding else ""}
    return problem | {name: value for name, value in more.items() if value}


def refusal_page(told: Told, error: str = "") -> str:
    """Return the page of a transfer that was blocked, or that a reason is asked for; ``error`` is HTML."""
    fields = {
        "what": escaped(sentence(told)),
        "found": _row("Found", _found(told.decision)),
        "activity": escaped(told.activity.replace("_", " ")),
        "policy": escaped(told.decision.policy or ""),
        "incident": escaped(told.incident),
        "time": _row("Time", f"{told.at:%Y-%m-%d %H:%M:%S %Z}".strip() if told.at else ""),
    }
    if told.ticket:
        form = {"error": error, "ticket": escaped(told.ticket), "path": COACH_PATH}
        return page("coach.html", title="A reason is asked for", **fields, **form)
    return page("blocked.html", title="Blocked by policy", **fields)


def page(template: str, *, title: str, **fields: str) -> str:
    """Return a page; ``title`` and ``fields`` are HTML."""
    body = _template(template).substitute(fields, title=title)
    return _template("frame.html").substitute(title=title, body=body)


def escaped(text: str) -> str:
    """Return text fit for HTML and XML, in attributes too."""
    return html.escape(_NOT_VISIBLE.sub(" ", text))


def _row(name: str, value: str) -> str:
    return f"<dt>{name}</dt><dd>{escaped(value)}</dd>" if value else ""


def _deciding(decision: Decision) -> Finding | None:
    return next((finding for finding in decision.findings if finding.policy == decision.policy), None)


def _uninspected_reason(decision: Decision) -> str:
    """Return the reason where nothing could be judged, else an empty string; its detail is for the SOC alone."""
    finding = _deciding(decision)
    return finding.reason.partition(":")[0] if finding is not None and finding.kind == "uninspected" else ""


def _found(decision: Decision) -> str:
    """Return what was found, as far as the user may know: the file's own name, never the reference's; "" if unknown."""
    finding = _deciding(decision)
    if finding is None or not finding.sha256:
        return ""
    name = finding.name or "an image"
    return f"{name} (protected by the set {finding.set})" if finding.set else name


@cache
def _template(name: str) -> Template:
    return Template(files("proxy_addon").joinpath("templates", name).read_text(encoding="utf-8"))
