"""Judges uploads in several requests: parts are kept, and where the object is whole or is committed it is judged.

Before its last part or its commit nothing of an upload is visible to others, so that is the place to block.  A part is
looked into by itself too: what it holds whole needs no waiting.  What was blocked stays blocked: every further request
of that upload gets the same answer.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from proxy_addon.enforcement import Case
from proxy_addon.measures import not_redacted
from proxy_addon.runtime.stepping import run_steps
from proxy_addon.uploads.assembly import Assembly, most_restrictive
from proxy_addon.uploads.cancelling import Canceller, cancellation
from proxy_addon.uploads.downloads import Downloads, RangeNote
from proxy_addon.uploads.note import Note
from proxy_addon.uploads.recognition import Recognition
from proxy_addon.uploads.session import Refusal
from proxy_addon.uploads.spool import Spool
from proxy_addon.uploads.step import Step
from proxy_addon.verdicts.judging import Judged, Judging
from shared.errors import RedactionRefusal, StoreError
from shared.extract.pipeline import DEFAULT_LIMITS
from shared.extract.upload_steps import Learned, Taken, read_reply, read_steps
from shared.telemetry import Metrics
from shared.types import Action, Decision, HttpHead, HttpMessage, StepKind, UninspectedReason

_log = logging.getLogger(__name__)

MAX_KEPT_REQUEST: Final = 256 << 10
"""Bytes of a request that is remembered until its reply comes: what says more than that is no control message."""
_GONE: Final = frozenset({404, 410, 499})
"""How origins say that an upload which is to be cancelled is not there any more; 499 is Google's."""


class Uploads:
    """The uploads of one proxy; what it knows of them is in the store."""

    def __init__(
        self, recognition: Recognition, spool: Spool, judging: Judging, canceller: Canceller, metrics: Metrics
    ) -> None:
        self._downloads = Downloads(spool, judging)
        self._recognition = recognition
        self._spool = spool
        self._judging = judging
        self._canceller = canceller
        self._metrics = metrics

    def note(self, head: HttpHead) -> Note | None:
        """Return what to remember of a request that may be a step of an upload, None for any other."""
        selection = self._recognition.selection(head)
        return None if selection is None else Note(selection=selection)

    def range_note(self, request: HttpHead, response: HttpHead) -> RangeNote | None:
        """Return what to remember of a response that may be resumed or be a range, None for any other."""
        return self._downloads.note(request, response)

    def decide_at_once(self, case: Case, head: HttpHead, body: bytes) -> Decision | None:
        """Return the decision over a message that is no step of an upload, where it is known without waiting."""
        return self._judging.decide_at_once(case, head, body)

    async def decide(self, case: Case, message: HttpMessage, note: Note | RangeNote | None = None) -> Judged | Refusal:
        """Return the decision over a message; a refusal where it is of something that has been blocked before."""
        if note is None:
            return await self._judging.decide(case, message)
        if isinstance(note, RangeNote):
            return await self._downloads.decide(case, message, note)
        deadline = self._judging.deadline(case)
        taken: Taken = await run_steps(read_steps(note.selection, message, DEFAULT_LIMITS))
        note.steps = taken.steps
        note.request = message if len(message.body) <= MAX_KEPT_REQUEST else replace(message, body=b"")
        if not taken.steps:
            return await self._judging.decide(case, message)
        judged = await self._take(case, note, message, taken, deadline)
        if isinstance(judged, Refusal):
            self._count("refused")
            return judged
        if message.body and not _is_whole(taken, message, judged):
            partial = any(step.span for step in taken.steps)
            own = await self._judging.decide(case, message, deadline=deadline, partial=partial, learns=not judged)
            judged.append(own)
        return _not_redacted(most_restrictive(judged))

    async def _take(
        self, case: Case, note: Note, message: HttpMessage, taken: Taken, deadline: float
    ) -> list[Judged] | Refusal:
        judged: list[Judged] = []
        assembly = Assembly(self._spool, self._judging, case, message, deadline)
        try:
            for step in taken.steps:
                data = taken.body[slice(*step.span)] if step.span else b""
                outcome = await Step(self._spool, assembly, note, step).take(data)
                if isinstance(outcome, Refusal):
                    return outcome
                judged += outcome
        except StoreError as error:
            _log.warning("an upload in parts cannot be followed: %s", error)
            judged.append(assembly.uninspected(UninspectedReason.DEFAULT, "the store does not hold them"))
        return judged

    async def settled(self, note: Note | RangeNote, decision: Decision, incident: str) -> None:
        """Remember what became of a message; ``incident`` of the reply in its place, empty where it passed.

        An upload that is blocked is ended at its origin.
        """
        if isinstance(note, RangeNote):
            await self._downloads.settled(note, decision, incident)
        elif incident and decision.action is Action.BLOCK:
            await self._blocked(note, decision, incident)

    def passed(self, note: RangeNote) -> None:
        """Remember that a download has passed whole."""
        self._downloads.passed(note)

    async def _blocked(self, note: Note, decision: Decision, incident: str) -> None:
        self._count("blocked")
        refusal = Refusal.of(decision, incident)
        for session in note.sessions.values():
            try:
                await self._spool.change(session, lambda known: replace(known, refusal=refusal))
            except StoreError as error:
                _log.warning("that an upload is blocked is not remembered: %s", error)
            self._spool.finish(session)
        if note.selection.cancel is not None and note.request is not None:
            self._canceller.start(cancellation(note.request.head, note.selection.cancel))

    async def replied(self, note: Note, reply: HttpMessage) -> None:
        """Take in what the reply to a request tells of its upload."""
        try:
            await self._take_in(note, reply)
        except StoreError as error:
            _log.warning("what a reply tells of an upload is lost: %s", error)

    async def _take_in(self, note: Note, reply: HttpMessage) -> None:
        status = reply.head.status or 0
        if not note.steps or note.request is None or not (status < 400 or status in _GONE):
            return
        kind = note.steps[0].kind
        if kind is StepKind.CANCEL:
            for session in note.sessions.values():
                await self._spool.drop(session)
        elif status >= 400:
            return
        elif kind is StepKind.START or note.reads_body:
            await self._learn(note, note.request, reply)
        if kind is StepKind.COMMIT or any(session.parts.is_complete for session in note.sessions.values()):
            await self._finish(note)

    async def _learn(self, note: Note, request: HttpMessage, reply: HttpMessage) -> None:
        learned: Learned = await run_steps(read_reply(note.selection, request, reply))
        for session in note.sessions.values():
            named = await self._spool.change(session, lambda known: known.with_number(note.piece, learned.number))
            await self._spool.alias(learned.sessions, named)

    async def _finish(self, note: Note) -> None:
        self._count("passed")
        for session in note.sessions.values():
            await self._spool.change(session, lambda known: replace(known, finished=True))
            self._spool.finish(session)

    def _count(self, outcome: str) -> None:
        self._metrics.count("safelight_proxy_uploads_total", outcome=outcome)


def _not_redacted(judged: Judged) -> Judged:
    """Block where a picture would be redacted: what has left in earlier parts cannot be changed any more."""
    if judged.decision.action is not Action.REDACT:
        return judged
    return replace(judged, decision=not_redacted(judged.decision, RedactionRefusal.UPLOAD_SESSION))


def _is_whole(taken: Taken, message: HttpMessage, judged: Sequence[Judged]) -> bool:
    """Tell whether the request's body has been judged as the whole object already."""
    whole = any(step.span == (0, len(taken.body)) for step in taken.steps) and taken.body is message.body
    return whole and any(judgement.size == len(message.body) for each in judged for judgement in each.judgements)
