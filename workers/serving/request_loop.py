"""Requests off the bus, replies out, then commit: in this order, whatever fails.

As many are at hand as fit, by number and by bytes; most of them wait for their turn (``admission.py``), the
more urgent ones first.  While no more fit the bus is told so now and then: who is not heard of is taken for dead.
"""

from __future__ import annotations

import asyncio
import logging
from functools import partial
from typing import Final, Protocol

from shared.errors import BusError
from shared.ports import AnsweringBus
from shared.telemetry import Metrics
from shared.types import BusMessage
from workers.serving.answering import Answer
from workers.serving.commits import CommitOrder, Ticket

AT_HAND: Final = 256
"""Requests; a worker of two cores answers as many within 1.5 s, which is what a transfer waits by default."""
BYTES_AT_HAND: Final = 128 << 20
"""Of messages; a larger image is behind a claim check, and not fetched before its turn comes."""
FULL_SECONDS: Final = 5.0
"""How often the bus is told that no more fit."""
RECEIVE_SECONDS: Final = 0.5
"""How long one look at an idle bus lasts; the longest that a stop waits for it."""
PAUSE_SECONDS: Final = 0.1
"""After the bus refused something."""
REPLY_ATTEMPTS: Final = 5
DRAIN_SECONDS: Final = 5.0

_log = logging.getLogger(__name__)


class Answers(Protocol):
    """What turns requests into answers, such as an Answerer."""

    async def answer(self, message: BusMessage) -> Answer | None:
        """Return the answer, or None where there is nobody to answer."""
        ...

    async def replied(self, answer: Answer) -> None:
        """Take in that an answer is out."""
        ...


class RequestLoop:
    """At most ``at_hand`` requests, and about ``size`` bytes of them."""

    def __init__(
        self,
        bus: AnsweringBus,
        answerer: Answers,
        metrics: Metrics,
        *,
        at_hand: int = AT_HAND,
        size: int = BYTES_AT_HAND,
        full_seconds: float = FULL_SECONDS,
    ) -> None:
        self._bus = bus
        self._answerer = answerer
        self._metrics = metrics
        self._at_hand = at_hand
        self._size = size
        self._full_seconds = full_seconds
        self._bytes = 0
        self._order = CommitOrder()
        self._working: set[asyncio.Task[None]] = set()
        self._refused: set[str] = set()

    async def run(self, stopping: asyncio.Event) -> None:
        """Serve until ``stopping`` is set, then finish what was taken."""
        while not stopping.is_set():
            free = self._at_hand - len(self._working) if self._bytes < self._size else 0
            if free == 0:
                await asyncio.wait(self._working, return_when=asyncio.FIRST_COMPLETED, timeout=self._full_seconds)
                free = self._at_hand - len(self._working) if self._bytes < self._size else 0
            try:
                deliveries = await self._bus.receive(free, RECEIVE_SECONDS if free else 0.0)
            except BusError as error:
                self._bus_failed("receive", error)
                await asyncio.sleep(PAUSE_SECONDS)
                continue
            self._refused.discard("receive")
            for delivery in deliveries:
                task = asyncio.get_running_loop().create_task(self._serve(self._order.received(delivery)))
                self._working.add(task)
                size = len(delivery.message.value)
                self._bytes += size
                task.add_done_callback(partial(self._done, size))
        await self._drain()

    def _done(self, size: int, task: asyncio.Task[None]) -> None:
        self._working.discard(task)
        self._bytes -= size

    async def _drain(self) -> None:
        if not self._working:
            return
        _, unfinished = await asyncio.wait(self._working, timeout=DRAIN_SECONDS)
        for task in unfinished:  # not committed: another worker gets them
            task.cancel()
        await asyncio.gather(*unfinished, return_exceptions=True)

    async def _serve(self, ticket: Ticket) -> None:
        try:
            answer = await self._answerer.answer(ticket.delivery.message)
            if answer is not None:
                await self._reply(answer.reply)
                await self._answerer.replied(answer)
        except Exception:  # noqa: BLE001 - see below
            # Committed all the same: a request that breaks the worker would come back for ever.
            _log.exception("a request could not be answered")
            self._metrics.count("safelight_worker_requests_total", outcome="failed")
        try:
            if released := self._order.finished(ticket):
                await self._bus.commit(released)
                self._refused.discard("commit")
        except BusError as error:  # what stays uncommitted comes again, and is answered again
            self._bus_failed("commit", error)

    async def _reply(self, reply: BusMessage) -> None:
        for attempt in range(1, REPLY_ATTEMPTS + 1):
            try:
                await self._bus.reply(reply)
            except BusError as error:
                self._bus_failed("reply", error)
                await asyncio.sleep(PAUSE_SECONDS * attempt)
            else:
                self._refused.discard("reply")
                return

    def _bus_failed(self, operation: str, error: BusError) -> None:
        # Of an outage the first refusal is told: with all that are at hand there would be hundreds a second.
        _log.log(
            logging.DEBUG if operation in self._refused else logging.WARNING,
            "the bus refused to %s: %s",
            operation,
            error,
        )
        self._refused.add(operation)
        self._metrics.count("safelight_bus_errors_total", operation=operation)
