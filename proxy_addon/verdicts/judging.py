"""From a body to a decision: take it apart, ask for verdicts, decide; by the deadline, whatever happens."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final, Protocol

from proxy_addon.enforcement import Case
from proxy_addon.runtime.stepping import StepsTooLate, run_steps
from proxy_addon.verdicts.containers import images_of
from proxy_addon.verdicts.decode_budget import sender_of
from shared.core.objects import NAMING
from shared.core.policy import (
    DEFAULT_DEADLINE_MS,
    REASON_OF_ERROR,
    Policy,
    classifiers_named,
    decide,
    decide_uninspected,
    near_cache_allowed,
    wait_ms,
)
from shared.extract.pipeline import (
    DEFAULT_LIMITS,
    Extraction,
    Limits,
    Problem,
    Steps,
    extract_steps,
    only_picture,
)
from shared.extract.sniff import SNIFF_BYTES, sniff
from shared.ports import Clock
from shared.telemetry import Metrics
from shared.types import (
    Action,
    Decision,
    Direction,
    HttpHead,
    HttpMessage,
    ImageJudgement,
    Inquiry,
    Part,
    Priority,
    UninspectedReason,
    Verdict,
)

STRAIGHT_THROUGH_BYTES: Final = 64 << 10
"""Bodies up to here are taken apart in one go: less than the time of one step."""
HASHED_THROUGH_BYTES: Final = 256 << 10
"""Pictures up to here are as well: nothing is done with them but to hash them, for 0.2 to 0.8 ms."""

PRIORITY_OF: Final[Mapping[Direction, Priority]] = MappingProxyType(
    {Direction.OUTBOUND: Priority.UPLOAD, Direction.INBOUND: Priority.DOWNLOAD}
)
"""What leaves cannot be called back, so it is judged before what comes in."""

Extract = Callable[[HttpMessage, Limits], Steps[Extraction]]


class Judge(Protocol):
    """Asks for verdicts."""

    async def verdicts(self, parts: Sequence[Part], inquiry: Inquiry) -> list[ImageJudgement]:
        """Return one judgement for each part, in order, by the deadline of ``inquiry`` at the latest."""
        ...

    def recall(self, part: Part, classifiers: tuple[str, ...]) -> ImageJudgement | None:
        """Return the judgement of an image whose verdict is known, None where it has to be asked for."""
        ...


def judgement_of(part: Part, known: Verdict | UninspectedReason) -> ImageJudgement:
    """Return what is known of an image: its verdict, or why there is none."""
    return ImageJudgement(
        locator=part.locator,
        sha256=part.sha256,
        size=len(part.data),
        name=part.name,
        verdict=known if isinstance(known, Verdict) else None,
        uninspected=None if isinstance(known, Verdict) else known,
    )


Learn = Callable[[Sequence[ImageJudgement]], None]
"""Takes what was judged of an object."""


class Objects(Protocol):
    """Remembers the objects of applications."""

    async def begin(self, case: Case, message: HttpMessage) -> Learn:
        """Return where to tell what the images of ``message`` are judged."""
        ...

    async def recall(self, case: Case, message: HttpMessage, deadline: float) -> tuple[ImageJudgement, ...]:
        """Return the judgements of objects that ``message`` names, by ``deadline`` (monotonic seconds)."""
        ...


class NoObjects:
    """Remembers nothing."""

    async def begin(self, case: Case, message: HttpMessage) -> Learn:
        """Return a place where nothing is kept."""
        return lambda _: None

    async def recall(self, case: Case, message: HttpMessage, deadline: float) -> tuple[ImageJudgement, ...]:
        """Return nothing."""
        return ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """A decision and what it rests on; ``deadline`` (monotonic) is until when the transfer is held."""

    decision: Decision
    judgements: tuple[ImageJudgement, ...] = ()
    parts: tuple[Part, ...] = ()
    deadline: float = 0.0


NOTHING_FOUND: Final = Judged(decision=Decision(action=Action.ALLOW))


@dataclass(frozen=True, slots=True)
class _Glance:
    """What was found out at once of the message that is judged next: it is hashed once."""

    head: HttpHead
    body: bytes
    extraction: Extraction
    judgement: ImageJudgement | None  # where its verdict is known


class Judging:
    """Judges whole messages."""

    def __init__(
        self,
        judge: Judge,
        clock: Clock,
        metrics: Metrics,
        *,
        limits: Limits = DEFAULT_LIMITS,
        extract: Extract = extract_steps,
        objects: Objects | None = None,
    ) -> None:
        self._judge = judge
        self._clock = clock
        self._metrics = metrics
        self._limits = limits
        self._extract = extract
        self._objects = objects or NoObjects()
        self._named: tuple[Sequence[Policy], tuple[str, ...]] = ((), ())
        self._glance: _Glance | None = None

    async def names_what_was_judged(self, case: Case, message: HttpMessage) -> None:
        """Let the reply to ``message`` name an object that was judged with an earlier request of its upload."""
        await self._objects.begin(case, message)

    def deadline(self, case: Case) -> float:
        """Return until when (monotonic seconds) a transfer that waits from now on may wait."""
        return self._clock.monotonic() + patience_ms(case.policies) / 1000

    def left(self, deadline: float) -> float:
        """Return the seconds until a deadline, 0 past it."""
        return max(0.0, deadline - self._clock.monotonic())

    def decide_at_once(self, case: Case, head: HttpHead, body: bytes) -> Decision | None:
        """Return what ``decide`` would over a body that is one picture whose verdict is known, where it may pass.

        Else None, and ``decide`` is asked next: it takes over what was found out here.  Only where no application is
        known: to one, the picture may be an object to remember.
        """
        self._glance = None
        if case.context.app or case.context.activity in NAMING or len(body) > HASHED_THROUGH_BYTES:
            return None
        begun = self._clock.monotonic()
        part = only_picture(head, body)
        if part is None:
            return None
        opened = self._clock.monotonic()
        judgement = self._judge.recall(part, self._classifiers(case.policies))
        verdict = None if judgement is None else judgement.verdict
        if judgement is not None and verdict is not None and verdict.error is None and verdict.container is None:
            decision = decide(case.policies, (judgement,))
            if decision.action is Action.ALLOW and not decision.findings:
                self._metrics.observe("safelight_proxy_extract_seconds", opened - begun)
                self._metrics.count("safelight_proxy_images_total", direction=case.context.direction)
                self._metrics.observe("safelight_proxy_verdict_seconds", self._clock.monotonic() - opened)
                return decision
        self._glance = _Glance(head, body, Extraction(parts=(part,)), judgement)
        return None

    def _glanced(self, message: HttpMessage) -> _Glance | None:
        glance, self._glance = self._glance, None
        same = glance is not None and glance.head is message.head and glance.body is message.body
        return glance if same else None

    def _classifiers(self, policies: Sequence[Policy]) -> tuple[str, ...]:
        if policies is not self._named[0]:
            self._named = policies, classifiers_named(policies)
        return self._named[1]

    async def decide(
        self,
        case: Case,
        message: HttpMessage,
        *,
        deadline: float | None = None,
        partial: bool = False,
        asked: HttpMessage | None = None,
        learns: bool = True,
    ) -> Judged:
        """Return the decision over a message whose body has just become complete.

        ``partial``: it is part of an object that is judged later as a whole, so only what it holds whole counts.
        ``asked``: the request that completes the object, where ``message`` is put together from several.
        ``learns``: what is judged is what the object in question holds.
        """
        begun, glance = self._clock.monotonic(), self._glanced(message)
        deadline = self.deadline(case) if deadline is None else deadline
        learn = await self._objects.begin(case, asked or message) if learns and not partial else _nothing
        extraction = await self._take_apart(message, deadline) if glance is None else glance.extraction
        opened = self._clock.monotonic()
        self._metrics.observe("safelight_proxy_extract_seconds", opened - begun)
        if extraction is None and partial:
            return NOTHING_FOUND
        if extraction is None:
            self.missed(case, UninspectedReason.TIMEOUT)
            late = decide_uninspected(case.policies, UninspectedReason.TIMEOUT, "the body was not taken apart in time")
            return Judged(decision=late)
        judgements = _unopened(extraction.problems)
        self._count(message, extraction)
        if extraction.parts:
            known = None if glance is None else glance.judgement
            judged = [known] if known is not None else await self._ask(case, message, extraction, deadline)
            judgements += tuple(image for each in judged for image in images_of(each))
            self._metrics.observe("safelight_proxy_verdict_seconds", self._clock.monotonic() - opened)
        learn(judgements)
        if partial:
            judgements = tuple(each for each in judgements if each.verdict is not None and each.verdict.error is None)
        if case.policies and asked is None:
            judgements += await self._objects.recall(case, message, deadline)
        self._count_uninspected(case, judgements)
        decision = decide(case.policies, judgements)
        return Judged(decision=decision, judgements=judgements, parts=extraction.parts, deadline=deadline)

    async def _ask(
        self, case: Case, message: HttpMessage, extraction: Extraction, deadline: float
    ) -> list[ImageJudgement]:
        inquiry = Inquiry(
            deadline=deadline,
            priority=PRIORITY_OF[message.direction],
            classifiers=self._classifiers(case.policies),
            sender=sender_of(case.context.actor),
            near_cache=near_cache_allowed(case.policies),
        )
        return await self._judge.verdicts(extraction.parts, inquiry)

    async def _take_apart(self, message: HttpMessage, deadline: float) -> Extraction | None:
        steps = self._extract(message, self._limits)
        try:
            return await run_steps(steps, late=lambda: self._clock.monotonic() >= deadline, turns=_is_long(message))
        except StepsTooLate:
            return None

    def _count(self, message: HttpMessage, extraction: Extraction) -> None:
        count = self._metrics.count
        count("safelight_proxy_images_total", len(extraction.parts), direction=message.direction)
        for problem in extraction.problems:
            count("safelight_proxy_limit_hits_total", limit=problem.code)

    def missed(self, case: Case, reason: UninspectedReason) -> None:
        """Note and count that something of a transfer was not inspected."""
        self._metrics.count("safelight_proxy_uninspected_total", reason=reason)
        case.uninspected.append(reason)

    def _count_uninspected(self, case: Case, judgements: Sequence[ImageJudgement]) -> None:
        for judgement in judgements:
            reason = judgement.uninspected
            if judgement.verdict is not None and judgement.verdict.error is not None:
                reason = REASON_OF_ERROR.get(judgement.verdict.error.code)
            if reason is not None:
                self.missed(case, reason)


def _is_long(message: HttpMessage) -> bool:
    """Tell whether the other flows have their turns while a message is taken apart."""
    size = len(message.body)
    if size > HASHED_THROUGH_BYTES or message.head.header("content-encoding"):
        return True
    return size > STRAIGHT_THROUGH_BYTES and sniff(message.body[:SNIFF_BYTES]) is None


def _nothing(_: Sequence[ImageJudgement]) -> None:
    """Learn nothing."""


def patience_ms(policies: Sequence[Policy]) -> int:
    """Return how long a verdict is waited for: by the flow, or behind its back where all policies only monitor, or
    where there are none and an object is only to be remembered."""
    return wait_ms(policies) or max((policy.deadline_ms for policy in policies), default=DEFAULT_DEADLINE_MS)


def _unopened(problems: Sequence[Problem]) -> tuple[ImageJudgement, ...]:
    return tuple(
        ImageJudgement(locator=problem.locator, sha256="", size=problem.size, uninspected=reason)
        for problem in problems
        if (reason := REASON_OF_ERROR.get(problem.code)) is not None
    )
