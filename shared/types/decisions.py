"""What happens to a transfer, and what the SOC is told."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from shared.types.facts import Verdict
from shared.types.http import ActivityContext
from shared.types.vocabulary import Action, Mode, Severity, UninspectedReason


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageJudgement:
    """One image of a transfer as ``decide`` sees it: a verdict, or why there is none.

    ``container`` is the SHA-256 of the archive or document that it came out of, empty for an image of the message.
    """

    locator: str
    sha256: str
    size: int
    name: str = ""
    verdict: Verdict | None = None
    uninspected: UninspectedReason | None = None
    container: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """A policy that applied, and the image and fact that made it.

    ``justified``: it asks for a reason and was given one, the ``justification``.  ``note``: why something else was done
    than the action says.
    """

    policy: str
    action: Action
    mode: Mode
    severity: Severity
    notify: tuple[str, ...]
    kind: Literal["match", "uninspected", "operation", "justified"]
    reason: str
    locator: str = ""
    sha256: str = ""
    name: str = ""
    size: int = 0
    set: str = ""
    reference: str = ""
    score: float | None = None
    justification: str = ""
    note: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """What happens to a transfer.  ``policy`` names the finding that decided; None where nothing applied."""

    action: Action
    policy: str | None = None
    findings: tuple[Finding, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Alert:
    """What the SOC is told: the incident of one finding's policy in one transfer.

    ``time`` is wall time in seconds since 1970; ``incident`` is the id that the ``X-Safelight`` header carries.
    ``enforced`` is what really happened to the transfer.
    """

    incident: str
    time: float
    context: ActivityContext
    method: str
    url: str
    finding: Finding
    enforced: Action
    encoder: str = ""
    index_revision: str = ""
