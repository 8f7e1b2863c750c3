"""Keeps a graph before a large index: one worker builds it, the others take it from the store.

A worker starts without: codes answer until the graph is there, and when it cannot be had.  It is built anew when a
tenth of the index is not in it, or of it no longer in the index; until then the one before serves on.  Of vectors
whose energy lies too evenly none is built (`LEAST_HELD`): minutes of a core for a graph that could answer nothing.
"""

from __future__ import annotations

import asyncio
import logging
import threading
import weakref
from collections.abc import Callable
from functools import partial
from typing import Final

from shared.errors import IntegrityError, LeaseHeldError, StoreError
from shared.ports import Store
from shared.sealing import Sealer
from shared.telemetry import Metrics
from workers.encoders.embeddings import Stored
from workers.index.compaction import Lease
from workers.index.graph_store import GraphStore
from workers.index.replica import IndexReplica
from workers.search.ann_index import AnnIndex
from workers.search.vector_graph import LEAST_HELD, Axes, VectorGraph

GRAPH_FROM: Final = 100_000
"""Vectors of an index from which a graph is worth it: of 60,000 the codes take hardly longer to compare."""
LOOK_SECONDS: Final = 15.0
LEASE_KEY: Final = "index/graph-building"

_logger = logging.getLogger(__name__)


class GraphUpkeep:
    """Belongs to one event loop; ``current`` is the replica that answers."""

    def __init__(
        self,
        store: Store,
        sealer: Sealer,
        current: Callable[[], IndexReplica],
        lease: Lease,
        metrics: Metrics,
        *,
        graph_from: int = GRAPH_FROM,
    ) -> None:
        self._store, self._sealer, self._current, self._lease = store, sealer, current, lease
        self._metrics = metrics
        self._graph_from = graph_from
        self._seen: str | None = None
        """The graph in the store that was looked at last: its name is never given twice."""
        self._graph: tuple[str, VectorGraph] | None = None
        """The graph that was had last, and its encoder."""
        self._even: Callable[[], Stored | None] = lambda: None
        """The vectors of which no graph was built, while they are there."""

    async def run(self) -> None:
        """Look for ever; outlives every store and integrity error."""
        while True:
            try:
                await self.look()
            except (StoreError, IntegrityError) as error:
                _logger.warning("no graph before the index, its codes answer: %s", error)
            await asyncio.sleep(LOOK_SECONDS)

    async def look(self) -> None:
        """Take or build the graph that the index is in need of; raises StoreError."""
        replica = self._current()
        if not self._wants(replica):
            return
        if self._graph is not None and self._graph[0] == replica.encoder:  # the base was built anew from a snapshot
            await self._attach(replica, self._graph[1])
        if not self._wants(replica) or await self._taken(replica):
            return
        axes = await self._axes(replica.base_ann().stored)
        if not axes.enough:
            return
        try:
            await self._lease.acquire()
        except LeaseHeldError:
            return  # whoever holds it is building
        try:
            if not await self._taken(replica):  # somebody may just have been done
                await self._build(replica, axes)
        finally:
            await self._lease.release()

    def _wants(self, replica: IndexReplica) -> bool:
        ann = replica.base_ann()
        if ann.codes is None or len(ann.stored) < self._graph_from or ann.stored is self._even():
            return False
        return ann.graph is None or ann.graph.worn

    async def _axes(self, stored: Stored) -> Axes:
        """Return the axes of a graph of these vectors; where they hold too little, say so once."""
        axes = await asyncio.to_thread(Axes.of, stored)
        self._metrics.set("safelight_index_graph_held_share", axes.held)
        if not axes.enough:
            self._even = weakref.ref(stored)
            _logger.warning(
                "no graph of the index is built, its codes answer: %d directions hold %.0f %% of its vectors, not %.0f",
                len(axes.directions),
                100 * axes.held,
                100 * LEAST_HELD,
            )
        return axes

    async def _taken(self, replica: IndexReplica) -> bool:
        """Take the graph in the store, if it is another than the last; tell whether no other is needed."""
        stored = GraphStore(self._store, self._sealer, replica.encoder)
        try:
            held = await stored.held()
            if held is None or held.name == self._seen:
                return False
            image = await stored.read(held)
            if image is None:
                return False
            self._seen = held.name
            dimension = replica.base_ann().stored.shape[1]
            graph = await asyncio.to_thread(VectorGraph.read, image, dimension)
        except IntegrityError as error:
            self._metrics.count("safelight_index_rejected_entries_total", cause="graph")
            _logger.warning("refused from the index, its codes answer: %s", error)
            return False
        await self._attach(replica, graph)
        return not self._wants(replica)

    async def _build(self, replica: IndexReplica, axes: Axes) -> None:
        ann = replica.base_ann()
        _logger.info("building a graph of %d vectors", len(ann.stored))
        graph = await _in_stoppable_thread(ann, axes)
        await self._attach(replica, graph)
        stored = GraphStore(self._store, self._sealer, replica.encoder)
        written = await stored.write(await asyncio.to_thread(graph.image))
        if written is not None:
            self._seen = written.name

    async def _attach(self, replica: IndexReplica, graph: VectorGraph) -> None:
        self._graph = (replica.encoder, graph)
        await replica.put_graph(graph, partial(_count, self._metrics))


def _count(metrics: Metrics, answered: bool) -> None:  # noqa: FBT001 - a callback of one value
    metrics.count("safelight_index_graph_searches_total", outcome="graph" if answered else "codes")


async def _in_stoppable_thread(ann: AnnIndex, axes: Axes) -> VectorGraph:
    # A million take minutes; the program that is told to end must not wait for them.
    stop = threading.Event()
    try:
        return await asyncio.to_thread(VectorGraph.build, ann.stored, stop.is_set, along=axes)
    finally:
        stop.set()


__all__ = ["GRAPH_FROM", "LEASE_KEY", "GraphUpkeep"]
