"""From a decision to what is done: passes that were given count, then redaction is tried, and all else is settled."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import replace

from proxy_addon.coaching.passes import Coaching
from proxy_addon.enforcement import Case, Enforcement, with_note
from proxy_addon.policies.failsafe import Failsafe
from proxy_addon.responses.redaction import Redaction
from proxy_addon.responses.reply import Reply, x_safelight
from proxy_addon.responses.rewriting import Framing, Rewritten
from proxy_addon.verdicts.judging import Judged
from shared.errors import RedactionError, RedactionRefusal
from shared.types import Action, Decision, HttpMessage, ImageJudgement

_log = logging.getLogger(__name__)


class Measures:
    """Carries decisions out; whatever breaks in it leaves the stricter outcome."""

    def __init__(self, enforcement: Enforcement, redaction: Redaction, coaching: Coaching, failsafe: Failsafe) -> None:
        self._enforcement = enforcement
        self._redaction = redaction
        self._coaching = coaching
        self._failsafe = failsafe

    async def settle(
        self, case: Case, decision: Decision, judgements: Sequence[ImageJudgement] = (), *, too_late: bool = False
    ) -> Reply | None:
        """Record a decision and return the answer where the transfer is not to pass; redaction means a block here."""
        if not too_late:
            decision = await self._excused(case, decision, judgements)
        if decision.action is Action.REDACT and not too_late:
            decision = not_redacted(decision, RedactionRefusal.NOT_POSSIBLE_HERE)

        def ticket(incident: str) -> str:
            return self._coaching.ticket(case, decision, judgements, incident)

        return await self._enforcement.settle(case, decision, judgements, too_late=too_late, ticket=ticket)

    def passed(self, case: Case, decision: Decision) -> None:
        """Settle a decision that has nothing to tell anybody."""
        self._enforcement.passed(case, decision)

    async def repeat(self, case: Case, decision: Decision, incident: str) -> Reply:
        """Return the reply to a block that has been recorded under ``incident``."""
        return await self._enforcement.repeat(case, decision, incident)

    async def settle_body(
        self, case: Case, judged: Judged, read: Callable[[], HttpMessage], framing: Framing = Framing.FREE
    ) -> Reply | Rewritten | None:
        """Return what is to pass in a body's place, the answer where nothing is to, or None."""
        decision = await self._excused(case, judged.decision, judged.judgements)
        if decision.action is not Action.REDACT:
            return await self.settle(case, decision, judged.judgements)

        async def rewrite() -> Rewritten | RedactionRefusal:
            try:
                return await self._redaction.rewrite(
                    read(), case.policies, judged.judgements, judged.parts, judged.deadline, framing
                )
            except RedactionError as error:
                _log.warning("blocked instead of redacted: %s", error)
                return error.reason

        rewritten = await self._failsafe.guard("redact", rewrite, lambda: RedactionRefusal.FAILED)
        if isinstance(rewritten, RedactionRefusal):
            blocked = not_redacted(decision, rewritten)
            return await self._enforcement.settle(case, blocked, judged.judgements)
        incident = await self._enforcement.record(case, decision, judged.judgements, Action.REDACT)
        return replace(rewritten, mark=x_safelight(Action.REDACT, decision.policy or "", incident))

    async def _excused(self, case: Case, decision: Decision, judgements: Sequence[ImageJudgement]) -> Decision:
        if decision.action is not Action.COACH:
            return decision
        return await self._failsafe.guard(
            "coach", lambda: self._coaching.excused(case, decision, judgements), lambda: decision
        )


def not_redacted(decision: Decision, reason: RedactionRefusal) -> Decision:
    """Return the block that a redaction comes down to, with the reason why."""
    return with_note(replace(decision, action=Action.BLOCK), f"not redacted: {reason}")
