"""What other workers know: verdicts in the store, sealed, for a while.

Best effort and never in the way: a look-up that takes longer than ``LOOK_UP_SECONDS`` is not waited for (it goes on by
itself: a Redis command that is cancelled hands its answer to the next), and after one like that nobody looks for
``PAUSE_SECONDS``.  Writing happens behind the reply's back.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine
from typing import Any, Final

from shared import codec
from shared.errors import IntegrityError, StoreError, WireError
from shared.ports import Clock, Store
from shared.sealing import Sealer
from shared.telemetry import Metrics
from shared.types import KnownVerdict

KEEP_SECONDS: Final = 600.0
LOOK_UP_SECONDS: Final = 0.02
"""Redis answers in 0.2 ms; by then decoding would be over."""
PAUSE_SECONDS: Final = 1.0
WRITES: Final = 64
"""At a time; what comes while as many are under way is not shared."""

_log = logging.getLogger(__name__)


class SharedVerdicts:
    """The verdicts of one encoder."""

    def __init__(self, store: Store, sealer: Sealer, encoder: str, clock: Clock, metrics: Metrics) -> None:
        self._store = store
        self._sealer = sealer
        self._encoder = encoder
        self._clock = clock
        self._metrics = metrics
        self._pause_ends = 0.0
        self._under_way: set[asyncio.Task[Any]] = set()

    async def get(self, sha256: str) -> KnownVerdict | None:
        """Return what is known, of whichever revision of the index."""
        if self._clock.monotonic() < self._pause_ends:
            return None
        looking = self._start(self._get(self._place(sha256)))
        await asyncio.wait({looking}, timeout=LOOK_UP_SECONDS)
        if not looking.done():
            self._pause_ends = self._clock.monotonic() + PAUSE_SECONDS
            self._count("late")
            return None
        return looking.result()

    def put(self, sha256: str, known: KnownVerdict) -> None:
        """Begin to tell the others; never waits."""
        if len(self._under_way) < WRITES and self._clock.monotonic() >= self._pause_ends:
            _ = self._start(self._put(self._place(sha256), known))

    async def stop(self) -> None:
        """Wait for what is under way, each bounded by the store's adapter."""
        if self._under_way:
            await asyncio.wait(self._under_way)

    def _place(self, sha256: str) -> str:
        return f"verdict/{self._encoder}/{sha256}"

    def _start[T](self, call: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        task = asyncio.get_running_loop().create_task(call)
        self._under_way.add(task)
        task.add_done_callback(self._under_way.discard)
        return task

    async def _get(self, place: str) -> KnownVerdict | None:
        try:
            held = await self._store.get(place)
            if held is None:
                self._count("miss")
                return None
            known = codec.decode_known(self._sealer.open(held.value, place))
        except StoreError as error:
            self._failed("get", error)
            return None
        except (IntegrityError, WireError) as error:
            _log.warning("a verdict in the store is not used: %s", error)
            self._count("refused")
            return None
        self._count("hit")
        return known

    async def _put(self, place: str, known: KnownVerdict) -> None:
        sealed = self._sealer.seal(codec.encode_known(known), place)
        try:
            if await self._store.compare_and_set(place, None, sealed, ttl=KEEP_SECONDS) is None:
                held = await self._store.get(place)
                if held is not None:
                    await self._store.compare_and_set(place, held.version, sealed, ttl=KEEP_SECONDS)
        except StoreError as error:
            self._failed("put", error)

    def _failed(self, operation: str, error: StoreError) -> None:
        self._pause_ends = self._clock.monotonic() + PAUSE_SECONDS
        _log.warning("verdicts are not shared for %g s: %s", PAUSE_SECONDS, error)
        self._metrics.count("safelight_store_errors_total", operation=f"{operation}_verdict")
        self._count("failed")

    def _count(self, outcome: str) -> None:
        self._metrics.count("safelight_worker_shared_verdicts_total", outcome=outcome)
