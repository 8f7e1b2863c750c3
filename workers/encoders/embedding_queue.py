"""The loop around the encoder: images in, one vector each out, batched as they come.

What is to be made of a vector can be made in the thread that encoded it, right behind its batch: an image then takes
one way into a thread and back where it took two.  The next batch is encoded meanwhile, in another thread.

How long a run takes is measured all the time, so that an image whose deadline leaves no time for it is told at once.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Final, Protocol

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
class Embedded[T]:
    """A vector, and what was made of it; ``encoded_at`` and ``made_at`` are readings of the queue's clock."""

    vector: NDArray[np.float32]
    encoded_at: float
    made_at: float
    made: T | Exception

    def result(self) -> T:
        """Return what was made of the vector; raises what that raised."""
        if isinstance(self.made, Exception):
            raise self.made
        return self.made


@dataclass(frozen=True, slots=True)
class _Item:
    pixels: bytes
    then: Callable[[NDArray[np.float32]], Any]
    embedded: asyncio.Future[Embedded[Any]]


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
        self._batches: set[asyncio.Task[None]] = set()
        self._askers: set[asyncio.Future[Embedded[Any]]] = set()

    def start(self) -> None:
        """Begin to serve."""
        self._task = asyncio.get_running_loop().create_task(self._run())

    async def stop(self) -> None:
        """Serve no more, and tell all who wait for a vector; idempotent."""
        if self._task is not None:
            tasks = [self._task, *self._batches]
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            self._task = None
        for asker in self._askers:
            if not asker.done():
                asker.set_exception(_not_running())

    def expected(self) -> float:
        """Return the seconds after which an image that comes now has its vector, as far as is known."""
        return self._run_time.seconds * (1 + len(self._batcher) // self._batcher.limit)

    async def embed(
        self, pixels: bytes, *, deadline: float | None = None, priority: Priority = Priority.UPLOAD
    ) -> NDArray[np.float32]:
        """Return one vector; raises DecodeError(too_late), at once where the deadline leaves no time for the encoder.

        Raises what the encoder raised, EncoderUnavailableError where nothing serves.
        """
        return (await self.embed_then(pixels, _nothing, deadline=deadline, priority=priority)).vector

    async def embed_then[T](
        self,
        pixels: bytes,
        then: Callable[[NDArray[np.float32]], T],
        *,
        deadline: float | None = None,
        priority: Priority = Priority.UPLOAD,
    ) -> Embedded[T]:
        """Return a vector and what ``then`` made of it in the encoder's thread; raises as ``embed``.

        The rest of the batch waits for it: a millisecond is well spent there, twenty are not.
        """
        if self._task is None or self._task.done():
            raise _not_running()
        now = self._clock.monotonic()
        if deadline is not None and now + self.expected() > deadline:
            raise _too_late()
        asker: asyncio.Future[Embedded[T]] = asyncio.get_running_loop().create_future()
        self._askers.add(asker)
        asker.add_done_callback(self._askers.discard)
        self._batcher.add(_Item(pixels, then, asker), now, deadline, priority)
        self._added.set()
        return await asker

    async def _run(self) -> None:
        while True:
            opens = self._batcher.deadline
            now = self._clock.monotonic()
            if opens is None or now < opens:
                await self._wait(None if opens is None else opens - now)
                continue
            due = self._batcher.due(now)
            for item in due.late:
                if not item.embedded.done():
                    item.embedded.set_exception(_too_late())
            # Who gave up waiting is not computed for.
            wanted = [item for item in due.batch if not item.embedded.done()]
            if wanted:
                encoded = asyncio.Event()
                batch = asyncio.get_running_loop().create_task(self._serve(wanted, encoded))
                self._batches.add(batch)
                batch.add_done_callback(self._batches.discard)
                await encoded.wait()

    async def _wait(self, timeout: float | None) -> None:
        self._added.clear()
        try:
            async with asyncio.timeout(timeout):
                await self._added.wait()
        except TimeoutError:
            return

    async def _serve(self, items: Sequence[_Item], encoded: asyncio.Event) -> None:
        """Give a batch its vectors and what is made of them; ``encoded`` is set as soon as the next one may come."""
        started = self._clock.monotonic()
        tell = partial(asyncio.get_running_loop().call_soon_threadsafe, encoded.set)
        try:
            batch = await asyncio.to_thread(self._encode, items, tell)
        except Exception as error:  # noqa: BLE001 - each asker gets it and decides; the loop serves the next batch
            for item in items:
                if not item.embedded.done():
                    item.embedded.set_exception(error)
            return
        finally:
            encoded.set()
        self._metrics.observe("safelight_worker_batch_size", len(items))
        self._metrics.observe("safelight_worker_encode_seconds", batch[0].encoded_at - started)
        self._run_time.add(batch[-1].made_at - started)
        self._batcher.reserve = self._run_time.seconds
        for item, embedded in zip(items, batch, strict=True):
            if not item.embedded.done():
                item.embedded.set_result(embedded)

    def _encode(self, items: Sequence[_Item], tell: Callable[[], object]) -> list[Embedded[Any]]:
        """Encode a batch, tell so, and do what is to be done with each vector; in a thread."""
        vectors = self._encoder.embed([item.pixels for item in items])
        encoded_at = self._clock.monotonic()
        if len(self._batcher):
            tell()
        return [self._made(item.then, vector, encoded_at) for item, vector in zip(items, vectors, strict=True)]

    def _made(
        self, then: Callable[[NDArray[np.float32]], Any], vector: NDArray[np.float32], encoded_at: float
    ) -> Embedded[Any]:
        try:
            made = then(vector)
        except Exception as error:  # noqa: BLE001 - its own asker's to raise, and nobody else's of the batch
            made = error
        return Embedded(vector, encoded_at, self._clock.monotonic(), made)


def _nothing(_: NDArray[np.float32]) -> None:
    """What is made of a vector where the vector is all that is asked for."""


def _too_late() -> DecodeError:
    return DecodeError(ErrorCode.TOO_LATE, "the deadline leaves no time for the encoder")


def _not_running() -> EncoderUnavailableError:
    return EncoderUnavailableError("the encoder's queue is not running")
