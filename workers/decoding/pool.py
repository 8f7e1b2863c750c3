"""The pool of decode children: one item each at a time, one item lost at most, a spare always warm.

A child is killed when an item takes longer than the decode timeout, and replaced at once.  It is *not* killed when
only the asker's deadline passes: under load, starting a process costs more than the rest of the item, and the pool
would fall behind for good.
"""

from __future__ import annotations

import asyncio
import logging
from typing import Final

from shared.errors import DecodeError, ErrorCode
from shared.telemetry import Metrics
from shared.types import DecodedImage, RedactionOrder
from workers.decoding.process import ChildLostError, DecodeProcess
from workers.decoding.protocol import ObscuredImage, Operation, Reply, Unpacked, pack_order
from workers.decoding.unpack_protocol import Findings, UnpackOrder, pack_unpack_order

SPARES: Final = 1
QUEUE_PER_CHILD: Final = 64
"""Items that may wait for each child; at 8 ms a photograph that is half a second."""
RESTART_SECONDS: Final = 1.0
"""Pause after a child that would not even start."""
UNPACK_GRACE_SECONDS: Final = 2.0
"""A child that unpacks looks at the clock between two entries; one that is still at it so much later is killed."""

_log = logging.getLogger(__name__)


_Result = DecodedImage | ObscuredImage | Unpacked


class _Job:
    """An item; ``begun`` once a child has it."""

    def __init__(self, data: bytes, operation: Operation, order: bytes = b"") -> None:
        self.data = data
        self.operation = operation
        self.order = order
        self.begun = False


class _UnpackJob(_Job):
    """A container; what is found in it comes before its outcome."""

    def __init__(self, data: bytes, order: UnpackOrder) -> None:
        super().__init__(data, Operation.UNPACK, pack_unpack_order(order))
        self.limits = order.limits()
        self.findings = Findings(self.limits)


class DecodePool:
    """``size`` children at work; ``timeout`` in seconds for one item; ``side`` of the encoder's input.

    Of an animation ``max_frames`` are judged at most; all that are decoded together have ``max_pixels`` at most.
    ``spares`` are warm beside those at work: for a command, none is worth the 0.7 s of a core that it takes to start.
    """

    def __init__(
        self,
        *,
        size: int,
        side: int,
        timeout: float,
        max_pixels: int,
        metrics: Metrics,
        max_frames: int = 16,
        spares: int = SPARES,
    ) -> None:
        self._size = size
        self._spares = spares
        self._side = side
        self._timeout = timeout
        self._max_pixels = max_pixels
        self._max_frames = max_frames
        self._metrics = metrics
        self._permits = asyncio.Semaphore(size)
        self._idle: asyncio.Queue[DecodeProcess] = asyncio.Queue()
        self._running: set[asyncio.Task[_Result]] = set()
        self._keepers: list[asyncio.Task[None]] = []
        self._children: set[DecodeProcess] = set()

    async def start(self) -> None:
        """Start all children; raises ChildLostError where the first one does not come up."""
        self._adopt(await self._new_child())
        loop = asyncio.get_running_loop()
        self._keepers = [loop.create_task(self._keep(child)) for child in tuple(self._children)]
        self._keepers += [loop.create_task(self._keep(None)) for _ in range(self._size + self._spares - 1)]

    async def stop(self) -> None:
        """Kill all children and wait for their end; items under way fail.  Idempotent."""
        tasks = [*self._keepers, *self._running]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._keepers.clear()
        for child in tuple(self._children):
            await child.end()
        self._children.clear()

    def ready(self) -> bool:
        """Tell whether a child is there for the next item or busy with another."""
        return any(child.alive() for child in self._children)

    def pids(self) -> tuple[int, ...]:
        """Return the children's process ids."""
        return tuple(child.pid for child in self._children)

    async def decode(
        self, data: bytes, *, deadline: float | None = None, views: bool = False, planes: bool = True
    ) -> DecodedImage:
        """Return what the image is by ``deadline`` (the event loop's clock, which is monotonic); raises DecodeError.

        ``views``: also as a reference is enrolled; ``planes``: with what local features come from.
        """
        plain = Operation.DECODE if planes else Operation.DECODE_WITHOUT_PLANES
        job = _Job(data, Operation.DECODE_WITH_VIEWS if views else plain)
        image = await self._counted(job, deadline)
        assert isinstance(image, DecodedImage)  # noqa: S101 - a child that answers otherwise is lost
        return image

    async def obscure(self, data: bytes, order: RedactionOrder, *, deadline: float | None = None) -> bytes:
        """Return the image file with ``order`` carried out, in its own format; raises DecodeError."""
        image = await self._counted(_Job(data, Operation.OBSCURE, pack_order(order)), deadline)
        assert isinstance(image, ObscuredImage)  # noqa: S101 - as above
        return image.data

    async def unpack(self, data: bytes, order: UnpackOrder, *, deadline: float | None = None) -> Findings:
        """Return what a container holds, as far as it came out by ``deadline``; raises nothing of its own."""
        job = _UnpackJob(data, order)
        try:
            await self._outcome(job, deadline)
        except DecodeError as error:
            job.findings.error = error
        return job.findings

    async def _counted(self, job: _Job, deadline: float | None) -> _Result:
        try:
            return await self._outcome(job, deadline)
        except DecodeError as error:
            self._metrics.count("safelight_worker_decode_errors_total", code=error.code)
            raise

    async def _outcome(self, job: _Job, deadline: float | None) -> _Result:
        if len(self._running) >= self._size * (1 + QUEUE_PER_CHILD):
            raise DecodeError(ErrorCode.OVER_BUDGET, f"{len(self._running)} images wait for a decoder")
        loop = asyncio.get_running_loop()
        task = loop.create_task(self._run(job))
        self._running.add(task)
        task.add_done_callback(self._finished)
        await asyncio.wait({task}, timeout=None if deadline is None else max(0.0, deadline - loop.time()))
        if task.done() and not task.cancelled():
            return task.result()
        if not job.begun:
            task.cancel()
        raise DecodeError(ErrorCode.TOO_LATE, "the deadline passed before the image was decoded")

    async def _run(self, job: _Job) -> _Result:
        async with self._permits:
            child = await self._next_idle()
            job.begun = True
            started = asyncio.get_running_loop().time()
            reply = await self._ask(child, job)
        if isinstance(reply.outcome, DecodeError):
            raise reply.outcome
        elapsed = asyncio.get_running_loop().time() - started
        if isinstance(reply.outcome, ObscuredImage):
            self._metrics.observe("safelight_worker_redact_seconds", elapsed)
        elif isinstance(reply.outcome, Unpacked):
            self._metrics.observe("safelight_worker_unpack_seconds", elapsed)
        else:
            self._metrics.observe("safelight_worker_decode_seconds", elapsed, format=reply.outcome.info.format)
            if job.operation is not Operation.DECODE_WITH_VIEWS:
                self._count_left_out(reply.outcome)
        return reply.outcome

    def _count_left_out(self, image: DecodedImage) -> None:
        if image.info.frames_inspected < image.info.frames:
            full = len({frame.index for frame in image.frames}) >= self._max_frames
            limit = "max_frames" if full else "decoded"
            self._metrics.count("safelight_worker_frame_limit_hits_total", limit=limit)

    async def _next_idle(self) -> DecodeProcess:
        while not (child := await self._idle.get()).alive():
            # It died while it had nothing to do, as where memory is short; its keeper brings another.
            self._metrics.count("safelight_worker_decoder_restarts_total", cause="idle")
        return child

    async def _ask(self, child: DecodeProcess, job: _Job) -> Reply:
        cause = "cancelled"
        timeout = job.limits.seconds + UNPACK_GRACE_SECONDS if isinstance(job, _UnpackJob) else self._timeout
        try:
            async with asyncio.timeout(timeout):
                if isinstance(job, _UnpackJob):
                    reply = await child.unpack(job.data, job.order, job.findings, job.limits.max_image_bytes)
                else:
                    reply = await child.ask(job.data, job.operation, job.order)
            cause = "retired" if reply.retire else ""
            return reply
        except TimeoutError:
            cause = "timeout"
            raise DecodeError(ErrorCode.DECODE_TIMEOUT, f"not decoded within {timeout:g} s") from None
        except ChildLostError as error:
            cause = "crash"
            raise DecodeError(ErrorCode.DECODER_CRASHED, "the decoder died on this image") from error
        finally:
            if cause:
                self._metrics.count("safelight_worker_decoder_restarts_total", cause=cause)
                await child.end()
            else:
                self._idle.put_nowait(child)

    async def _keep(self, child: DecodeProcess | None) -> None:
        """Have one child at all times."""
        while True:
            if child is None:
                try:
                    child = await self._new_child()
                except (ChildLostError, OSError) as error:
                    _log.error("%s", error)
                    await asyncio.sleep(RESTART_SECONDS)
                    continue
                self._adopt(child)
            await child.gone()
            self._children.discard(child)
            child = None

    async def _new_child(self) -> DecodeProcess:
        return await DecodeProcess.start(side=self._side, max_pixels=self._max_pixels, max_frames=self._max_frames)

    def _adopt(self, child: DecodeProcess) -> None:
        self._children.add(child)
        self._idle.put_nowait(child)

    def _finished(self, task: asyncio.Task[_Result]) -> None:
        self._running.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None and not isinstance(error, DecodeError):
            _log.error("decoding failed: %r", error)
