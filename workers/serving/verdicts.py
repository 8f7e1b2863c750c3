"""The verdict on an image: known already, being found out, or to be found out, each image once at a time.

A verdict that is known at the index's present revision is told at once.  Otherwise the first who asks brings it up to
date, from this worker's memory or what other workers know, or has the image inspected when its turn comes; who asks
for the same image meanwhile waits for the same answer, unless that hurries less than they can wait for.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from typing import Final, Protocol

from shared.core.lasting import is_lasting
from shared.errors import DecodeError, ErrorCode
from shared.ports import Clock
from shared.telemetry import Metrics
from shared.types import Inquiry, KnownVerdict, Priority, Verdict
from workers.serving.admission import Admission
from workers.serving.inspector import SPARE_INSPECTIONS, Examines
from workers.serving.known_labels import Revisions, keeping, told
from workers.serving.known_verdicts import KnownVerdicts
from workers.serving.refreshing import Refreshes, refreshed, without_looks

_log = logging.getLogger(__name__)
OF_THE_MOMENT: Final = frozenset(
    {ErrorCode.TOO_LATE, ErrorCode.INTERNAL_ERROR, ErrorCode.ENCODER_UNAVAILABLE, ErrorCode.OVER_BUDGET}
)
"""Errors that say nothing about the image: who waited for such an answer asks for their own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """What is asked of which image: ``size`` of the file in bytes, ``fetch`` gets the bytes or raises DecodeError."""

    sha256: str
    size: int
    inquiry: Inquiry
    fetch: Callable[[], Awaitable[bytes]]


class Index(Protocol):
    """What knows the newest view, such as an IndexReplica."""

    def current(self) -> Refreshes:
        """Return it."""
        ...


class Classifiers(Protocol):
    """What knows the classifiers, such as a ClassifierReplica."""

    def current(self) -> Revisions:
        """Return their revisions as they are now."""
        ...


class Sharing(Protocol):
    """What other workers know, such as SharedVerdicts."""

    async def get(self, sha256: str) -> KnownVerdict | None:
        """Return what is known, of whichever revision of the index; never raises."""
        ...

    def put(self, sha256: str, known: KnownVerdict) -> None:
        """Begin to tell the others."""
        ...


@dataclass(frozen=True, slots=True, eq=False)
class _Flight:
    answer: asyncio.Future[Verdict]
    priority: Priority


class Verdicts:
    """Stands before an inspector."""

    def __init__(
        self,
        inspector: Examines,
        index: Index,
        classifiers: Classifiers,
        admission: Admission,
        clock: Clock,
        metrics: Metrics,
        *,
        known: KnownVerdicts | None = None,
        sharing: Sharing | None = None,
    ) -> None:
        self._inspector = inspector
        self._index = index
        self._admission = admission
        self._clock = clock
        self._metrics = metrics
        self._classifiers = classifiers
        self._known = KnownVerdicts() if known is None else known  # an empty one is false
        self._sharing = sharing
        self._flights: dict[tuple[str, ...], _Flight] = {}

    async def verdict(self, question: Question) -> Verdict:
        """Return the verdict by the question's deadline."""
        key = (question.sha256, str(question.inquiry.near_cache), *question.inquiry.classifiers)
        while True:
            known = self._known.get(question.sha256, self._clock.monotonic())
            if known is not None and self._still_true(known.verdict) and (verdict := self._told(known, question)):
                self._count("hit")
                return verdict
            flight = self._flights.get(key)
            if flight is None or flight.priority > question.inquiry.priority:
                return await self._take_off(key, question, known)
            self._count("joined")
            if (verdict := await self._join(question, flight)) is not None:
                return verdict

    def _still_true(self, verdict: Verdict) -> bool:
        if verdict.index_revision != self._index.current().revision:
            return False
        # While there is no time for a closer look there would be none for the next one either.
        return not verdict.hurried or self._admission.at_work > SPARE_INSPECTIONS

    def _told(self, known: KnownVerdict, question: Question) -> Verdict | None:
        return told(known, question.inquiry.classifiers, self._classifiers.current())

    async def _join(self, question: Question, flight: _Flight) -> Verdict | None:
        """Return what the flight brings, or None where that is nothing for others than who began it."""
        left = question.inquiry.deadline - self._clock.monotonic()
        await asyncio.wait({flight.answer}, timeout=max(0.0, left))
        if not flight.answer.done() or self._clock.monotonic() >= question.inquiry.deadline:
            return self._inspector.refusal(question.sha256, ErrorCode.TOO_LATE, "the asker no longer waits")
        if flight.answer.cancelled():
            return None
        verdict = flight.answer.result()
        hurried = verdict.degraded or (verdict.error is not None and verdict.error.code in OF_THE_MOMENT)
        return None if hurried else verdict

    async def _take_off(self, key: tuple[str, ...], question: Question, known: KnownVerdict | None) -> Verdict:
        flight = _Flight(asyncio.get_running_loop().create_future(), question.inquiry.priority)
        self._flights[key] = flight
        try:
            verdict = await self._find_out(question, known)
            flight.answer.set_result(verdict)
        except DecodeError as error:
            verdict = self._inspector.refusal(question.sha256, error.code, str(error))
            flight.answer.set_result(verdict)
        finally:
            flight.answer.cancel()  # where neither came true: who waits for it asks again
            if self._flights.get(key) is flight:
                del self._flights[key]
        return verdict

    async def _find_out(self, question: Question, known: KnownVerdict | None) -> Verdict:
        source = "refreshed"
        if known is None or known.verdict.hurried or self._told(known, question) is None:
            source, known = "shared", None if self._sharing is None else await self._sharing.get(question.sha256)
        if known is not None and (current := await self._refresh(question, known)) is not None:
            self._count(source)
            return current
        self._count("miss")
        inquiry = question.inquiry
        async with self._admission.turn(question.size, inquiry.deadline, inquiry.priority):
            found = await self._inspector.examine(await question.fetch(), question.sha256, inquiry)
        self._remember(question.sha256, found)
        return self._told(found, question) or found.verdict

    async def _refresh(self, question: Question, known: KnownVerdict) -> Verdict | None:
        if self._told(known, question) is None:
            return None
        view = self._index.current()
        current: KnownVerdict | None = known
        if known.verdict.index_revision != view.revision:
            try:
                current = await asyncio.to_thread(refreshed, known, view)
            except Exception:  # noqa: BLE001 - the image is inspected anew, and that has an answer for every bug
                _log.exception("a known verdict could not be brought up to date")
                return None
        return None if current is None else self._told(self._keep(question.sha256, current), question)

    def _remember(self, sha256: str, found: KnownVerdict) -> None:
        lasting = is_lasting(found.verdict)
        if not lasting and (found.verdict.degraded or not found.verdict.hurried):
            return
        kept = self._keep(sha256, replace(found, verdict=replace(found.verdict, timings_ms={})))
        if lasting and self._sharing is not None:
            self._sharing.put(sha256, without_looks(kept))

    def _keep(self, sha256: str, known: KnownVerdict) -> KnownVerdict:
        now = self._clock.monotonic()
        kept = keeping(known, self._known.get(sha256, now))
        self._known.put(sha256, kept, now)
        self._metrics.set("safelight_worker_known_verdicts", len(self._known))
        self._metrics.set("safelight_worker_known_look_bytes", self._known.look_bytes)
        return kept

    def _count(self, outcome: str) -> None:
        self._metrics.count("safelight_worker_verdict_cache_total", outcome=outcome)
