"""Policies, and the one place where a decision is made.

A verdict is a fact about an image; what follows from it is a policy's and needs the transfer's context.  The head of
a transfer decides which policies could apply at all (``applicable``); then the judgements of its images decide
(``decide``).  A policy without image conditions is about the transfer itself and is decided on the head.

Every policy that matches is recorded, at most once for its matches and once for what could not be inspected, naming
the image that says most.  Of those that enforce, the most restrictive action wins, on a tie the first in the file.
Whatever could not be inspected is a finding with the action its policy has for the reason: never silence.

An action that takes a file from its owner (DESTRUCTIVE) needs a proven match, see ``policy_conditions``.  Where one
matcher alone says so the file is tagged instead, and the finding's reason tells the SOC.
"""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from functools import lru_cache
from types import MappingProxyType
from typing import Final, Literal

from shared.core.policy_conditions import Fact, ImageConditions
from shared.errors import ErrorCode
from shared.types import (
    RESTRICTIVENESS,
    Account,
    Action,
    Activity,
    ActivityContext,
    Decision,
    Direction,
    Finding,
    ImageJudgement,
    Mode,
    Obscuring,
    Severity,
    UninspectedReason,
)

DEFAULT_DEADLINE_MS: Final = 1500
DEFAULT_PASS_MINUTES: Final = 15
"""How long a user who has given a reason is let through: time to try again, not a licence."""
TAG_PREFIX: Final = "tag:"
ANY: Final = "*"

TRANSFER_ACTIONS: Final = frozenset({Action.ALLOW, Action.COACH, Action.REDACT, Action.BLOCK})
"""What a policy can do to a transfer; the other actions are for scans of hosted stores."""

DESTRUCTIVE: Final = frozenset({Action.DELETE, Action.QUARANTINE})
"""What takes a file from its owner."""

UNPROVEN: Final = Action.TAG
"""What a destructive action comes down to where nothing proves the match."""

REASON_OF_ERROR: Final[Mapping[ErrorCode, UninspectedReason]] = MappingProxyType(
    {
        ErrorCode.UNSUPPORTED_FORMAT: UninspectedReason.UNDECODABLE,
        ErrorCode.CORRUPT: UninspectedReason.UNDECODABLE,
        ErrorCode.TRUNCATED: UninspectedReason.UNDECODABLE,
        ErrorCode.TOO_LARGE: UninspectedReason.TOO_LARGE,
        ErrorCode.TOO_MANY_PIXELS: UninspectedReason.TOO_LARGE,
        ErrorCode.OVER_BUDGET: UninspectedReason.TOO_LARGE,
        ErrorCode.ENCRYPTED: UninspectedReason.ENCRYPTED,
        ErrorCode.OPAQUE: UninspectedReason.OPAQUE,
        ErrorCode.DECODE_TIMEOUT: UninspectedReason.UNDECODABLE,
        ErrorCode.DECODER_CRASHED: UninspectedReason.UNDECODABLE,
        ErrorCode.TOO_LATE: UninspectedReason.TIMEOUT,
        ErrorCode.ENCODER_UNAVAILABLE: UninspectedReason.DEFAULT,
        ErrorCode.INTERNAL_ERROR: UninspectedReason.DEFAULT,
    }
)
"""Every verdict error but ``not_an_image`` is an image that was not inspected."""

_ALSO: Final[Mapping[UninspectedReason, UninspectedReason]] = MappingProxyType(
    {
        UninspectedReason.DECODE_BUDGET: UninspectedReason.OVERLOADED,
        UninspectedReason.OVERLOADED: UninspectedReason.TIMEOUT,
    }
)
"""What a reason that a policy does not list is a kind of."""

_PATTERNS: Final = 4096  # compiled patterns kept; far more than the selectors of any policy file in use


@dataclass(frozen=True, slots=True, kw_only=True)
class Selectors:
    """What the head of a transfer must be like.  An empty selector admits everything; all that are set must admit.

    ``apps`` holds names of the catalogue and ``tag:NAME``; ``hosts``, ``users``, ``groups`` and ``devices`` hold
    patterns with ``*``, compared without regard to case.  ``*`` admits what is unknown, too.
    """

    activities: frozenset[Activity] = frozenset()
    direction: frozenset[Direction] = frozenset()
    accounts: frozenset[Account] = frozenset()
    apps: tuple[str, ...] = ()
    hosts: tuple[str, ...] = ()
    users: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()
    devices: tuple[str, ...] = ()

    def admits(self, context: ActivityContext) -> bool:
        """Tell whether a transfer fits."""
        actor = context.actor
        return (
            (not self.activities or context.activity in self.activities)
            and (not self.direction or context.direction in self.direction)
            and (not self.accounts or context.account in self.accounts)
            and (not self.apps or any(_is_app(name, context) for name in self.apps))
            and _fits(self.hosts, [context.host.rstrip(".")])
            and _fits(self.users, [actor.user])
            and _fits(self.groups, actor.groups or [""])
            and _fits(self.devices, [actor.device])
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Exemption:
    """Transfers that a policy leaves alone, through the day ``until`` (None: for ever)."""

    selectors: Selectors
    until: date | None = None
    ticket: str = ""

    def in_force(self, today: date) -> bool:
        """Tell whether the exemption has not run out."""
        return self.until is None or today <= self.until


@dataclass(frozen=True, slots=True, kw_only=True)
class OnUninspected:
    """What happens to what could not be inspected; a reason that is not listed gets ``default``.

    Being overloaded is a way to be late: where it is not listed, what ``timeout`` says holds.  A sender whose decode
    budget is spent is overloaded for itself: where it is not listed, what ``overloaded`` says holds.
    """

    default: Action = Action.ALLOW
    by_reason: Mapping[UninspectedReason, Action] = field(default_factory=lambda: MappingProxyType({}))

    def action(self, reason: UninspectedReason) -> Action:
        """Return the action for a reason."""
        known: UninspectedReason | None = reason
        while known is not None and known not in self.by_reason:
            known = _ALSO.get(known)
        return self.default if known is None else self.by_reason[known]


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """One policy.  ``images`` is None where it is about the transfer itself; ``deadline_ms`` is how long it waits.

    ``pass_minutes``: how long a reason given to a coaching page counts.  ``redact_how``: what redaction does.
    ``near_cache``: the verdict on an image of nearly the same PDQ hash will do.
    """

    name: str
    action: Action
    when: Selectors = Selectors()
    images: ImageConditions | None = None
    exemptions: tuple[Exemption, ...] = ()
    notify: tuple[str, ...] = ("admin",)
    severity: Severity = Severity.MEDIUM
    mode: Mode = Mode.ENFORCE
    on_uninspected: OnUninspected = field(default_factory=OnUninspected)
    deadline_ms: int = DEFAULT_DEADLINE_MS
    pass_minutes: int = DEFAULT_PASS_MINUTES
    redact_how: Obscuring = Obscuring.BOX
    near_cache: bool = False

    @property
    def for_transfers(self) -> bool:
        """Whether its action is one for transfers, not for scans of hosted stores."""
        return self.action in TRANSFER_ACTIONS

    @property
    def acts(self) -> bool:
        """Whether it can change what happens to a transfer."""
        return self.mode is Mode.ENFORCE and self.for_transfers


def applicable(policies: Iterable[Policy], context: ActivityContext, now: datetime) -> tuple[Policy, ...]:
    """Return the policies that the head of a transfer leaves possible, in their order.

    Policies whose action is for scans are none of them.  Exemptions run out at the end of their last day in the time
    zone of ``now``.
    """
    today = now.date()
    return tuple(
        policy
        for policy in policies
        if policy.for_transfers
        and policy.when.admits(context)
        and not any(each.in_force(today) and each.selectors.admits(context) for each in policy.exemptions)
    )


def needs_images(policies: Iterable[Policy]) -> bool:
    """Tell whether any of the policies asks something of an image."""
    return any(policy.images is not None for policy in policies)


def classifiers_named(policies: Iterable[Policy]) -> tuple[str, ...]:
    """Return the classifiers whose labels the policies ask for, sorted: what an image has to be shown to."""
    named = (policy.images.classifiers for policy in policies if policy.images is not None)
    return tuple(sorted(frozenset[str]().union(*named)))


def near_cache_allowed(policies: Iterable[Policy]) -> bool:
    """Tell whether what was said of an image that looks alike will do for all policies that ask something of images."""
    return all([policy.near_cache for policy in policies if policy.images is not None] or [False])


def wait_ms(policies: Iterable[Policy]) -> int:
    """Return how many milliseconds a transfer waits for verdicts at most: 0 where none can change what happens."""
    return max((policy.deadline_ms for policy in policies if policy.acts and policy.images is not None), default=0)


def decide(policies: Sequence[Policy], judgements: Sequence[ImageJudgement]) -> Decision:
    """Decide over a transfer whose images were judged; ``policies`` are the applicable ones."""
    return _merge((policy, _findings(policy, judgements)) for policy in policies)


def decide_uninspected(policies: Sequence[Policy], reason: UninspectedReason, detail: str) -> Decision:
    """Decide over a transfer that as a whole could not be inspected; ``detail`` is for the SOC."""
    unknown = ImageJudgement(locator="", sha256="", size=0, uninspected=reason)
    return _merge((policy, _findings(policy, [unknown], detail)) for policy in policies)


def _findings(policy: Policy, judgements: Sequence[ImageJudgement], detail: str = "") -> list[Finding]:
    if policy.images is None:
        return [_finding(policy, "match", policy.action, "the transfer itself")]
    both = [_match(policy, policy.images, judgements), _missed(policy, policy.images, judgements, detail)]
    return [finding for finding in both if finding is not None]


type _Found = tuple[Fact, ImageJudgement]


def _match(policy: Policy, images: ImageConditions, judgements: Sequence[ImageJudgement]) -> Finding | None:
    if policy.action not in DESTRUCTIVE:
        return _best(policy, policy.action, _facts(images, judgements))
    proven = _best(policy, policy.action, _facts(images, judgements, proven=True))
    note = f"; one matcher alone, so {UNPROVEN} instead of {policy.action}"
    return proven or _best(policy, UNPROVEN, _facts(images, judgements), note)


def _facts(images: ImageConditions, judgements: Sequence[ImageJudgement], *, proven: bool = False) -> list[_Found]:
    return [
        (fact, judgement)
        for judgement in judgements
        if judgement.verdict is not None and (fact := images.fact(judgement.verdict, proven=proven)) is not None
    ]


def _best(policy: Policy, action: Action, found: Sequence[_Found], note: str = "") -> Finding | None:
    if not found:
        return None
    fact, judgement = max(found, key=lambda pair: -1.0 if pair[0].score is None else pair[0].score)
    return _finding(policy, "match", action, fact.reason + _others(len(found)) + note, judgement, fact)


def _missed(
    policy: Policy, images: ImageConditions, judgements: Sequence[ImageJudgement], detail: str
) -> Finding | None:
    missed = [(*why, judgement) for judgement in judgements if (why := _why_missed(images, judgement)) is not None]
    if not missed:
        return None
    action_for = policy.on_uninspected.action
    reason, cause, judgement = max(missed, key=lambda each: RESTRICTIVENESS.index(action_for(each[0])))
    details = (detail or cause) + _others(len(missed))
    text = f"{reason}: {details.strip()}" if details else str(reason)
    return _finding(policy, "uninspected", action_for(reason), text, judgement)


def _why_missed(images: ImageConditions, judgement: ImageJudgement) -> tuple[UninspectedReason, str] | None:
    """Return the reason and its cause where an image was not inspected, as far as these conditions need it."""
    verdict = judgement.verdict
    if judgement.uninspected is not None:
        return judgement.uninspected, ""
    if verdict is None:
        return UninspectedReason.DEFAULT, "no verdict"
    if verdict.error is not None:
        reason = REASON_OF_ERROR.get(verdict.error.code)  # None for not_an_image, which is no failure
        return None if reason is None else (reason, str(verdict.error.code))
    if not images.undecided(verdict):
        return None
    return UninspectedReason.DEFAULT, "degraded" if verdict.degraded else "a classifier gave no answer"


def _others(count: int) -> str:
    return f" (and {count - 1} more)" if count > 1 else ""


def _finding(
    policy: Policy,
    kind: Literal["match", "uninspected"],
    action: Action,
    reason: str,
    judgement: ImageJudgement | None = None,
    fact: Fact | None = None,
) -> Finding:
    return Finding(
        policy=policy.name,
        action=action,
        mode=policy.mode,
        severity=policy.severity,
        notify=policy.notify,
        kind=kind,
        reason=reason,
        locator=judgement.locator if judgement else "",
        sha256=judgement.sha256 if judgement else "",
        name=judgement.name if judgement else "",
        size=judgement.size if judgement else 0,
        set=fact.set if fact else "",
        reference=fact.reference if fact else "",
        score=fact.score if fact else None,
    )


_NOTHING_FOUND: Final = Decision(action=Action.ALLOW)


def _merge(found: Iterable[tuple[Policy, list[Finding]]]) -> Decision:
    """Put the finding that decides first: whoever keeps one record per incident keeps that one."""
    records = [(policy.acts, finding) for policy, findings in found for finding in findings]
    if not records:
        return _NOTHING_FOUND
    records.sort(key=lambda record: (not record[0], -RESTRICTIVENESS.index(record[1].action)))
    findings = tuple(finding for _, finding in records)
    if not records[0][0]:
        return Decision(action=Action.ALLOW, findings=findings)
    return Decision(action=findings[0].action, policy=findings[0].policy, findings=findings)


def _is_app(name: str, context: ActivityContext) -> bool:
    if name.startswith(TAG_PREFIX):
        return name.removeprefix(TAG_PREFIX) in context.tags
    return name in (ANY, context.app)


def _fits(patterns: Sequence[str], values: Sequence[str]) -> bool:
    return not patterns or any(_compiled(pattern).match(value.casefold()) for pattern in patterns for value in values)


@lru_cache(maxsize=_PATTERNS)
def _compiled(pattern: str) -> re.Pattern[str]:
    # Only * is special; fnmatch writes each as an atomic group, so a hostile value costs at most pattern times value.
    literal = pattern.casefold().replace("[", "[[]").replace("?", "[?]")
    return re.compile(fnmatch.translate(literal))
