"""What becomes of a message, as its head tells."""

from __future__ import annotations

from collections.abc import Awaitable
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from proxy_addon.enforcement import Case
from proxy_addon.responses.reply import Reply
from proxy_addon.uploads.downloads import RangeNote
from proxy_addon.uploads.note import Note
from shared.types import Action, UninspectedReason


class Treatment(StrEnum):
    """What is done with a body."""

    STREAM = "stream"
    TEE = "tee"
    COPY = "copy"
    HOLD = "hold"
    UNITS = "units"


@dataclass(frozen=True, slots=True, kw_only=True)
class Ruling:
    """An answer at once, or how the body is treated; ``case`` where there is something to judge or to count later."""

    treatment: Treatment = Treatment.STREAM
    case: Case | None = None
    reply: Reply | None = None
    uninspected: UninspectedReason | None = None  # why it is not even tried
    upload: Note | RangeNote | None = None  # where it may be a step of an upload or a range of a download

    @property
    def trickles(self) -> bool:
        """Whether a few bytes may leave before the verdict: not where what leaves may have to be another body."""
        policies = () if self.case is None else self.case.policies
        redacts = any(policy.acts and policy.action is Action.REDACT for policy in policies)
        return self.treatment is Treatment.HOLD and not redacts


PASS: Final = Ruling()

Coming = Ruling | Awaitable[Ruling]
"""A ruling, or one that is waited for: most come at once, and a task for each would cost more than they do."""


async def come(coming: Coming) -> Ruling:
    """Return a ruling once it is there."""
    return coming if isinstance(coming, Ruling) else await coming
