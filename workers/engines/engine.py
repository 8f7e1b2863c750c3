"""All that belongs to one encoder in a worker: the encoder, its index, its classifiers, and what judges images by them.

A worker has one, and a second one beside it while the deployment changes from one encoder to another.  A question that
was begun with one is finished with it.
"""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from dataclasses import dataclass

from shared.config import Settings
from shared.ports import Clock, Store
from shared.sealing import Sealer
from shared.telemetry import Metrics
from shared.types import RedactionOrder, Verdict
from workers.classifying.hard_negatives import Candidates
from workers.classifying.labelling import Labeller
from workers.classifying.replica import ClassifierReplica
from workers.classifying.vectors import shipped_features
from workers.decoding.pool import DecodePool
from workers.decoding.shared_pools import DecodePools
from workers.encoders.encoder import Encoder
from workers.encoders.names import EncoderName
from workers.engines.engine_metrics import EngineMetrics
from workers.engines.label_sources import loaders, shipped_answers
from workers.index.replica import IndexReplica
from workers.migration.adapting import Adapter
from workers.serving.admission import Admission
from workers.serving.container_inspector import ContainerInspector
from workers.serving.inspector import Inspector
from workers.serving.shared_verdicts import SharedVerdicts
from workers.serving.verdicts import Question, Verdicts


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """What a worker's engines share."""

    settings: Settings
    store: Store
    sealer: Sealer
    clock: Clock
    metrics: Metrics
    admission: Admission
    pools: DecodePools


class Engine:
    """Answers between ``start`` and ``stop``; follows index and classifiers while ``follow`` runs."""

    def __init__(self, around: Surroundings, name: EncoderName, encoder: Encoder, adapter: Adapter | None) -> None:
        self.name = name
        self.encoder = encoder
        self._around = around
        self._metrics = EngineMetrics(around.metrics)
        self._stack = AsyncExitStack()
        self._asked = 0
        self._idle = asyncio.Event()
        self._idle.set()
        self._pool: DecodePool | None = None
        self.index = IndexReplica(
            around.store,
            around.sealer,
            encoder.id,
            encoder.calibration,
            self._metrics,
            convert=None if adapter is None else adapter.references,
        )
        self.classifiers = ClassifierReplica(
            around.store,
            around.sealer,
            loaders(encoder, None if adapter is None else adapter.classifier),
            self._metrics,
            shipped_answers(around.settings, name),
        )
        self._candidates = Candidates(around.clock) if around.settings.worker.hard_negatives else None
        self._labels = Labeller(
            self.classifiers, shipped_features(), encoder.side, around.metrics, notes=self._candidates
        )
        self._verdicts: Verdicts | None = None

    async def start(self) -> None:
        """Begin to serve; raises ChildLostError."""
        self._pool = await self._around.pools.take(self.encoder.side)
        self._stack.push_async_callback(self._around.pools.give_back, self.encoder.side)
        around, sharing = self._around, None
        if around.settings.sqlite_path is None:  # the embedded store serves one worker, which has nobody to tell
            sharing = SharedVerdicts(around.store, around.sealer, self.encoder.id, around.clock, around.metrics)
            self._stack.push_async_callback(sharing.stop)
        containers = await self.inspection(around.metrics, self._stack)
        self._verdicts = Verdicts(
            containers, self.index, self.classifiers, around.admission, around.clock, self._metrics, sharing=sharing
        )

    def show(self) -> None:
        """Have the gauges tell of this engine: it is the one that answers from now on."""
        self._metrics.show()

    def hide(self) -> None:
        """Have them tell of it no more."""
        self._metrics.hide()

    @property
    def pool(self) -> DecodePool:
        """What decodes for it; after ``start``."""
        assert self._pool is not None  # noqa: S101 - see above
        return self._pool

    async def inspection(self, metrics: Metrics, stack: AsyncExitStack) -> ContainerInspector:
        """Return what judges images and containers, counting in ``metrics``, until ``stack`` is closed."""
        around = self._around
        inspector = Inspector(
            self.pool,
            self.encoder,
            self.index,
            around.clock,
            metrics,
            batch_sizes=self.encoder.batch_sizes,
            labels=self._labels,
        )
        inspector.start()
        stack.push_async_callback(inspector.stop)
        limit = around.settings.worker.max_unpacked
        return ContainerInspector(inspector, self.pool, around.clock, metrics, max_unpacked=limit)

    async def follow(self) -> None:
        """Follow index and classifiers for ever; outlives every store and integrity error."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self.index.tail())
            group.create_task(self.classifiers.tail())
            if self._candidates is not None:
                group.create_task(self._candidates.keep(self._around.store, self._around.sealer))

    def loaded(self) -> bool:
        """Tell whether index and classifiers are there: a verdict before would let protected images pass."""
        return self.index.caught_up() and self.classifiers.caught_up()

    async def verdict(self, question: Question) -> Verdict:
        """Return the verdict by the question's deadline."""
        assert self._verdicts is not None  # noqa: S101 - made by start
        self._enter()
        try:
            return await self._verdicts.verdict(question)
        finally:
            self._leave()

    async def obscure(self, data: bytes, order: RedactionOrder, *, deadline: float | None = None) -> bytes:
        """Return the image file with ``order`` carried out; raises DecodeError."""
        self._enter()
        try:
            return await self.pool.obscure(data, order, deadline=deadline)
        finally:
            self._leave()

    async def stop(self) -> None:
        """Wait for the questions that are under way, each of which has a deadline, and serve no more; idempotent."""
        await self._idle.wait()
        await self._stack.aclose()

    def _enter(self) -> None:
        self._asked += 1
        self._idle.clear()

    def _leave(self) -> None:
        self._asked -= 1
        if not self._asked:
            self._idle.set()
