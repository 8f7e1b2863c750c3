"""The memory of applications' objects, in the store that all proxies share.

What is written is sealed and bound to its key.  Until it is written it is kept at hand, so that a request that follows
at once finds it, also while its images are still being judged behind the flow's back.

As in the gateway nothing is cancelled inside a call of the store: only the waiting ends at the deadline.
"""

from __future__ import annotations

import asyncio
import logging
from collections import OrderedDict
from collections.abc import Coroutine, Iterable, Sequence
from typing import Any, Final

from shared import codec
from shared.core.objects import MAX_NAMES, OBJECT_SECONDS, recalled, remember, store_key, unknown
from shared.errors import IntegrityError, StoreError, WireError
from shared.ports import Clock, Store
from shared.sealing import Sealer
from shared.telemetry import Metrics
from shared.types import ImageJudgement, ObjectName, RememberedObject, UninspectedReason

AT_HAND: Final = 1024
"""Objects kept at hand at most, the latest; each has about 1 KB an image."""

EXPECT_SECONDS: Final = 30.0
"""A judgement that has not come by then does not come any more; longer than any deadline."""

MAX_WRITES: Final = 256
"""Writes on their way to the store; past it an object is known to this process only."""

MAX_ALIASES: Final = 2
"""Names that are followed from one to the next: an id to an upload address, no longer chains are learnt."""

type _Known = asyncio.Future[RememberedObject | None]
_log = logging.getLogger(__name__)


class ObjectMemory:
    """What is known of objects; one for a proxy."""

    def __init__(self, store: Store, sealer: Sealer, clock: Clock, metrics: Metrics) -> None:
        self._store = store
        self._sealer = sealer
        self._clock = clock
        self._metrics = metrics
        self._at_hand: OrderedDict[ObjectName, _Known] = OrderedDict()
        self._running: set[asyncio.Task[Any]] = set()

    def learn(self, names: Iterable[ObjectName], judgements: Sequence[ImageJudgement]) -> None:
        """Remember what the images of an object were judged; it is in the store soon after."""
        known = remember(judgements, self._clock.wall())
        for name in names:
            self._keep(name, known)

    def learn_alias(self, names: Iterable[ObjectName], of: ObjectName) -> None:
        """Remember further names of an object."""
        known = RememberedObject(learnt=self._clock.wall(), alias=of)
        for name in names:
            if name != of:
                self._keep(name, known)

    def expect(self, names: Iterable[ObjectName]) -> None:
        """Let whoever asks for an object wait for it: its images are being judged."""
        loop = asyncio.get_running_loop()
        for name in names:
            coming: _Known = loop.create_future()
            self._put_at_hand(name, coming)
            loop.call_later(EXPECT_SECONDS, _give_up, coming)

    async def recall(self, names: Sequence[ObjectName], deadline: float) -> tuple[ImageJudgement, ...]:
        """Return the judgements of the images of objects, by ``deadline`` (monotonic seconds) at the latest."""
        if not names:
            return ()
        asked = tuple(dict.fromkeys(names))[:MAX_NAMES]
        tasks = [self._run(self._find(name)) for name in asked]
        await asyncio.wait(tasks, timeout=max(0.0, deadline - self._clock.monotonic()))
        found = [self._judgements(name, task) for name, task in zip(asked, tasks, strict=True)]
        if len(asked) < len(set(names)):
            self._metrics.count("safelight_proxy_limit_hits_total", limit="object_names")
            found.append((unknown(names[-1]),))
        return tuple(judgement for each in found for judgement in each)

    def inherit(self, source: ObjectName, copy: ObjectName) -> None:
        """Remember a copy as what it was copied from, where that is known; whoever asks for it meanwhile waits."""
        self.expect([copy])
        self._soon(self._inherit(source, copy, self._at_hand[copy]))

    async def close(self) -> None:
        """Wait for what is being read or written; each is bounded by its adapter."""
        for coming in self._at_hand.values():
            _give_up(coming)
        if self._running:
            await asyncio.wait(self._running)

    def _judgements(self, name: ObjectName, task: asyncio.Task[RememberedObject | None]) -> tuple[ImageJudgement, ...]:
        if not task.done():
            return (unknown(name, UninspectedReason.TIMEOUT),)
        error = task.exception()
        if error is not None:
            self._failed(error)
            return (unknown(name),)
        return recalled(name, task.result())

    async def _find(self, name: ObjectName) -> RememberedObject | None:
        known = await self._look_up(name)
        for _ in range(MAX_ALIASES):
            if known is None or known.alias is None:
                return known
            known = await self._look_up(known.alias)
        return None

    async def _look_up(self, name: ObjectName) -> RememberedObject | None:
        at_hand = self._at_hand.get(name)
        if at_hand is not None:
            known = await asyncio.shield(at_hand)
            if known is not None:
                return known
        key = store_key(name)
        sealed = await self._store.get_blob(key)
        return None if sealed is None else codec.decode_object(self._sealer.open(sealed, key))

    def _keep(self, name: ObjectName, known: RememberedObject) -> None:
        at_hand = self._at_hand.get(name)
        if at_hand is None or at_hand.done():
            at_hand = asyncio.get_running_loop().create_future()
        at_hand.set_result(known)
        self._put_at_hand(name, at_hand)
        if len(self._running) >= MAX_WRITES:
            self._metrics.count("safelight_proxy_limit_hits_total", limit="object_writes")
            return
        self._soon(self._write(name, known, at_hand))

    def _put_at_hand(self, name: ObjectName, known: _Known) -> None:
        self._at_hand[name] = known
        self._at_hand.move_to_end(name)
        while len(self._at_hand) > AT_HAND:
            _give_up(self._at_hand.popitem(last=False)[1])

    async def _inherit(self, source: ObjectName, copy: ObjectName, coming: _Known) -> None:
        try:
            known = await self._find(source)
            if known is not None:
                self._keep(copy, known)
        finally:
            _give_up(coming)

    def _soon(self, work: Coroutine[Any, Any, None]) -> None:
        _ = self._run(self._guarded(work))

    async def _write(self, name: ObjectName, known: RememberedObject, at_hand: _Known) -> None:
        key = store_key(name)
        await self._store.put_blob(key, self._sealer.seal(codec.encode_object(known), key), ttl=OBJECT_SECONDS)
        # From now on the store is asked, where another proxy may write what it sees.
        if self._at_hand.get(name) is at_hand:
            del self._at_hand[name]

    async def _guarded(self, work: Coroutine[Any, Any, None]) -> None:
        try:
            await work
        except (StoreError, IntegrityError, WireError) as error:
            self._failed(error)

    def _run[T](self, work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        task = asyncio.get_running_loop().create_task(work)
        self._running.add(task)
        task.add_done_callback(self._ended)
        return task

    def _ended(self, task: asyncio.Task[Any]) -> None:
        self._running.discard(task)
        if not task.cancelled():
            task.exception()  # told to whoever waits, and nobody may wait any more

    def _failed(self, error: BaseException) -> None:
        known = isinstance(error, StoreError | IntegrityError | WireError)
        _log.log(logging.WARNING if known else logging.ERROR, "an object is not known: %s", error)
        self._metrics.count("safelight_store_errors_total", operation="objects")


def _give_up(coming: _Known) -> None:
    if not coming.done():
        coming.set_result(None)
