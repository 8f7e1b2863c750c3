"""Carries out a decision: the alerts are durable, then the reply leaves."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Final, Protocol
from uuid import uuid4

from proxy_addon.policies.failsafe import Failsafe
from proxy_addon.reporting import incidents
from proxy_addon.responses.reply import Reply, block_reply, coach_reply, x_safelight
from proxy_addon.responses.trickle import Trickle
from shared.core.policy import Policy
from shared.ports import Clock
from shared.telemetry import Metrics
from shared.types import (
    Action,
    Activity,
    ActivityContext,
    Alert,
    Decision,
    Direction,
    HttpHead,
    HttpMessage,
    ImageJudgement,
    Mode,
    Selection,
    UninspectedReason,
)

COMMIT_SECONDS: Final = 2.0
"""A disk that does not answer holds a flow no longer than this; the alert is still written when it does."""

_BODILESS: Final = frozenset({"GET", "HEAD", "OPTIONS", "TRACE", "CONNECT"})
BlockReply = Callable[[HttpHead, Decision, str, Activity, tuple[int, int] | None], Reply]
_log = logging.getLogger(__name__)


class Recorder(Protocol):
    """Makes alerts durable."""

    async def commit(self, alerts: Sequence[Alert]) -> None:
        """Return once they are."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """A request, or one in a batch, and where its details are; None where that is not known."""

    message: HttpMessage
    selection: Selection | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One direction of an exchange, and the policies that apply to it.

    ``told_by_body``: they are all that could apply, and the body will say which do.  ``operations``: what the body was
    read to be, the requests of a batch for example; empty where the head says it all.  ``names_object``: the head names
    an object whose images were seen before.
    """

    request: HttpHead
    context: ActivityContext
    policies: tuple[Policy, ...]
    told_by_body: bool = False
    operations: tuple[Operation, ...] = ()
    names_object: bool = False
    trickle: Trickle = field(default_factory=Trickle, compare=False)
    """What of its body has left before the verdict."""
    uninspected: list[UninspectedReason] = field(default_factory=list, compare=False)
    """Filled while it is judged: why something in it could not be."""

    @property
    def says_without_body(self) -> bool:
        """Whether there is something to decide even if no body comes."""
        return self.told_by_body or self.names_object

    @property
    def sends_nothing(self) -> bool:
        """Whether a request only fetches: it is no upload, whatever the method may carry in theory."""
        generic = self.context.direction is Direction.OUTBOUND and self.context.activity is Activity.UPLOAD
        return generic and self.request.method in _BODILESS


class Enforcement:
    """Records and answers."""

    def __init__(
        self,
        recorder: Recorder,
        clock: Clock,
        metrics: Metrics,
        failsafe: Failsafe,
        reply: BlockReply = block_reply,
    ) -> None:
        self._recorder = recorder
        self._clock = clock
        self._metrics = metrics
        self._failsafe = failsafe
        self._block_reply = reply

    async def settle(
        self,
        case: Case,
        decision: Decision,
        judgements: Sequence[ImageJudgement] = (),
        *,
        too_late: bool = False,
        ticket: Callable[[str], str] | None = None,
    ) -> Reply | None:
        """Record a decision; return the reply where the transfer is not to pass.

        ``too_late``: the transfer has passed already, so the alerts say that nothing was enforced.  ``ticket`` makes
        what a coached user hands back, of the incident.
        """
        enforced = Action.ALLOW if too_late else decision.action
        left = case.trickle.close()
        if enforced is Action.ALLOW and not decision.findings:  # nothing to tell anybody
            self._count(decision, enforced)
            return None
        if left and enforced is not Action.ALLOW:
            decision = with_note(decision, f"cut off after {left} bytes")
        incident = await self.record(case, decision, judgements, enforced)
        if enforced is Action.ALLOW:
            return None
        return await self._answer(case, decision, incident, judgements, ticket)

    def passed(self, case: Case, decision: Decision) -> None:
        """Count a decision that lets a transfer pass and has nothing to tell anybody."""
        case.trickle.close()
        self._count(decision, Action.ALLOW)

    async def _answer(
        self,
        case: Case,
        decision: Decision,
        incident: str,
        judgements: Sequence[ImageJudgement],
        ticket: Callable[[str], str] | None,
    ) -> Reply:
        reply = await self._failsafe.guard(
            "reply",
            lambda: self._reply(case, decision, incident, judgements, ticket),
            lambda: bare_reply(decision, incident),
        )
        return replace(reply, incident=incident)

    async def record(
        self, case: Case, decision: Decision, judgements: Sequence[ImageJudgement], enforced: Action
    ) -> str:
        """Make the alerts of a decision durable; return the incident that the endpoint is told."""
        alerts = await self._failsafe.guard(
            "record", lambda: self._alerts(case, decision, judgements, enforced), lambda: ()
        )
        if alerts:
            await self._failsafe.guard("outbox", lambda: self._commit(alerts), lambda: None)
        return alerts[0].incident if alerts else uuid4().hex

    async def repeat(
        self, case: Case, decision: Decision, incident: str, judgements: Sequence[ImageJudgement] = ()
    ) -> Reply:
        """Return the reply to a block that has been recorded under ``incident``."""
        return await self._answer(case, decision, incident, judgements, None)

    async def _alerts(
        self, case: Case, decision: Decision, judgements: Sequence[ImageJudgement], enforced: Action
    ) -> tuple[Alert, ...]:
        self._count(decision, enforced)
        return incidents.alerts(
            decision,
            judgements,
            request=case.request,
            context=case.context,
            enforced=enforced,
            time=self._clock.wall(),
            new_id=lambda: uuid4().hex,
        )

    async def _commit(self, alerts: Sequence[Alert]) -> None:
        # Shielded: the thread that writes goes on anyway, and what it has written must be counted.
        commit = asyncio.get_running_loop().create_task(_commit(self._recorder, alerts))
        done, _ = await asyncio.wait({commit}, timeout=COMMIT_SECONDS)
        if not done:
            commit.add_done_callback(_report)
            raise TimeoutError(f"the outbox did not commit within {COMMIT_SECONDS} s")
        commit.result()

    async def _reply(
        self,
        case: Case,
        decision: Decision,
        incident: str,
        judgements: Sequence[ImageJudgement],
        ticket: Callable[[str], str] | None,
    ) -> Reply:
        size = incidents.image_size(decision, judgements)
        if decision.action is Action.COACH and ticket is not None:
            return coach_reply(case.request, decision, incident, case.context.activity, size, ticket(incident))
        # On the loop: the largest placeholder takes 0.7 ms.
        return self._block_reply(case.request, decision, incident, case.context.activity, size)

    def _count(self, decision: Decision, enforced: Action) -> None:
        self._metrics.count("safelight_proxy_decisions_total", action=enforced, mode=Mode.ENFORCE)
        for finding in decision.findings:
            if finding.mode is Mode.MONITOR:
                self._metrics.count("safelight_proxy_decisions_total", action=finding.action, mode=Mode.MONITOR)


def with_note(decision: Decision, note: str) -> Decision:
    """Return the decision with a note on the finding that decided."""
    first, *others = decision.findings
    noted = replace(first, note="; ".join(filter(None, (first.note, note))))
    return replace(decision, findings=(noted, *others))


def bare_reply(decision: Decision, incident: str) -> Reply:
    """Return a block that needs nothing: no template, no picture."""
    policy = (decision.policy or "").encode("ascii", "replace").decode()
    mark = x_safelight(decision.action, policy, incident)
    headers = (("Content-Length", "0"), ("Cache-Control", "no-store"), ("X-Safelight", mark))
    return Reply(status=403, headers=headers, body=b"")


async def _commit(recorder: Recorder, alerts: Sequence[Alert]) -> None:
    await recorder.commit(alerts)


def _report(commit: asyncio.Task[None]) -> None:
    error = None if commit.cancelled() else commit.exception()
    if error is not None:
        _log.error("an alert was lost: the outbox failed", exc_info=error)
