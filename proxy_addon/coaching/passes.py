"""Asks for a reason, and lets through whoever gave one: for this image, this user, this policy and a few minutes.

A transfer that is coached is answered with a *ticket*, sealed with the deployment's key: who was stopped, over what, by
which policy.  The ticket alone lets nothing through.  Handed back together with a reason it makes a *pass* in the
store, which every proxy of the deployment looks for when the same user sends the same images again, also after a
restart.  A pass is found by what it is for, so a program that tries again needs to know nothing of it.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import hashlib
import json
from collections.abc import Coroutine, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Final

from proxy_addon.enforcement import Case
from shared.core.policy import Policy, decide
from shared.core.redaction import matched_images
from shared.errors import IntegrityError, StoreError
from shared.ports import Clock, Store
from shared.sealing import Sealer
from shared.telemetry import Metrics
from shared.types import Action, Decision, Finding, ImageJudgement

MIN_REASON: Final = 5
MAX_REASON: Final = 500
"""Characters of a reason, after the blanks around it are gone."""
MAX_TICKET: Final = 4096
STORE_SECONDS: Final = 2.0
"""How long the store is waited for; without it there is no pass, and the user is asked again."""
_TICKET_PLACE: Final = "coach/ticket"
_PASSES: Final = "coach/pass/"


@dataclass(frozen=True, slots=True, kw_only=True)
class Ticket:
    """What was stopped.  ``what`` stands for the images, or for the transfer where no image was asked about.

    ``until`` is wall time in seconds: the ticket's own end, and that of a pass given now is ``minutes`` away.
    """

    policy: str
    who: str
    what: str
    host: str
    activity: str
    incident: str
    minutes: int
    until: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Pass:
    """A reason that was given: for which incident, and until when (wall time in seconds) it counts."""

    reason: str
    incident: str
    until: float


class Coaching:
    """Makes tickets and passes, and knows who has one."""

    def __init__(self, store: Store, sealer: Sealer, clock: Clock, metrics: Metrics) -> None:
        self._store = store
        self._sealer = sealer
        self._clock = clock
        self._metrics = metrics
        self._calls: set[asyncio.Task[Any]] = set()

    async def excused(self, case: Case, decision: Decision, judgements: Sequence[ImageJudgement]) -> Decision:
        """Return what is left of a decision once the policies that were given a reason are taken out.

        Where the store does not answer nothing is.
        """
        remaining, justified = case.policies, list[Finding]()
        while decision.action is Action.COACH:
            policy = next(each for each in remaining if each.name == decision.policy)
            given = await self._pass(_key(self._sealer, policy.name, _who(case), _what(case, policy, judgements)))
            if given is None:
                break
            justified += [_justified(each, given) for each in decision.findings if each.policy == policy.name]
            remaining = tuple(each for each in remaining if each is not policy)
            decision = decide(remaining, judgements)
            self._metrics.count("safelight_proxy_coaching_total", outcome="passed")
        if not justified:
            return decision
        # The record of the decision comes first, where one is left that acts; else that of the reason.
        acting = decision.findings if decision.action is not Action.ALLOW else ()
        others = () if acting else decision.findings
        return replace(decision, findings=(*acting, *justified, *others))

    def ticket(self, case: Case, decision: Decision, judgements: Sequence[ImageJudgement], incident: str) -> str:
        """Return a ticket, fit for a URL."""
        policy = next(each for each in case.policies if each.name == decision.policy)
        ticket = Ticket(
            policy=policy.name,
            who=_who(case),
            what=_what(case, policy, judgements),
            host=case.request.host,
            activity=case.context.activity,
            incident=incident,
            minutes=policy.pass_minutes,
            until=self._clock.wall() + policy.pass_minutes * 60,
        )
        self._metrics.count("safelight_proxy_coaching_total", outcome="asked")
        sealed = self._sealer.seal(json.dumps(asdict(ticket)).encode(), _TICKET_PLACE)
        return base64.urlsafe_b64encode(sealed).decode().rstrip("=")

    def opened(self, text: str, who: str, host: str) -> Ticket | None:
        """Return the ticket where it is one of this deployment, of this user and host, and has not run out."""
        if len(text) > MAX_TICKET or not text.isascii():
            return None
        try:
            sealed = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
            ticket = Ticket(**json.loads(self._sealer.open(sealed, _TICKET_PLACE)))
        except (binascii.Error, ValueError, IntegrityError):
            return None
        fits = ticket.who == who and ticket.host == host and self._clock.wall() < ticket.until
        return ticket if fits else None

    async def grant(self, ticket: Ticket, reason: str) -> Pass:
        """Make a pass, which every proxy knows when this returns.  Raises StoreError."""
        now = self._clock.wall()
        given = Pass(reason=reason, incident=ticket.incident, until=now + ticket.minutes * 60)
        key = _key(self._sealer, ticket.policy, ticket.who, ticket.what)
        value = self._sealer.seal(json.dumps(asdict(given)).encode(), key)
        earlier = await self._call(self._store.get(key))
        version = None if earlier is None else earlier.version
        # Somebody who was first has given a reason as well: that pass will do.
        await self._call(self._store.compare_and_set(key, version, value, ttl=ticket.minutes * 60.0))
        self._metrics.count("safelight_proxy_coaching_total", outcome="justified")
        return given

    async def _pass(self, key: str) -> Pass | None:
        try:
            stored = await self._call(self._store.get(key))
            if stored is None:
                return None
            given = Pass(**json.loads(self._sealer.open(stored.value, key)))
        except (StoreError, IntegrityError):
            self._metrics.count("safelight_store_errors_total", operation="coach")
            return None
        return given if self._clock.wall() < given.until else None

    async def _call[T](self, call: Coroutine[Any, Any, T]) -> T:
        # In a task of its own: a store's connection must not be cancelled within a command.
        task = asyncio.get_running_loop().create_task(call)
        self._calls.add(task)
        task.add_done_callback(self._calls.discard)
        done, _ = await asyncio.wait({task}, timeout=STORE_SECONDS)
        if not done:
            raise StoreError(f"the store did not answer within {STORE_SECONDS:g} s")
        return task.result()


def reason_error(reason: str) -> str:
    """Return what is wrong with a reason, or an empty string."""
    if len(reason) < MIN_REASON:
        return f"Please give a reason of at least {MIN_REASON} characters."
    return f"Please keep the reason within {MAX_REASON} characters." if len(reason) > MAX_REASON else ""


def _who(case: Case) -> str:
    return who(case.context.actor.user, case.context.actor.ip)


def who(user: str, ip: str) -> str:
    """Return whom a pass is for: the user where one is known, else the address."""
    return f"user:{user}" if user else f"ip:{ip}"


def _what(case: Case, policy: Policy, judgements: Sequence[ImageJudgement]) -> str:
    if policy.images is None:
        request = case.request
        parts = [str(case.context.activity), request.host, str(request.port), request.path]
    else:
        parts = sorted({each.sha256 for each in matched_images(policy, judgements)})
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


def _key(sealer: Sealer, policy: str, who: str, what: str) -> str:
    """Return a pass's key: keyed, so that who reads the store's keys learns nobody's name."""
    return _PASSES + sealer.sign(json.dumps(["coach", policy, who, what]).encode()).hex()


def _justified(finding: Finding, given: Pass) -> Finding:
    note = f"a reason was given for incident {given.incident}"
    return replace(finding, kind="justified", action=Action.ALLOW, justification=given.reason, note=note)
