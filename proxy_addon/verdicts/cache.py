"""Verdicts that are known already, and one question for all who ask about the same image at once.

A verdict is a fact about an image at one revision of the index, so it is told again as long as the index has not moved
and nothing else is known: chats send every picture of a conversation again with each message, and a page's logo goes to
everybody.  ``IndexWatch`` says where the index stands; while it cannot, nothing is remembered.  The labels of
classifiers are facts at a revision of their own, and count only for who asks for no others.
"""

from __future__ import annotations

import asyncio
import logging
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from proxy_addon.verdicts.decode_budget import DecodeBudget
from proxy_addon.verdicts.judging import judgement_of
from shared.core.generation import encoder_in_force
from shared.core.lasting import is_lasting
from shared.errors import StoreError
from shared.ports import Clock, Store
from shared.telemetry import Metrics
from shared.types import (
    CLASSIFIER_LOG,
    GENERATION_KEY,
    INDEX_LOG,
    ImageJudgement,
    Inquiry,
    Part,
    UninspectedReason,
    Verdict,
)

CAPACITY: Final = 10_000
"""Verdicts that are kept, 3 KB each; the one not asked for the longest goes first."""
FRESH_SECONDS: Final = 60.0
"""A verdict counts no longer, though the index did not move."""
POLL_SECONDS: Final = 0.25
"""An image that is enrolled is searchable within a second: the worker's own delay and this together."""
BLIND_SECONDS: Final = 2.0
"""After so long without word from the store the index may have moved: no cached verdict counts."""

_log = logging.getLogger(__name__)


class Asks(Protocol):
    """Asks for verdicts whoever wants them, such as a Gateway."""

    async def verdicts(self, parts: Sequence[Part], inquiry: Inquiry) -> list[ImageJudgement]:
        """Return one judgement for each part, in order, by the deadline of ``inquiry`` at the latest."""
        ...


@dataclass(frozen=True, slots=True)
class _Known:
    verdict: Verdict
    position: int
    since: float
    classifiers: frozenset[str]


@dataclass(frozen=True, slots=True)
class _Question:
    answer: asyncio.Task[list[ImageJudgement]]
    deadline: float
    classifiers: frozenset[str]
    near_cache: bool


class VerdictCache:
    """Stands before a judge.  With a ``budget`` no sender has more decoded than that allows."""

    def __init__(
        self,
        judge: Asks,
        clock: Clock,
        metrics: Metrics,
        *,
        capacity: int = CAPACITY,
        seconds: float = FRESH_SECONDS,
        budget: DecodeBudget | None = None,
    ) -> None:
        self._judge = judge
        self._clock = clock
        self._metrics = metrics
        self._capacity = capacity
        self._seconds = seconds
        self._budget = budget
        self._known: OrderedDict[str, _Known] = OrderedDict()
        self._asked: dict[str, _Question] = {}
        self._position: int | None = None
        self._classifier_position = 0
        self._encoder = ""
        self._heard = 0.0

    def encoder_is(self, encoder: str) -> None:
        """Take note of the encoder in force, empty where nobody knows: what another one said counts no longer."""
        self._encoder = encoder

    def index_at(self, position: int, classifiers: int = 0) -> None:
        """Take note of the newest positions of the index log and of the classifiers' log."""
        self._position = position
        self._classifier_position = classifiers
        self._heard = self._clock.monotonic()

    async def verdicts(self, parts: Sequence[Part], inquiry: Inquiry) -> list[ImageJudgement]:
        """Return one judgement for each part, in order, by the deadline of ``inquiry`` at the latest."""
        distinct = {part.sha256: part for part in parts}
        known: dict[str, Verdict | UninspectedReason] = {
            digest: verdict for digest in distinct if (verdict := self._recall(digest, inquiry.classifiers)) is not None
        }
        missing = [part for digest, part in distinct.items() if digest not in known]
        self._count("hit", len(distinct) - len(missing))
        if missing:
            found = await asyncio.gather(*(self._ask(part, inquiry) for part in missing))
            known.update((part.sha256, answer) for part, answer in zip(missing, found, strict=True))
        return [judgement_of(part, known[part.sha256]) for part in parts]

    def recall(self, part: Part, classifiers: tuple[str, ...]) -> ImageJudgement | None:
        """Return the judgement of an image whose verdict is known, None where it has to be asked for."""
        verdict = self._recall(part.sha256, classifiers)
        if verdict is None:
            return None
        self._count("hit")
        return judgement_of(part, verdict)

    def _recall(self, digest: str, classifiers: tuple[str, ...]) -> Verdict | None:
        found = self._known.get(digest)
        if found is None or not found.classifiers.issuperset(classifiers):
            return None
        if self._encoder and found.verdict.encoder != self._encoder:
            return None
        if classifiers and found.verdict.classifier_revision < self._classifier_position:
            return None
        now = self._clock.monotonic()
        current = self._position is not None and now - self._heard <= BLIND_SECONDS
        # Not one of a later position either: the store was set back, and what comes now is another index.
        if not current or found.position != self._position or now - found.since > self._seconds:
            return None
        self._known.move_to_end(digest)
        return found.verdict

    async def _ask(self, part: Part, inquiry: Inquiry) -> Verdict | UninspectedReason:
        deadline = inquiry.deadline
        question = self._asked.get(part.sha256)
        # One who waits longer than the first asker does may still get an answer when the first has given up.
        if (
            question is not None
            and question.deadline >= deadline
            and question.classifiers.issuperset(inquiry.classifiers)
            and (inquiry.near_cache or not question.near_cache)
        ):
            self._count("joined")
        else:
            self._count("miss")
            if not self._affords(part, inquiry.sender):
                self._metrics.count("safelight_proxy_limit_hits_total", limit=UninspectedReason.DECODE_BUDGET)
                return UninspectedReason.DECODE_BUDGET
            question = self._begin(part, inquiry)
        await asyncio.wait({question.answer}, timeout=max(0.0, deadline - self._clock.monotonic()))
        return _known(question.answer.result()[0]) if question.answer.done() else UninspectedReason.TIMEOUT

    def _affords(self, part: Part, sender: str) -> bool:
        return self._budget is None or self._budget.admits(sender, len(part.data), self._clock.monotonic())

    def _begin(self, part: Part, inquiry: Inquiry) -> _Question:
        # A task of its own: who asked first may leave, and others wait for the same answer.
        answer = asyncio.get_running_loop().create_task(self._answer(part, inquiry))
        question = _Question(answer, inquiry.deadline, frozenset(inquiry.classifiers), inquiry.near_cache)
        if not answer.done():
            self._asked[part.sha256] = question
            answer.add_done_callback(lambda _: self._over(part.sha256, question))
        return question

    async def _answer(self, part: Part, inquiry: Inquiry) -> list[ImageJudgement]:
        judgements = await self._judge.verdicts([part], inquiry)
        verdict = judgements[0].verdict
        if self._budget is not None and verdict is not None:
            self._budget.settle(inquiry.sender, len(part.data), verdict, self._clock.monotonic())
        self._remember(verdict, frozenset(inquiry.classifiers))
        return judgements

    def _over(self, digest: str, question: _Question) -> None:
        if self._asked.get(digest) is question:
            del self._asked[digest]

    def _remember(self, verdict: Verdict | None, classifiers: frozenset[str]) -> None:
        if verdict is None or not is_lasting(verdict):
            return
        position = position_of(verdict.index_revision)
        if position is None:
            return
        self._known[verdict.sha256] = _Known(verdict, position, self._clock.monotonic(), classifiers)
        self._known.move_to_end(verdict.sha256)
        if len(self._known) > self._capacity:
            self._known.popitem(last=False)
        self._metrics.set("safelight_proxy_known_verdicts", len(self._known))

    def _count(self, outcome: str, amount: int = 1) -> None:
        self._metrics.count("safelight_proxy_verdict_cache_total", amount, outcome=outcome)


def _known(judgement: ImageJudgement) -> Verdict | UninspectedReason:
    return judgement.verdict or judgement.uninspected or UninspectedReason.DEFAULT


def position_of(revision: str) -> int | None:
    """Return the log position that an index revision (``encoder:position``) stands at; None where it names none."""
    digits = revision.rpartition(":")[2]
    return int(digits) if digits.isascii() and digits.isdigit() and len(digits) < 20 else None


class IndexWatch:
    """Tells the cache where the index stands."""

    def __init__(self, store: Store, cache: VerdictCache, metrics: Metrics) -> None:
        self._store = store
        self._cache = cache
        self._metrics = metrics

    async def run(self) -> None:
        """Look for ever."""
        reachable = True
        while True:
            try:
                classifiers = await self._store.last_position(CLASSIFIER_LOG)
                held = await self._store.get(GENERATION_KEY)
                self._cache.encoder_is(encoder_in_force(held.value) if held is not None else "")
                self._cache.index_at(await self._store.last_position(INDEX_LOG), classifiers)
                reachable = True
            except StoreError as error:
                self._metrics.count("safelight_store_errors_total", operation="index")
                if reachable:
                    _log.warning("verdicts are not remembered until the store answers: %s", error)
                reachable = False
            await asyncio.sleep(POLL_SECONDS)
