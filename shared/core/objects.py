"""Objects remembered: what their images were judged, so that sharing, moving or copying one can be decided.

Such requests name an object and carry no image.  What is remembered are facts, of the day on which the bytes went by:
a reference enrolled since is not known to them, and ``matched`` holds each set's threshold as it was then (a policy's
``min_score`` is compared anew).  The verdict keeps the revision of the index that it was made with, and the alert says
it.  Whoever needs the old objects judged by a new reference scans the store that holds them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from hashlib import sha256
from typing import Final

from shared.types import Activity, ImageJudgement, ObjectName, RememberedObject, UninspectedReason, Verdict

OBJECT_SECONDS: Final = 30 * 24 * 3600.0
"""How long an object is remembered after its bytes went by last."""

MAX_IMAGES: Final = 64
"""Images remembered of one object, as many as are looked for in one message; the best matches first."""

MAX_MATCHES: Final = 8
"""Matches remembered of one image, the best first."""

MAX_NAMES: Final = 100
"""Objects that one request can name; Drive takes 100 calls a batch.  More count as one that is not known."""

MAX_ID: Final = 1024
"""Characters of an id; longer ones differ in their digest alone."""

NAMING: Final = frozenset(
    {
        Activity.SHARE,
        Activity.MOVE_WITHIN,
        Activity.MOVE_OUTSIDE,
        Activity.COPY,
        Activity.DELETE,
        Activity.SEND,
        Activity.PRINT,
    }
)
"""What is done to an object by name: its images were seen before, or never."""

MAKING: Final = frozenset({Activity.COPY, Activity.MOVE_WITHIN, Activity.MOVE_OUTSIDE})
"""What may give an object's images another id."""

_PREFIX: Final = "object/"


def store_key(name: ObjectName) -> str:
    """Return where an object is kept.  Ids are of any length and may be paths with users' names: hashed."""
    digest = sha256(f"{len(name.scope)}:{name.scope}{name.id}".encode()).hexdigest()
    return f"{_PREFIX}{name.app}/{digest}"


def remember(judgements: Sequence[ImageJudgement], now: float) -> RememberedObject:
    """Return what is kept of an object whose images were judged just now."""
    best = sorted(judgements, key=_weight, reverse=True)[:MAX_IMAGES]
    return RememberedObject(learnt=now, images=tuple(_slim(each) for each in best))


def recalled(name: ObjectName, known: RememberedObject | None) -> tuple[ImageJudgement, ...]:
    """Return the images of an object as judgements of the request that names it."""
    place = f"object:{name.id[:MAX_ID]}"
    if known is None:
        return (unknown(name),)
    return tuple(replace(each, locator=f"{place}/{each.locator}") for each in known.images)


def unknown(name: ObjectName, reason: UninspectedReason = UninspectedReason.UNKNOWN_OBJECT) -> ImageJudgement:
    """Return the judgement of an object whose images nobody has seen."""
    return ImageJudgement(locator=f"object:{name.id[:MAX_ID]}", sha256="", size=0, uninspected=reason)


def _weight(judgement: ImageJudgement) -> tuple[bool, float]:
    if judgement.verdict is None:
        return True, 0.0
    return any(match.matched for match in judgement.verdict.matches), max(
        (match.score for match in judgement.verdict.matches), default=0.0
    )


def _slim(judgement: ImageJudgement) -> ImageJudgement:
    return judgement if judgement.verdict is None else replace(judgement, verdict=_slim_verdict(judgement.verdict))


def _slim_verdict(verdict: Verdict) -> Verdict:
    best = sorted(verdict.matches, key=lambda match: match.score, reverse=True)[:MAX_MATCHES]
    return replace(verdict, matches=tuple(replace(match, evidence=None) for match in best), timings_ms={})
