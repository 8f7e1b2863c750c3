"""The loop around the encoder: images in, one vector each out, batched as they come.

How long a run takes is measured all the time, so that an image whose deadline leaves no time for it is told at once.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Protocol

import numpy as np
from numpy.typing import NDArray

from shared.errors import DecodeError, EncoderUnavailableError, ErrorCode
from shared.ports import Clock
from shared.telemetry import Metrics
from shared.types import Priority
from workers.encoders.batching import MicroBatcher
from workers.encoders.running_average import RunningAverage

BATCH_WAIT_SECONDS: Final = 0.0
"""A CPU encodes eight images in eight times the time of one, so holding one back for company only costs."""


class Embeds(Protocol):
    """What turns pixels into vectors; blocks, so it is called in a thread."""

    def embed(self, pixels: Sequence[bytes]) -> NDArray[np.float32]:
        """Return n x dimension, L2 = 1."""
        ...


@dataclass(frozen=True, slots=True)
class _Item:
    pixels: bytes
    vector: asyncio.Future[NDArray[np.float32]]


class EmbeddingQueue:
    """Share one encoder among many images, between ``start`` and ``stop``."""

    def __init__(self, encoder: Embeds, clock: Clock, metrics: Metrics, *, sizes: Sequence[int]) -> None:
        self._encoder = encoder
        self._clock = clock
        self._metrics = metrics
        self._batcher: MicroBatcher[_Item] = MicroBatcher(sizes=sizes, wait=BATCH_WAIT_SECONDS)
        self._run_time = RunningAverage()
        self._added = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._askers: set[asyncio.Future[NDArray[np.float32]]] = set()

    def start(self) -> None:
        """Begin to serve."""
        self._task = asyncio.get_running_loop().create_task(self._run())

    async def stop(self) -> None:
        """Serve no more, and tell all who wait for a vector; idempotent."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
            self._task = None
        for vector in self._askers:
            if not vector.done():
                vector.set_exception(_not_running())

    def expected(self) -> float:
        """Return the seconds after which an image that comes now has its vector, as far as is known."""
        return self._run_time.seconds * (1 + len(self._batcher) // self._batcher.limit)

    async def embed(
        self, pixels: bytes, *, deadline: float | None = None, priority: Priority = Priority.UPLOAD
    ) -> NDArray[np.float32]:
        """Return one vector; raises DecodeError(too_late), at once where the deadline leaves no time for the encoder.

        Raises what the encoder raised, EncoderUnavailableError where nothing serves.
        """
        if self._task is None or self._task.done():
            raise _not_running()
        now = self._clock.monotonic()
        if deadline is not None and now + self.expected() > deadline:
            raise _too_late()
        item = _Item(pixels, asyncio.get_running_loop().create_future())
        self._askers.add(item.vector)
        item.vector.add_done_callback(self._askers.discard)
        self._batcher.add(item, now, deadline, priority)
        self._added.set()
        return await item.vector

    async def _run(self) -> None:
        while True:
            opens = self._batcher.deadline
            now = self._clock.monotonic()
            if opens is None or now < opens:
                await self._wait(None if opens is None else opens - now)
                continue
            due = self._batcher.due(now)
            for item in due.late:
                if not item.vector.done():
                    item.vector.set_exception(_too_late())
            # Who gave up waiting is not computed for.
            wanted = [item for item in due.batch if not item.vector.done()]
            if wanted:
                await self._encode(wanted)

    async def _wait(self, timeout: float | None) -> None:
        self._added.clear()
        try:
            async with asyncio.timeout(timeout):
                await self._added.wait()
        except TimeoutError:
            return

    async def _encode(self, items: list[_Item]) -> None:
        started = self._clock.monotonic()
        try:
            vectors = await asyncio.to_thread(self._encoder.embed, [item.pixels for item in items])
        except Exception as error:  # noqa: BLE001 - each asker gets it and decides; the loop serves the next batch
            for item in items:
                if not item.vector.done():
                    item.vector.set_exception(error)
            return
        self._metrics.observe("safelight_worker_batch_size", len(items))
        elapsed = self._clock.monotonic() - started
        self._metrics.observe("safelight_worker_encode_seconds", elapsed)
        self._run_time.add(elapsed)
        self._batcher.reserve = self._run_time.seconds
        for item, vector in zip(items, vectors, strict=True):
            if not item.vector.done():
                item.vector.set_result(vector)


def _too_late() -> DecodeError:
    return DecodeError(ErrorCode.TOO_LATE, "the deadline leaves no time for the encoder")


def _not_running() -> EncoderUnavailableError:
    return EncoderUnavailableError("the encoder's queue is not running")
