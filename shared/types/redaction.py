"""A picture that is to lose what a policy protects: the order, and how it travels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from shared.types.facts import VerdictError
from shared.types.vocabulary import Obscuring

MAX_REGIONS: Final = 64
"""Regions of one order; a picture with more is obscured whole."""

REDACTED_PREFIX: Final = "redacted/"
"""Of the claim checks of obscured pictures; the question's id follows."""

Region = tuple[int, int, int, int]
"""Left, top, right, bottom in pixels of the upright picture (EXIF orientation applied)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RedactionOrder:
    """What is to be obscured in every frame, and how.  No regions: the whole picture."""

    regions: tuple[Region, ...] = ()
    how: Obscuring = Obscuring.BOX

    def __post_init__(self) -> None:
        if len(self.regions) > MAX_REGIONS:
            raise ValueError(f"more than {MAX_REGIONS} regions")


@dataclass(frozen=True, slots=True, kw_only=True)
class RedactionRequest:
    """A proxy asks for a picture to be obscured.  Fields as in InspectionRequest."""

    id: str
    sha256: str
    budget_ms: int
    sent_at: float
    reply_to: int
    size: int
    order: RedactionOrder
    payload: bytes | None = None
    blob: str | None = None

    def __post_init__(self) -> None:
        if (self.payload is None) == (self.blob is None):
            raise ValueError("exactly one of payload and blob must be set")


@dataclass(frozen=True, slots=True, kw_only=True)
class RedactionReply:
    """The picture in its old format, as ``payload`` or behind the claim check ``blob``; or why there is none.

    ``id`` and ``sha256`` are those of the request: the digest is the original's.
    """

    id: str
    sha256: str
    payload: bytes | None = None
    blob: str | None = None
    error: VerdictError | None = None

    def __post_init__(self) -> None:
        if sum(each is not None for each in (self.payload, self.blob, self.error)) != 1:
            raise ValueError("exactly one of payload, blob and error must be set")
