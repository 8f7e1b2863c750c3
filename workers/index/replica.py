"""A worker's copy of the index: the newest snapshot, the log replayed, then the log followed for ever.

The view that is searched is replaced whole, by one assignment.  While the store is away the last view serves on.
Entries that cannot be trusted or belong to another encoder are counted and never searched; a snapshot like that is
refused and what was there before stays.
"""

from __future__ import annotations

import asyncio
import logging
import random
import threading
from collections import Counter
from collections.abc import Callable
from typing import Final

from shared.core.matching import Calibration
from shared.errors import IntegrityError, SafelightError, StoreError
from shared.ports import Clock, Store
from shared.sealing import Sealer
from shared.telemetry import Metrics
from shared.types import INDEX_LOG
from workers.index.log import SNAPSHOT_BLOB, SNAPSHOT_KEY, Converts, IndexFollower, IndexLog, IndexStaleError
from workers.index.snapshot import Snapshot
from workers.index.state import IndexState
from workers.index.status import Health
from workers.index.view_builder import Job, ViewBuilder
from workers.search.ann_index import EXACT_LIMIT, AnnIndex
from workers.search.segment import Segment
from workers.search.self_recall import self_recall
from workers.search.vector_graph import VectorGraph
from workers.search.view import IndexView

__all__ = ["SNAPSHOT_BLOB", "SNAPSHOT_KEY", "IndexReplica", "IndexView"]

WAIT_SECONDS: Final = 1.0
"""How long one look at the end of the log lasts; an entry ends it at once."""
LEAST_SELF_RECALL: Final = 0.99
"""Below this share of its own vectors found an index is not well, and says so."""
RETRY_SECONDS: Final = 0.2
RETRY_LIMIT_SECONDS: Final = 5.0
RELOAD_SPREAD: Final = 10
"""Retries within which replicas that fell behind load again, each at a time of its own; their views serve on."""

_logger = logging.getLogger(__name__)


class IndexReplica:
    """Follows the index for one encoder.  Belongs to one event loop; a view may be searched in any thread.

    ``convert`` makes other encoders' references its own, where the encoder is being changed.
    """

    def __init__(
        self,
        store: Store,
        sealer: Sealer,
        encoder_id: str,
        calibration: Calibration,
        metrics: Metrics,
        *,
        exact_limit: int = EXACT_LIMIT,
        retry_seconds: float = RETRY_SECONDS,
        convert: Converts | None = None,
    ) -> None:
        self.log = IndexLog(store, sealer)
        self.encoder = encoder_id
        self._convert = convert
        self._calibration = calibration
        self._metrics = metrics
        self._exact_limit = exact_limit
        self._retry_seconds = retry_seconds
        self._follower: IndexFollower | None = None
        self._behind = True
        self._builder = self._new_builder()
        self._view = self._builder.build(self._builder.inputs(IndexState(), 0))
        self._one_builds = asyncio.Lock()
        self._one_publishes = asyncio.Lock()
        self._look_at_shape = asyncio.Event()

    def current(self) -> IndexView:
        """Return the newest view; without references until ``load`` or ``tail`` got through."""
        return self._view

    def caught_up(self) -> bool:
        """Tell whether the index was loaded and, as far as is known, follows the log; for readiness."""
        return self._follower is not None and not self._behind

    @property
    def position(self) -> int:
        """The log position of the state."""
        return self._follower.position if self._follower is not None else 0

    def complete(self) -> bool:
        """Tell whether everything in the log was understood, so that a snapshot from here would lose nothing."""
        return self.caught_up() and not self._builder.unsearchable and not (self._follower and self._follower.refusals)

    async def load(self) -> None:
        """Load the newest snapshot and replay the log.

        Raises IntegrityError and StoreError; then what was loaded before stays.
        """
        try:
            follower = await IndexFollower.load(
                self.log, encoder=self.encoder, refused=self._refuse, convert=self._convert
            )
            if self.position > follower.position == 0:
                # Nothing takes back what was ever written: a server has come up without its data.
                raise IntegrityError("the store holds no index any more; restore it from a backup, or restart workers")
            builder = self._new_builder()
            await asyncio.to_thread(builder.restore, follower.state, follower.snapshot)
            view = await asyncio.to_thread(builder.build, builder.inputs(follower.state, follower.position))
        except IntegrityError as error:
            self._count("snapshot", error)
            raise
        follower.snapshot = None  # its references live on in the state, its codes in the base
        self._follower, self._builder, self._behind = follower, builder, False
        self._publish(view)
        self._look_at_shape.set()

    async def catch_up(self) -> IndexView:
        """Follow the log to where it ends now and return the view there: for a command, where nothing tails.

        Raises IntegrityError and StoreError.
        """
        if self._follower is None:
            await self.load()
        try:
            moved = False
            while await self._advance():
                moved = True
        except IndexStaleError:
            await self.load()
        else:
            if moved:
                await self._refresh()
        if self._builder.worn():
            await self.rebuild()
        return self._view

    async def tail(self) -> None:
        """Follow the log for ever, loading first where that was not done; outlives every store and integrity error."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._follow())
            group.create_task(self._keep_in_shape())

    async def rebuild(self) -> Snapshot:
        """Build the base anew, swap it in, and return the state it was built from.

        Raises IndexStaleError where the index was loaded again meanwhile, BuildStoppedError.
        """
        async with self._one_builds:
            follower, builder = self._follower, self._builder
            if follower is None:
                raise IndexStaleError("the index is not loaded yet")
            job, sets, position = builder.begin(), follower.state.created(), follower.position
            base = await self._run(builder, job)
        codes = base.ann.code_image()
        return Snapshot(encoder=self.encoder, position=position, sets=sets, references=base.references, codes=codes)

    async def _merge(self) -> None:
        async with self._one_builds:
            await self._run(self._builder, self._builder.begin_merge())

    async def _run(self, builder: ViewBuilder, job: Job) -> Segment:
        try:
            segment = await _in_stoppable_thread(builder, job)
        except BaseException:
            builder.abandon()
            raise
        if builder is not self._builder:
            raise IndexStaleError("the index was loaded again while a segment was being built")
        builder.adopt(job, segment)
        if job.first == 0 and self._follower is not None:
            # One table for both: what the state stood on before is no longer held.
            self._follower.state.rebase(segment.references, {*job.since, *builder.unsearchable}, job.gone)
        await self._refresh()
        return segment

    def base_ann(self) -> AnnIndex:
        """Return the index of the base's vectors."""
        return self._builder.base_ann()

    async def put_graph(self, graph: VectorGraph, answered: Callable[[bool], None]) -> None:
        """Search by a graph before the base's codes; ``answered`` is told in the thread that searches.

        Nothing comes of it where the base is built anew meanwhile, or the graph is of other vectors.
        """
        builder, before = self._builder, self._builder.base_ann()
        ann = await asyncio.to_thread(before.with_graph, graph, answered)
        if builder is self._builder and ann is not before and builder.put_ann(before, ann):
            await self._refresh()

    async def probe(self, clock: Clock) -> Health:
        """Search for a sample of what is in the index; what came of it is a metric, too."""
        view, position, tombstones = self._view, self.position, self._builder.tombstones
        recall = await asyncio.to_thread(self_recall, view, seed=position)
        self._metrics.set("safelight_index_self_recall", recall.share)
        if recall.share < LEAST_SELF_RECALL:
            _logger.error("the index finds %d of %d of its own vectors", recall.found, recall.tried)
        return Health(at=clock.wall(), position=position, tombstones=tombstones, recall=recall)

    async def _follow(self) -> None:
        delay = self._retry_seconds
        at_end = self._now()
        while True:
            try:
                if await self._step():
                    at_end = self._now()
                delay = self._retry_seconds
            except IndexStaleError as error:
                _logger.warning("loading the index again: %s", error)
                self._behind = True
                # Spread out: every replica that was away would ask the store for all of the index at once.
                await asyncio.sleep(random.uniform(0.0, RELOAD_SPREAD * self._retry_seconds))  # noqa: S311
            except (StoreError, IntegrityError) as error:
                if isinstance(error, StoreError):
                    self._metrics.count("safelight_store_errors_total", operation="index")
                _logger.warning("the index stands still, next try in %.1f s: %s", delay, error)
                await asyncio.sleep(delay)
                delay = min(2 * delay, RETRY_LIMIT_SECONDS)
            self._metrics.set("safelight_index_staleness_seconds", self._now() - at_end)

    @staticmethod
    def _now() -> float:
        return asyncio.get_running_loop().time()

    async def _step(self) -> bool:
        """Go on along the log; tell whether its end was reached."""
        if self._follower is None or self._behind:
            await self.load()
        if await self._advance():
            await self._refresh()
            return False
        await self.log.store.wait(INDEX_LOG, self.position, WAIT_SECONDS)
        return True

    async def _advance(self) -> bool:
        """Apply the next entries of the log; False at its end.  Raises IndexStaleError."""
        follower = self._follower
        assert follower is not None  # noqa: S101 - load sets it or raises
        changes = await follower.advance()
        for _, change in changes:
            self._builder.note(follower.state, change)
        return bool(changes)

    async def _keep_in_shape(self) -> None:
        while True:
            await self._look_at_shape.wait()
            self._look_at_shape.clear()
            try:
                if self._builder.worn():
                    await self.rebuild()
                elif self._builder.crowded():
                    await self._merge()
            except IndexStaleError as error:
                _logger.info("a new segment was thrown away: %s", error)

    async def _refresh(self) -> None:
        async with self._one_publishes:  # inputs are taken in order, so views are published in order
            builder, follower = self._builder, self._follower
            if follower is None:
                return
            view = await asyncio.to_thread(builder.build, builder.inputs(follower.state, follower.position))
            if builder is self._builder:
                self._publish(view)
        self._look_at_shape.set()

    def _publish(self, view: IndexView) -> None:
        self._view = view
        self._metrics.set("safelight_index_references", sum(facts.size for facts in view.sets.values()))
        self._metrics.set("safelight_index_tombstones", self._builder.tombstones)
        kept: Counter[str] = Counter()
        for live in view.segments:
            kept.update(live.segment.kept)
        for kind, size in kept.items():
            self._metrics.set("safelight_index_bytes", size, kind=kind)
        graph = view.segments[0].segment.ann.graph
        self._metrics.set("safelight_index_graph_vectors", 0 if graph is None else len(graph.rows))
        unsearched = sum(live.segment.unsearched for live in view.segments)
        self._metrics.set("safelight_index_unsearched_references", unsearched)
        views = sum(live.segment.signs.unsearched for live in view.segments)
        self._metrics.set("safelight_index_unsearched_views", views)
        self._metrics.set("safelight_index_position", self.position)

    def _new_builder(self) -> ViewBuilder:
        return ViewBuilder(self.encoder, self._calibration, self._refuse_reference, exact_limit=self._exact_limit)

    def _refuse(self, error: SafelightError) -> None:
        self._count("key" if isinstance(error, IntegrityError) else "format", error)

    def _refuse_reference(self, error: IntegrityError) -> None:
        self._count("encoder", error)

    def _count(self, cause: str, error: SafelightError) -> None:
        self._metrics.count("safelight_index_rejected_entries_total", cause=cause)
        _logger.warning("refused from the index: %s", error)


async def _in_stoppable_thread(builder: ViewBuilder, job: Job) -> Segment:
    # A million's codes take some seconds; the program that is told to end must not wait for it.
    stop = threading.Event()
    try:
        return await asyncio.to_thread(builder.build_segment, job, stop.is_set)
    finally:
        stop.set()
