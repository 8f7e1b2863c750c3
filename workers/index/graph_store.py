"""A graph in the store: one an encoder, built by one worker and read by the others.

The key names the slot in which the sealed parts are and what they are; the writer fills the other slot first, so
what a writer that was killed left behind is overwritten by the next.  Each part is sealed for its place in this very
graph.  A graph only saves time: one that is missing, broken or of another version costs nothing but that.
"""

from __future__ import annotations

import asyncio
import json
import secrets
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from hashlib import sha256
from importlib.metadata import version
from typing import Final

import numpy as np

from shared.errors import IntegrityError
from shared.ports import Store
from shared.sealing import OVERHEAD_BYTES, Sealer
from workers.search.memory_file import MemoryFile
from workers.search.vector_graph import GraphImage

KEY: Final = "index/graph"
PART_BYTES: Final = 4 << 20
"""Sealed in 1 ms, as a snapshot's parts are."""
FORMAT: Final = f"1 hnswlib {version('hnswlib')}"
"""Another library's files are not opened: it trusts them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredGraph:
    """Where a graph is; ``name`` is its own, the last three are bytes."""

    name: str
    format: str
    slot: int
    axes: int
    prints: int
    file: int

    def parts(self) -> Iterator[tuple[str, slice]]:
        """Yield each part's column and place in it."""
        for column, size in (("axes", self.axes), ("prints", self.prints), ("file", self.file)):
            for first in range(0, size, PART_BYTES):
                yield column, slice(first, min(first + PART_BYTES, size))


class GraphStore:
    """An encoder's graph in the store; everything raises StoreError."""

    def __init__(self, store: Store, sealer: Sealer, encoder: str) -> None:
        self._store, self._sealer, self._encoder = store, sealer, encoder
        self._key = f"{KEY}/{sha256(encoder.encode()).hexdigest()[:16]}"

    async def held(self) -> StoredGraph | None:
        """Return what is there; raises IntegrityError where that makes no sense or is another version's."""
        return (await self._held())[0]

    async def _held(self) -> tuple[StoredGraph | None, int | None]:
        held = await self._store.get(self._key)
        if held is None:
            return None, None
        try:
            graph = StoredGraph(**json.loads(self._sealer.open(held.value, place=self._encoder)))
        except (ValueError, TypeError) as error:
            raise IntegrityError(f"what the store says of the graph cannot be read: {error}") from error
        if graph.format != FORMAT:
            raise IntegrityError(f"the graph in the store is of version {graph.format}, not {FORMAT}")
        return graph, held.version

    async def read(self, held: StoredGraph) -> GraphImage | None:
        """Return a graph's bytes, None where it was replaced meanwhile; raises IntegrityError."""
        file = MemoryFile(held.file)
        axes, prints = np.empty(held.axes, np.uint8), np.empty(held.prints, np.uint8)
        columns = {"axes": memoryview(axes), "prints": memoryview(prints), "file": file.map()}
        parts = tuple(held.parts())

        def take(number: int, sealed: memoryview) -> None:
            column, place = parts[number]
            self._sealer.open_into(sealed, _place(held, number), columns[column][place])

        names = [self._blob(held, number) for number in range(len(parts))]
        if not await self._store.read_blobs(names, PART_BYTES + OVERHEAD_BYTES, take):
            return None
        return GraphImage(axes=axes, prints=prints, file=file)

    async def write(self, image: GraphImage) -> StoredGraph | None:
        """Store a graph in place of the one before; None where somebody else did so meanwhile."""
        try:
            before, expected = await self._held()
        except IntegrityError:  # whatever it is, this one takes its place
            stale = await self._store.get(self._key)
            before, expected = None, None if stale is None else stale.version
        columns = {"axes": memoryview(image.axes), "prints": memoryview(image.prints), "file": image.file.map()}
        graph = StoredGraph(
            name=secrets.token_hex(16),
            format=FORMAT,
            slot=0 if before is None else 1 - before.slot,
            **{column: len(data) for column, data in columns.items()},
        )
        for number, (column, place) in enumerate(graph.parts()):
            part = await asyncio.to_thread(self._sealer.seal, columns[column][place], _place(graph, number))
            await self._store.put_blob(self._blob(graph, number), part)
        value = self._sealer.seal(json.dumps(asdict(graph)).encode(), place=self._encoder)
        if await self._store.compare_and_set(self._key, expected, value) is None:
            return None
        if before is not None:
            await self._delete(before)
        return graph

    async def drop(self) -> None:
        """Delete the graph; idempotent."""
        try:
            held, _ = await self._held()
        except IntegrityError:
            held = None
        await self._store.delete(self._key)
        if held is not None:
            await self._delete(held)

    async def _delete(self, graph: StoredGraph) -> None:
        for number, _ in enumerate(graph.parts()):
            await self._store.delete_blob(self._blob(graph, number))

    def _blob(self, graph: StoredGraph, number: int) -> str:
        return f"{self._key}/{graph.slot}/{number}"


def _place(graph: StoredGraph, number: int) -> str:
    return f"index-graph/{graph.name}/{number}"


__all__ = ["GraphStore", "StoredGraph"]
