"""Downloads in ranges (RFC 9110, section 14): resumed ones, and those that fetch an object piece by piece.

What was blocked whole is not handed out in pieces: its address and its entity tag are remembered, and a 206 of either
gets the same answer.  A 206 of what was judged whole and passed, passes.  Of anything else the ranges are kept like
the parts of an upload, and where they cover the object it is judged; until then nobody can say what it is, and that
is for the policies' ``on_uninspected``.
"""

from __future__ import annotations

import logging
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from proxy_addon.enforcement import Case
from proxy_addon.measures import not_redacted
from proxy_addon.runtime.stepping import run_steps
from proxy_addon.uploads.assembly import Assembly, most_restrictive
from proxy_addon.uploads.session import Refusal, Session
from proxy_addon.uploads.spool import Spool
from proxy_addon.verdicts.judging import Judged, Judging
from shared.errors import ErrorCode, ExtractionError, RedactionRefusal, StoreError
from shared.extract.pipeline import DEFAULT_LIMITS
from shared.extract.ranges import Range, ranges_of, stable_address
from shared.types import Action, Decision, HttpHead, HttpMessage, UninspectedReason

MAX_PASSED: Final = 10_000
"""Downloads remembered as passed; one proxy serves fewer that are being resumed at any time."""
PARTIAL: Final = 206
_TOLD: Final = "told"
_IMAGELESS: Final = ("text/", "application/json", "application/javascript", "video/", "audio/", "font/")
_log = logging.getLogger(__name__)


@dataclass(slots=True, kw_only=True)
class RangeNote:
    """What is remembered of a response: the keys of its object, first that of the ranges."""

    keys: tuple[str, ...]
    partial: bool


class Downloads:
    """The ranges that have gone by."""

    def __init__(self, spool: Spool, judging: Judging) -> None:
        self._spool = spool
        self._judging = judging
        self._passed: OrderedDict[str, None] = OrderedDict()

    def note(self, request: HttpHead, response: HttpHead) -> RangeNote | None:
        """Return what to remember of a response, None where it can be neither resumed nor a range."""
        partial = response.status == PARTIAL
        resumable = response.status == 200 and response.header("accept-ranges").strip().lower() != "none"
        if request.method != "GET" or not (partial or resumable):
            return None
        address, tag = stable_address(request), _validator(response)
        keys = [f"range {address} {tag}", f"blocked {address}", *([f"blocked {request.host} {tag}"] if tag else [])]
        return RangeNote(keys=tuple(keys), partial=partial)

    async def decide(self, case: Case, message: HttpMessage, note: RangeNote) -> Judged | Refusal:
        """Return the decision over a response; a refusal where it is of a download that was blocked before."""
        if not note.partial:
            return await self._judging.decide(case, message)
        deadline = self._judging.deadline(case)
        assembly = Assembly(self._spool, self._judging, case, message, deadline)
        try:
            refusal = await self._refusal(case, note)
            if refusal is not None:
                return refusal
            if note.keys[0] in self._passed:
                return await self._judging.decide(case, message, deadline=deadline, partial=True)
            judged = await self._pieces(assembly, note)
        except StoreError as error:
            _log.warning("a download in ranges cannot be followed: %s", error)
            judged = [assembly.uninspected(UninspectedReason.DEFAULT, "the store does not hold them")]
        judged.append(await self._judging.decide(case, message, deadline=deadline, partial=True))
        outcome = most_restrictive(judged)
        if outcome.decision.action is not Action.REDACT:
            return outcome
        return replace(outcome, decision=not_redacted(outcome.decision, RedactionRefusal.PARTIAL_CONTENT))

    def passed(self, note: RangeNote) -> None:
        """Remember that a download has passed whole: its ranges may."""
        if not note.partial:
            self._passed[note.keys[0]] = None
            while len(self._passed) > MAX_PASSED:
                self._passed.popitem(last=False)

    async def settled(self, note: RangeNote, decision: Decision, incident: str) -> None:
        """Remember what became of a response; ``incident`` of the reply in its place, empty where it passed."""
        if not incident:
            self.passed(note)
            return
        # What could not be inspected is decided anew each time: a later answer may be the whole object.
        if decision.action is not Action.BLOCK or decision.findings[0].kind != "match":
            return
        refusal = Refusal.of(decision, incident)
        for key in note.keys[1:]:
            try:
                session = await self._spool.open(key)
                await self._spool.change(session, lambda known: replace(known, refusal=refusal))
            except StoreError as error:
                _log.warning("that a download is blocked is not remembered: %s", error)

    async def _refusal(self, case: Case, note: RangeNote) -> Refusal | None:
        acting = {policy.name for policy in case.policies if policy.acts}
        for key in note.keys[1:]:
            session = await self._spool.find(key)
            if session is not None and session.refusal is not None and session.refusal.policy in acting:
                return session.refusal
        return None

    async def _pieces(self, assembly: Assembly, note: RangeNote) -> list[Judged]:
        found: Sequence[Range] = await run_steps(ranges_of(assembly.asked, DEFAULT_LIMITS))
        session = await self._spool.open(note.keys[0])
        fresh: dict[str, bytes] = {}
        try:
            for each in found:
                session, key = await self._keep(session, each, assembly.asked.body)
                fresh[key] = assembly.asked.body[each.begin : each.end]
        except ExtractionError as error:
            return await self._once(session, assembly.uninspected(UninspectedReason.TOO_LARGE, str(error)))
        if session.parts.is_complete:
            return await assembly.whole([session.parts], fresh)
        if assembly.asked.head.header("content-type").strip().lower().startswith(_IMAGELESS):
            return []
        unknown = assembly.uninspected(UninspectedReason.UNKNOWN_OBJECT, "the other ranges were not seen")
        return await self._once(session, unknown)

    async def _keep(self, session: Session, found: Range, body: bytes) -> tuple[Session, str]:
        limits = self._spool.limits
        if (found.total or 0) > limits.max_bytes:
            raise ExtractionError(ErrorCode.OVER_BUDGET, f"it has more than {limits.max_bytes} bytes")
        data = body[found.begin : found.end]
        piece = await self._spool.keep(session, data, offset=found.offset, number="")
        changed = await self._spool.change(session, lambda known: known.with_piece(piece, found.total, limits))
        # Whoever fetches ranges can fetch them again: uploads have the room first.
        self._spool.finish(changed)
        return changed, piece.key

    async def _once(self, session: Session, judged: Judged) -> list[Judged]:
        """Return what is decided; where it changes nothing it is told once for a download, not for every range."""
        if judged.decision.action is not Action.ALLOW:
            return [judged]
        if session.judged == _TOLD:
            return []
        await self._spool.change(session, lambda known: replace(known, judged=_TOLD))
        return [judged]


def _validator(response: HttpHead) -> str:
    """Return what tells versions of an object apart; weak tags do not (RFC 9110, section 8.8.3)."""
    tag = response.header("etag").strip()
    return "" if tag.startswith("W/") else tag[:256]
