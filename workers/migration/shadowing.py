"""Images that were just answered for, judged again by the encoder that is to come, behind the answer's back.

Only what the worker had to look at anyway, only when hardly anything else is at work, one at a time, and never before
the answer is out.  What counts is compared: whether the same sets match, and how far apart the scores are.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Final, Protocol

from shared.core.lasting import is_lasting
from shared.telemetry import Metrics
from shared.types import Inquiry, KnownVerdict, Priority, Verdict
from workers.migration.comparing import Tally, compare
from workers.serving.admission import Admission
from workers.serving.verdicts import Question

SPARE_AT_WORK: Final = 1
"""Images at work up to which there is time for one that nobody waits for."""

_log = logging.getLogger(__name__)


class Judges(Protocol):
    """What judges images by the other encoder, such as a ContainerInspector."""

    async def examine(self, data: bytes, sha256: str, inquiry: Inquiry) -> KnownVerdict:
        """Return the verdict on an image; raises nothing."""
        ...


class Shadow:
    """Compares for a ``share`` (0..1) of all images; ``chance`` gives numbers of 0..1."""

    def __init__(
        self, judge: Judges, admission: Admission, metrics: Metrics, share: float, chance: Callable[[], float]
    ) -> None:
        self._judge = judge
        self._admission = admission
        self._metrics = metrics
        self._share = share
        self._chance = chance
        self._comparing: asyncio.Task[None] | None = None
        self._stopped = False
        self.tally = Tally()

    async def answered(self, question: Question, answer: Callable[[Question], Awaitable[Verdict]]) -> Verdict:
        """Return what ``answer`` says, and perhaps compare afterwards."""
        if self._chance() >= self._share or self._busy():
            return await answer(question)
        fetched: list[bytes] = []

        async def fetch() -> bytes:
            data = await question.fetch()
            fetched.append(data)
            return data

        verdict = await answer(replace(question, fetch=fetch))
        if fetched and is_lasting(verdict) and not self._busy():
            compared = self._compare(fetched[0], verdict, question.inquiry)
            self._comparing = asyncio.get_running_loop().create_task(compared)
        return verdict

    async def stop(self) -> None:
        """Compare no more, whichever answers come yet: the judge ends with its encoder; idempotent."""
        self._stopped = True
        if self._comparing is not None:
            self._comparing.cancel()
            await asyncio.gather(self._comparing, return_exceptions=True)

    def _busy(self) -> bool:
        comparing = self._comparing is not None and not self._comparing.done()
        return self._stopped or comparing or self._admission.at_work > SPARE_AT_WORK

    async def _compare(self, data: bytes, old: Verdict, asked: Inquiry) -> None:
        inquiry = Inquiry(priority=Priority.BACKGROUND, classifiers=asked.classifiers)
        new = (await self._judge.examine(data, old.sha256, inquiry)).verdict
        if not is_lasting(new):
            _log.warning("not compared: %s", new.error)
            return
        found = compare(old, new)
        self.tally += found
        self._metrics.count("safelight_worker_shadow_total", outcome="agree" if found.agreeing else "differ")
