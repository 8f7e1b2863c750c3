"""Alerts about the operation itself: what the SOC must know though no image was seen."""

from __future__ import annotations

from shared.types import (
    Action,
    Activity,
    ActivityContext,
    Actor,
    Alert,
    Direction,
    Finding,
    Mode,
    Severity,
)


def operation_alert(
    *,
    incident: str,
    time: float,
    policy: str,
    title: str,
    detail: str,
    severity: Severity,
    host: str = "",
    ip: str = "",
) -> Alert:
    """Return an alert; ``title`` is what the event is called, ``incident`` the same for the same event."""
    finding = Finding(
        policy=policy,
        action=Action.ALLOW,
        mode=Mode.ENFORCE,
        severity=severity,
        notify=("admin",),
        kind="operation",
        reason=f"{title}: {detail}",
    )
    actor, way = Actor(ip=ip), Direction.OUTBOUND
    context = ActivityContext(activity=Activity.UPLOAD, direction=way, host=host, actor=actor)
    return Alert(
        incident=incident, time=time, context=context, method="", url="", finding=finding, enforced=Action.ALLOW
    )
