"""One step of an upload: its bytes are kept, and where the object is whole or is committed it is judged."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final
from uuid import uuid4

from proxy_addon.enforcement import Case
from proxy_addon.judging import NOTHING_FOUND, Judged, Judging
from proxy_addon.operations import run_steps
from proxy_addon.uploads.note import Note
from proxy_addon.uploads.session import Refusal, Session
from proxy_addon.uploads.spool import Spool
from shared.core.policy import decide_uninspected
from shared.errors import ExtractionError
from shared.extract.reassembly import Layout, Parts, Piece, Slice, join, readings, variants
from shared.types import (
    RESTRICTIVENESS,
    Action,
    Direction,
    Finding,
    HttpMessage,
    Role,
    StepKind,
    UninspectedReason,
    UploadStep,
)

_PLACED: Final = frozenset({Role.OFFSET, Role.NUMBER, Role.TOTAL})


@dataclass(frozen=True, slots=True)
class Step:
    """One step on its way."""

    spool: Spool
    judging: Judging
    case: Case
    note: Note
    asked: HttpMessage
    step: UploadStep
    deadline: float

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
        return [self._uninspected(UninspectedReason.TOO_LARGE, session.over)] if session.over and not was_over else []

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
            return [self._uninspected(UninspectedReason.TOO_LARGE, over)]
        if len(sessions) < count or not any(session.parts.pieces or session.parts.total == 0 for session in sessions):
            return [self._uninspected(UninspectedReason.UNKNOWN_OBJECT, "its parts were not seen")]
        fingerprint = self._fingerprint(sessions)
        if all(session.judged == fingerprint for session in sessions):
            return []
        judged = await self._whole([session.parts for session in sessions], fresh)
        if most_restrictive(judged).decision.action is Action.ALLOW:
            for session in sessions:
                await self.spool.change(session, lambda known: replace(known, judged=fingerprint))
        return judged

    def _fingerprint(self, sessions: Sequence[Session]) -> str:
        pieces = [piece.sha256 for session in sessions for piece in session.parts.pieces]
        words = [self.case.context.activity, *self.step.order, *pieces]
        return hashlib.sha256("\n".join(words).encode()).hexdigest()

    async def _whole(self, objects: Sequence[Parts], fresh: dict[str, bytes]) -> list[Judged]:
        layouts: list[Layout] = [await run_steps(parts.layout(self.step.order)) for parts in objects]
        wanted = {each.piece.key: each.piece for layout in layouts for some in layout.segments for each in some}
        try:
            async with asyncio.timeout(self.judging.left(self.deadline)):
                missing = [piece for key, piece in wanted.items() if key not in fresh]
                data = {**await self.spool.load(missing), **fresh}
        except TimeoutError:
            return [self._uninspected(UninspectedReason.TIMEOUT, "the parts of the upload were not read in time")]
        if any(layout.missing for layout in layouts) or wanted.keys() - data.keys():
            return [self._uninspected(UninspectedReason.UNKNOWN_OBJECT, "not all of its parts were seen")]
        read = [await run_steps(readings(layout, data)) for layout in layouts]
        joined = Layout(
            segments=tuple(segment for layout in read for segment in layout.segments),
            ambiguous=any(layout.ambiguous for layout in read),
        )
        judged = [await self._judge(slices, data) for slices in variants(joined)]
        if joined.ambiguous:
            judged.append(self._uninspected(UninspectedReason.DEFAULT, "its parts contradict each other too often"))
        return judged

    async def _judge(self, slices: Sequence[Slice], data: dict[str, bytes]) -> Judged:
        body = await run_steps(join(slices, data))
        # What the parts were declared as is about the parts: the object is taken for what it is.
        head = replace(self.case.request, headers=())
        message = HttpMessage(head=head, body=body, direction=Direction.OUTBOUND, exchange=self.asked.exchange)
        return await self.judging.decide(self.case, message, deadline=self.deadline, asked=self.asked)

    def _uninspected(self, reason: UninspectedReason, detail: str) -> Judged:
        self.judging.missed(self.case, reason)
        return Judged(decision=decide_uninspected(self.case.policies, reason, f"an upload in parts: {detail}"))


def most_restrictive(judged: Sequence[Judged]) -> Judged:
    """Return one decision of several over the same transfer, with everything that was found, each once."""
    if not judged:
        return NOTHING_FOUND
    first = max(judged, key=lambda each: RESTRICTIVENESS.index(each.decision.action))
    ordered = [first, *(each for each in judged if each is not first)]
    findings: dict[tuple[str, ...], Finding] = {}
    for each in ordered:
        for finding in each.decision.findings:
            findings.setdefault((finding.policy, finding.kind, finding.sha256, finding.reason), finding)
    return Judged(
        decision=replace(first.decision, findings=tuple(findings.values())),
        judgements=tuple(judgement for each in ordered for judgement in each.judgements),
    )


def _differs(parts: Parts, step: UploadStep, digest: str) -> bool:
    """Tell whether a part stands where another one with other bytes did, and none with the same."""
    offset = None if step.offset is None and step.number else step.offset or 0
    known = [piece.sha256 for piece in parts.pieces if (piece.offset, piece.number) == (offset, step.number)]
    return bool(known) and digest not in known
