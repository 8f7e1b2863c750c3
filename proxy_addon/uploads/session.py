"""What is known of one upload in several requests, and how that is written to the store.

Any proxy of the deployment may see the next part, so nothing of a session lives in one process alone.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from typing import Any, Final

from shared.errors import WireError
from shared.extract.reassembly import Parts, Piece, SpoolLimits
from shared.types import Action, Decision, Finding, Mode, Severity

VERSION: Final = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """How an upload was blocked: every further request of it gets the same answer, under the same incident."""

    policy: str
    incident: str
    kind: str
    reason: str

    @classmethod
    def of(cls, decision: Decision, incident: str) -> Refusal:
        """Return what to remember of a decision."""
        first = decision.findings[0] if decision.findings else None
        return cls(
            policy=decision.policy or "",
            incident=incident,
            kind=first.kind if first else "match",
            reason=first.reason if first else "",
        )

    def decision(self) -> Decision:
        """Return the decision again, as far as an answer needs it."""
        finding = Finding(
            policy=self.policy,
            action=Action.BLOCK,
            mode=Mode.ENFORCE,
            severity=Severity.MEDIUM,
            notify=(),
            kind="uninspected" if self.kind == "uninspected" else "match",
            reason=self.reason,
        )
        return Decision(action=Action.BLOCK, policy=self.policy or None, findings=(finding,))


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """One upload.

    ``over`` says why not all of its bytes are kept.  ``judged`` names what was judged whole and passed.  ``finished``:
    its last request has been answered, so its bytes are the first to go where there is no room.
    """

    id: str
    parts: Parts = field(default_factory=Parts)
    over: str = ""
    judged: str = ""
    finished: bool = False
    refusal: Refusal | None = None

    def with_piece(self, piece: Piece | None, total: int | None, limits: SpoolLimits) -> Session:
        """Return the session with one more piece and what is known of its size.  Raises ExtractionError."""
        parts = self.parts if total is None else replace(self.parts, total=total)
        return replace(self, parts=parts if piece is None else parts.with_piece(piece, limits))

    def with_number(self, piece: Piece | None, number: str) -> Session:
        """Return the session with the number that a part was given by the reply to it."""
        if piece is None or not number:
            return self
        named = tuple(replace(each, number=number) if each.key == piece.key else each for each in self.parts.pieces)
        return replace(self, parts=replace(self.parts, pieces=named))

    def encode(self) -> bytes:
        """Return the session as bytes."""
        refusal = self.refusal
        return json.dumps(
            {
                "v": VERSION,
                "total": self.parts.total,
                "pieces": [
                    [piece.key, piece.size, piece.sha256, piece.offset, piece.number] for piece in self.parts.pieces
                ],
                "over": self.over,
                "judged": self.judged,
                "finished": self.finished,
                "refusal": refusal and [refusal.policy, refusal.incident, refusal.kind, refusal.reason],
            }
        ).encode()

    @classmethod
    def decode(cls, session_id: str, data: bytes) -> Session:
        """Read what ``encode`` wrote.  Raises WireError for anything else."""
        try:
            values: dict[str, Any] = json.loads(data)
            if values["v"] != VERSION:
                raise WireError(f"an upload's session of version {values['v']!r}; this program reads {VERSION}")
            pieces = tuple(
                Piece(key=key, size=size, sha256=sha256, offset=offset, number=number)
                for key, size, sha256, offset, number in values["pieces"]
            )
            refusal = values["refusal"]
            return cls(
                id=session_id,
                parts=Parts(pieces=pieces, total=values["total"]),
                over=values["over"],
                judged=values["judged"],
                finished=values["finished"],
                refusal=refusal and Refusal(**dict(zip(_REFUSAL, refusal, strict=True))),
            )
        except (ValueError, KeyError, TypeError) as error:
            raise WireError(f"an upload's session cannot be read: {error}") from error


_REFUSAL: Final = ("policy", "incident", "kind", "reason")
