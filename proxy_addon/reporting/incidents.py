"""From a decision to what the SOC is told: one alert, with an incident of its own, for every finding."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from shared.types import Action, ActivityContext, Alert, Decision, Finding, HttpHead, ImageJudgement, Verdict

_DEFAULT_PORTS = {"http": 80, "https": 443}


def alerts(
    decision: Decision,
    judgements: Sequence[ImageJudgement],
    *,
    request: HttpHead,
    context: ActivityContext,
    enforced: Action,
    time: float,
    new_id: Callable[[], str],
) -> tuple[Alert, ...]:
    """Return one alert for each finding, the deciding one's first, as ``decide`` orders them."""
    return tuple(
        Alert(
            incident=new_id(),
            time=time,
            context=context,
            method=request.method,
            url=url(request),
            finding=finding,
            enforced=enforced,
            encoder=verdict.encoder if verdict else "",
            index_revision=verdict.index_revision if verdict else "",
        )
        for finding in decision.findings
        for verdict in [_verdict(finding, judgements)]
    )


def image_size(decision: Decision, judgements: Sequence[ImageJudgement]) -> tuple[int, int] | None:
    """Return width and height of the image that decided, where they are known."""
    verdict = _verdict(decision.findings[0], judgements) if decision.findings else None
    return (verdict.image.width, verdict.image.height) if verdict and verdict.image else None


def url(request: HttpHead) -> str:
    """Return the address without its query, which is where credentials and search terms are."""
    host = f"[{request.host}]" if ":" in request.host else request.host
    port = "" if _DEFAULT_PORTS.get(request.scheme) == request.port else f":{request.port}"
    return f"{request.scheme}://{host}{port}{request.path}"


def _verdict(finding: Finding, judgements: Sequence[ImageJudgement]) -> Verdict | None:
    for judgement in judgements:
        if judgement.locator == finding.locator and judgement.sha256 == finding.sha256:
            return judgement.verdict
    return None
