"""The engine that answers, the one beside it, and the watch over the store that exchanges them.

The store says which encoder is in force and which comes next (encoders/generations.py).  A second engine is loaded
while the first one answers; the exchange is one assignment, and the engine before ends when its last question has its
answer.  So there is no moment at which this worker has no engine, whatever fails: where the other encoder is not to be
had on this host, the first one goes on and says why.
"""

from __future__ import annotations

import asyncio
import logging
import random
import secrets
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import replace
from typing import Final, Protocol

from shared.errors import IntegrityError, SafelightError, StoreError
from shared.ports import Clock, Store
from shared.telemetry import Metrics
from shared.types import RedactionOrder, Verdict
from workers.encoders.generations import GenerationBook, Phase
from workers.encoders.names import EncoderName
from workers.migration.comparing import Tally
from workers.migration.roll_call import BEAT_SECONDS, RollCall, WorkerWord
from workers.migration.shadowing import Judges, Shadow
from workers.serving.admission import Admission
from workers.serving.verdicts import Question

POLL_SECONDS: Final = 0.5
"""Between two looks at the store: a switch is carried out by every worker within this time."""
RETRY_SECONDS: Final = 10.0
"""After an encoder could not be loaded: its files may be copied here meanwhile."""

_logger = logging.getLogger(__name__)


class Runs(Protocol):
    """An engine that was started, such as an ``Engine``."""

    @property
    def name(self) -> EncoderName:
        """Its encoder."""
        ...

    def loaded(self) -> bool:
        """Tell whether it can answer."""
        ...

    def show(self) -> None:
        """Have the gauges tell of this engine."""
        ...

    def hide(self) -> None:
        """Have them tell of it no more."""
        ...

    async def follow(self) -> None:
        """Follow index and classifiers for ever."""
        ...

    async def verdict(self, question: Question) -> Verdict:
        """Return the verdict by the question's deadline."""
        ...

    async def obscure(self, data: bytes, order: RedactionOrder, *, deadline: float | None = None) -> bytes:
        """Return the image file with ``order`` carried out; raises DecodeError."""
        ...

    async def inspection(self, metrics: Metrics, stack: AsyncExitStack) -> Judges:
        """Return what judges images, counting in ``metrics``, until ``stack`` is closed."""
        ...

    async def stop(self) -> None:
        """Finish what is under way, and serve no more."""
        ...


class EngineRoom[Engine: Runs]:
    """Between ``start`` and ``stop``; ``share`` (0..1) of live images is compared while a change is in its shadow.

    ``opens`` starts the engine of an encoder, which also reads what another one made; raises SafelightError.
    """

    def __init__(
        self,
        first: Engine,
        opens: Callable[[EncoderName, EncoderName], Awaitable[Engine]],
        store: Store,
        clock: Clock,
        metrics: Metrics,
        admission: Admission,
        *,
        share: float,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self.current = first
        self._opens = opens
        self._book = GenerationBook(store)
        self._roll = RollCall(store, clock)
        self._clock = clock
        self._metrics = metrics
        self._admission = admission
        self._share = share
        self._chance = chance
        self._id = secrets.token_hex(8)
        self._tasks: dict[int, asyncio.Task[None]] = {}
        self._beside: Engine | None = None
        self._shadow: Shadow | None = None
        self._shadow_stack = AsyncExitStack()
        self._opening: asyncio.Task[None] | None = None
        self._retry_at = 0.0
        self._retiring: set[asyncio.Task[None]] = set()
        self._said: WorkerWord | None = None
        self.error = ""
        """Why the encoder that is to be loaded is not to be had here."""
        self.behind = False
        """Whether another encoder is in force than the one that answers here."""

    def start(self) -> None:
        """Let the first engine follow its index."""
        self.current.show()
        self._follow(self.current)

    async def verdict(self, question: Question) -> Verdict:
        """Return the verdict by the question's deadline."""
        engine, shadow = self.current, self._shadow
        return await (engine.verdict(question) if shadow is None else shadow.answered(question, engine.verdict))

    async def obscure(self, data: bytes, order: RedactionOrder, *, deadline: float | None = None) -> bytes:
        """Return the image file with ``order`` carried out; raises DecodeError."""
        return await self.current.obscure(data, order, deadline=deadline)

    async def watch(self) -> None:
        """Do what the store says for ever; outlives every store and integrity error."""
        while True:
            try:
                await self.look()
            except (StoreError, IntegrityError) as error:
                self._metrics.count("safelight_store_errors_total", operation="generation")
                _logger.warning("which encoder is in force is not known: %s", error)
            await asyncio.sleep(POLL_SECONDS)

    async def look(self) -> None:
        """Take one step towards what the store says; raises StoreError, IntegrityError."""
        for task in self._tasks.values():
            if task.done():
                task.result()  # a bug: the worker ends, and is started again
        now = await self._book.read()
        if now is None:
            return
        self.behind = now.encoder != self.current.name
        wanted = now.encoder if self.behind else (now.other if now.phase is Phase.SHADOW else None)
        if self._beside is not None and self._beside.name != wanted:
            await self._close_beside()
        if wanted is None:
            self.error = ""
        elif self._beside is None:
            self._open_beside(wanted)
        elif self.behind and self._beside.loaded():
            await self._exchange()
        elif not self.behind and self._beside.loaded() and self._shadow is None:
            await self._begin_comparing(self._beside)
        if now.other is not None or self.behind:
            await self._speak()

    async def stop(self) -> None:
        """Finish what is under way and stop every engine."""
        if self._opening is not None:
            self._opening.cancel()
            await asyncio.gather(self._opening, return_exceptions=True)
        await self._close_beside()
        await self._retire(self.current)
        await asyncio.gather(*self._retiring, return_exceptions=True)
        if self._said is not None:
            try:
                await self._roll.leave(self._id)
            except (StoreError, IntegrityError) as error:
                _logger.warning("could not sign off: %s", error)

    def _open_beside(self, wanted: EncoderName) -> None:
        if (self._opening is not None and not self._opening.done()) or self._clock.monotonic() < self._retry_at:
            return
        self._opening = asyncio.get_running_loop().create_task(self._open(wanted))

    async def _open(self, wanted: EncoderName) -> None:
        try:
            engine = await self._opens(wanted, self.current.name)
        except (SafelightError, OSError) as error:
            self._retry_at = self._clock.monotonic() + RETRY_SECONDS
            self.error = f"{wanted.id} cannot be loaded here: {error}"
            _logger.warning("%s", self.error)
            return
        self.error = ""
        self._beside = engine
        self._follow(engine)
        _logger.info("encoder %s is loaded beside %s", wanted.id, self.current.name.id)

    async def _begin_comparing(self, engine: Engine) -> None:
        # Its images are no live ones: they would be counted twice.
        judge = await engine.inspection(Metrics(), self._shadow_stack)
        self._shadow = Shadow(judge, self._admission, self._metrics, self._share, self._chance)

    async def _exchange(self) -> None:
        engine, before = self._beside, self.current
        assert engine is not None  # noqa: S101 - the caller looked
        self.current, self._beside, self.behind = engine, None, False
        before.hide()
        engine.show()
        _logger.info("encoder %s answers in place of %s", engine.name.id, before.name.id)
        await self._end_comparing()
        retiring = asyncio.get_running_loop().create_task(self._retire(before))
        self._retiring.add(retiring)
        retiring.add_done_callback(self._retiring.discard)

    async def _close_beside(self) -> None:
        engine, self._beside = self._beside, None
        await self._end_comparing()
        if engine is not None:
            await self._retire(engine)

    async def _end_comparing(self) -> None:
        shadow, self._shadow = self._shadow, None
        if shadow is not None:
            await shadow.stop()
        stack, self._shadow_stack = self._shadow_stack, AsyncExitStack()
        await stack.aclose()

    def _follow(self, engine: Engine) -> None:
        self._tasks[id(engine)] = asyncio.get_running_loop().create_task(engine.follow())

    async def _retire(self, engine: Engine) -> None:
        await engine.stop()
        following = self._tasks.pop(id(engine), None)
        if following is not None:
            following.cancel()
            await asyncio.gather(following, return_exceptions=True)

    async def _speak(self) -> None:
        beside = self._beside
        word = WorkerWord(
            worker=self._id,
            at=self._clock.wall(),
            serving=self.current.name.id,
            beside=beside.name.id if beside is not None and beside.loaded() else "",
            error=self.error,
            tally=self._shadow.tally if self._shadow is not None else Tally(),
        )
        said = self._said
        if said is not None and word.at - said.at < BEAT_SECONDS and replace(word, at=said.at) == said:
            return
        await self._roll.say(word)
        self._said = word


__all__ = ["POLL_SECONDS", "EngineRoom", "Runs"]
