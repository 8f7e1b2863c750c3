"""One step of an upload: its bytes are kept, and where the object is whole or is committed it is judged."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final
from uuid import uuid4

from proxy_addon.uploads.assembly import Assembly, most_restrictive
from proxy_addon.uploads.note import Note
from proxy_addon.uploads.session import Refusal, Session
from proxy_addon.uploads.spool import Spool
from proxy_addon.verdicts.judging import NOTHING_FOUND, Judged
from shared.errors import ExtractionError
from shared.extract.reassembly import Parts, Piece
from shared.types import Action, Role, StepKind, UninspectedReason, UploadStep

_PLACED: Final = frozenset({Role.OFFSET, Role.NUMBER, Role.TOTAL})


@dataclass(frozen=True, slots=True)
class Step:
    """One step on its way."""

    spool: Spool
    assembly: Assembly
    note: Note
    step: UploadStep

    async def take(self, data: bytes) -> list[Judged] | Refusal:
        """Return what is decided at this step, nothing where the object is not whole yet."""
        step = self.step
        if step.sources:
            sources = [await self.spool.find(key) for key in step.sources]
            return await self._commit([source for source in sources if source], len(step.sources), {})
        session = await self.spool.open(step.session or uuid4().hex)
        if step.span and (session.refusal is not None or session.finished):
            session = await self._begin_anew(session, data)
        self.note.sessions[session.id] = session
        if session.refusal is not None and step.kind is not StepKind.CANCEL:
            return session.refusal
        if step.kind not in {StepKind.START, StepKind.PART, StepKind.COMMIT}:
            return []
        return await self._add(session, data)

    async def _add(self, session: Session, data: bytes) -> list[Judged] | Refusal:
        was_over = session.over
        fresh: dict[str, bytes] = {}
        if self.step.span or self.step.total is not None:
            session, piece = await self._keep(session, data)
            fresh = {piece.key: data} if piece else {}
            self.note.sessions[session.id], self.note.piece = session, piece
        if session.refusal is not None:  # blocked while this part was being written
            return session.refusal
        if self.step.kind is StepKind.COMMIT or (session.parts.is_complete and not session.over):
            return await self._commit([session], 1, fresh)
        return (
            [self.assembly.uninspected(UninspectedReason.TOO_LARGE, session.over)]
            if session.over and not was_over
            else []
        )

    async def _keep(self, session: Session, data: bytes) -> tuple[Session, Piece | None]:
        total, piece = self._total(data), None
        try:
            if self.step.span and not session.over:
                offset, number = self._place()
                piece = await self.spool.keep(session, data, offset=offset, number=number)
            changed = await self.spool.change(session, lambda known: known.with_piece(piece, total, self.spool.limits))
        except ExtractionError as error:
            over = str(error)
            return await self.spool.change(session, lambda known: replace(known, over=over)), None
        return changed, piece

    def _place(self) -> tuple[int | None, str]:
        if any(each.reply for each in self.note.selection.select.get(Role.NUMBER, ())):
            return None, f"? {uuid4().hex}"  # until the reply says its number
        if self.step.offset is None and self.step.number:
            return None, self.step.number
        return self.step.offset or 0, self.step.number

    def _total(self, data: bytes) -> int | None:
        # A rule that does not say where the bytes belong is for requests that bring all of them.
        whole = self.step.kind is StepKind.PART and not _PLACED & self.note.selection.select.keys()
        return len(data) if whole and self.step.span else self.step.total

    async def _begin_anew(self, session: Session, data: bytes) -> Session:
        """Forget an upload that is over where another object begins under its key."""
        digest = (await asyncio.to_thread(hashlib.sha256, data)).hexdigest()
        if not _differs(session.parts, self.step, digest):
            return session
        return await self.spool.change(session, lambda known: Session(id=known.id))

    async def _commit(self, sessions: Sequence[Session], count: int, fresh: dict[str, bytes]) -> list[Judged] | Refusal:
        for session in sessions:
            self.note.sessions[session.id] = session
            if session.refusal is not None:
                return session.refusal
        over = next((session.over for session in sessions if session.over), "")
        if over:
            return [self.assembly.uninspected(UninspectedReason.TOO_LARGE, over)]
        if len(sessions) < count or not any(session.parts.pieces or session.parts.total == 0 for session in sessions):
            return [self.assembly.uninspected(UninspectedReason.UNKNOWN_OBJECT, "they were not seen")]
        fingerprint = self._fingerprint(sessions)
        if all(session.judged == fingerprint for session in sessions):
            if Role.OBJECT in self.note.selection.select:
                # Judged at its last part: only now the reply tells what the object is called.
                await self.assembly.judging.names_what_was_judged(self.assembly.case, self.assembly.asked)
            return [NOTHING_FOUND]
        judged = await self.assembly.whole([session.parts for session in sessions], fresh, self.step.order)
        if most_restrictive(judged).decision.action is Action.ALLOW:
            for session in sessions:
                await self.spool.change(session, lambda known: replace(known, judged=fingerprint))
        return judged

    def _fingerprint(self, sessions: Sequence[Session]) -> str:
        pieces = [piece.sha256 for session in sessions for piece in session.parts.pieces]
        words = [self.assembly.case.context.activity, *self.step.order, *pieces]
        return hashlib.sha256("\n".join(words).encode()).hexdigest()


def _differs(parts: Parts, step: UploadStep, digest: str) -> bool:
    """Tell whether a part stands where another one with other bytes did, and none with the same."""
    offset = None if step.offset is None and step.number else step.offset or 0
    known = [piece.sha256 for piece in parts.pieces if (piece.offset, piece.number) == (offset, step.number)]
    return bool(known) and digest not in known
