"""What is remembered of one request that may be a step of an upload."""

from __future__ import annotations

from dataclasses import dataclass, field

from proxy_addon.uploads.session import Session
from shared.extract.reassembly import Piece
from shared.types import HttpMessage, Role, Selection, Source, UploadStep


@dataclass(slots=True, kw_only=True)
class Note:
    """What is remembered of a request that may be a step of an upload, until its reply has come."""

    selection: Selection
    request: HttpMessage | None = None
    steps: tuple[UploadStep, ...] = ()
    sessions: dict[str, Session] = field(default_factory=dict)  # by id
    piece: Piece | None = None

    @property
    def reads_body(self) -> bool:
        """Whether what the reply tells is in its body."""
        selectors = [each for role in (Role.LEARN, Role.NUMBER) for each in self.selection.select.get(role, ())]
        return any(each.reply and each.source in {Source.JSON, Source.XML} for each in selectors)
