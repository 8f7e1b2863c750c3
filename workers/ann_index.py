"""Nearest neighbours among L2-normalised embeddings: exact while there are few, an HNSW graph above.

An AnnIndex never changes once built: hnswlib is not safe to query while something is inserted.  Measured with 512
dimensions: the products with 10,000 vectors take 0.3 ms, about as long as the graph, and miss nothing; the graph wins
from about 20,000 (nmslib/hnswlib 0.8).

The graph proposes, the kept vectors decide.  hnswlib holds a float32 copy of whatever it is given, so it is given the
128 directions that hold most of the vectors (principal components about the origin, of a sample): a quarter of the
memory and of the building time, and what it proposes is ranked by the products of the whole vectors as they are kept,
which are not copied.  While the end of its answer still holds candidates, it is asked for more.

Products are taken with ``vecdot``: as fast as ``@`` on one core, but it never wakes OpenBLAS's threads, which cost
8 ms a call where other processes keep the cores busy.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import hnswlib
import numpy as np
import numpy.typing as npt

from shared.errors import IntegrityError
from workers.embeddings import Stored, Vectors
from workers.memory_file import MemoryFile

Rows = npt.NDArray[np.intp]
Groups = npt.NDArray[np.int32]

EXACT_LIMIT: Final = 20_000
"""Vectors of an index without a graph, and of the small sets beside one."""
PROJECTED: Final = 128
PROJECTION_SAMPLE: Final = 20_000
M: Final = 16
EF_CONSTRUCTION: Final = 200
FETCH: Final = (64, 256, 1024)
"""Neighbours that are asked for, and again where the last quarter of them still holds candidates.

An image near more than the last of these (a page of text, of which a million references hold thousands) is compared
with the nearest only.
"""
EF: Final = 128
BUILD_CHUNK: Final = 500
"""Vectors between two looks at the stop sign: about 0.1 s of building, so that a worker can leave in time."""
SCAN_CHUNK: Final = 4096
"""Vectors that are unpacked at once where all have to be looked at."""
SMALL_SET_SHARE: Final = 64
"""A set with less than this part of all vectors is searched exactly, the smallest first, up to EXACT_LIMIT vectors.

The floor of a set of m is at p = 0.1/m per vector, so about 0.1 N/m unrelated ones of all N are over it: a graph that
returns a few hundred neighbours would drown a small set's own.
"""
SPACE: Final = "ip"
"""1 - inner product: the same order as cosine for normalised vectors, without another copy."""

# hnswlib's file starts with: level 0 offset, max elements, elements, bytes per element, label offset, data offset.
_GRAPH_HEADER: Final = struct.Struct("<QQQQQQ")
_AXES_HEADER: Final = struct.Struct("<II")


class BuildStoppedError(Exception):
    """The builder was told to stop before it was done."""


@dataclass(frozen=True, slots=True)
class Floors:
    """The least cosine that counts: ``of_group`` (inf: none does), and the group of each row."""

    of_group: Vectors
    group_of: Groups

    @property
    def least(self) -> float:
        """The lowest of all."""
        return float(self.of_group.min(initial=np.inf))

    def reached(self, rows: Rows, cosines: Vectors) -> Rows:
        """Return those of the rows that reach their floors."""
        return rows[cosines >= self.of_group[self.group_of[rows]]]


@dataclass(frozen=True, slots=True, kw_only=True)
class GraphImage:
    """A graph as it is stored: its axes, and the library's own file."""

    axes: bytes
    file: MemoryFile


@dataclass(frozen=True, slots=True)
class Graph:
    """An HNSW graph of vectors along ``axes`` (dimension x fewer, orthonormal columns)."""

    index: Any  # hnswlib.Index has no types
    axes: Vectors

    @classmethod
    def build(cls, stored: Stored, stopped: Callable[[], bool], threads: int = 0) -> Graph:
        """Build from kept vectors, on half of the processors or so many; raises BuildStoppedError."""
        axes = _principal_axes(stored)
        index = hnswlib.Index(space=SPACE, dim=axes.shape[1])
        index.init_index(max_elements=len(stored), M=M, ef_construction=EF_CONSTRUCTION)
        for start in range(0, len(stored), BUILD_CHUNK):
            if stopped():
                raise BuildStoppedError
            chunk = stored[start : start + BUILD_CHUNK].astype(np.float32)
            index.add_items(chunk @ axes, np.arange(start, start + len(chunk)), num_threads=threads or _build_threads())
        index.set_ef(EF)
        return cls(index, axes)

    @classmethod
    def read(cls, image: GraphImage, count: int, dimension: int) -> Graph:
        """Restore what ``image`` gave for ``count`` vectors.

        The image must be authenticated: a crafted file makes hnswlib write out of bounds
        (https://github.com/nmslib/hnswlib/pull/677).  Its counts are checked before it is loaded; raises
        IntegrityError.
        """
        axes = _read_axes(image.axes, dimension)
        _check_graph(image.file.map(), count, axes.shape[1])
        index = hnswlib.Index(space=SPACE, dim=axes.shape[1])
        index.load_index(str(image.file.path), max_elements=count)
        index.set_ef(EF)
        return cls(index, axes)

    def image(self) -> GraphImage:
        """Return the axes and the graph."""
        # hnswlib reads and writes paths only (https://github.com/nmslib/hnswlib/issues/565).
        file = MemoryFile()
        self.index.save_index(str(file.path))
        return GraphImage(axes=_AXES_HEADER.pack(*self.axes.shape) + self.axes.astype("<f4").tobytes(), file=file)

    def nearest(self, query: Vectors, count: int) -> Rows | None:
        """Return the rows of about the ``count`` nearest, the nearest first; None where the graph reaches fewer."""
        try:
            labels, _ = self.index.knn_query(query @ self.axes, k=count, num_threads=1)
        except RuntimeError:  # "Cannot return the results in a contiguous 2D array"
            return None
        rows: Rows = labels[0].astype(np.intp)
        return rows


@dataclass(frozen=True, slots=True)
class AnnIndex:
    """Immutable search over the kept vectors ``stored`` (n x dimension, half precision); a hit's number is its row.

    ``dense`` holds those that are searched exactly as float32, whose rows are ``dense_rows``: all without a graph.
    """

    stored: Stored
    dense: Vectors
    dense_rows: Rows
    graph: Graph | None = None

    @classmethod
    def build(
        cls,
        stored: Stored,
        blocks: Sequence[tuple[int, int]] = (),
        *,
        exact_limit: int = EXACT_LIMIT,
        stopped: Callable[[], bool] = lambda: False,
        threads: int = 0,
    ) -> AnnIndex:
        """Index the rows, with a graph above ``exact_limit`` of them; raises BuildStoppedError.

        ``blocks`` are the sets' ranges of rows (first, past the last).
        """
        if len(stored) <= exact_limit:
            return cls.exact(stored)
        return cls._with_graph(stored, blocks, Graph.build(stored, stopped, threads))

    @classmethod
    def exact(cls, stored: Stored) -> AnnIndex:
        """Index the rows without a graph, however many."""
        return cls(stored, stored.astype(np.float32), np.arange(len(stored), dtype=np.intp))

    @classmethod
    def from_graph(cls, stored: Stored, blocks: Sequence[tuple[int, int]], image: GraphImage) -> AnnIndex:
        """Restore what ``graph_image`` gave for the same rows; raises IntegrityError for another's."""
        return cls._with_graph(stored, blocks, Graph.read(image, *stored.shape))

    @classmethod
    def _with_graph(cls, stored: Stored, blocks: Sequence[tuple[int, int]], graph: Graph) -> AnnIndex:
        chosen = _small_blocks(blocks, len(stored))
        rows = np.concatenate(
            [np.empty(0, np.intp), *(np.arange(first, last) for first, last in chosen)], dtype=np.intp
        )
        dense = np.empty((len(rows), stored.shape[1]), np.float32)
        place = 0
        for first, last in chosen:
            dense[place : place + last - first] = stored[first:last]
            place += last - first
        return cls(stored, dense, rows, graph)

    def graph_image(self) -> GraphImage | None:
        """Return the graph as it is stored; None where the search is exact."""
        return None if self.graph is None else self.graph.image()

    def take(self, rows: Rows) -> Vectors:
        """Return the vectors of some rows, k x dimension."""
        if self.graph is None:
            return self.dense[rows]
        return self.stored[rows].astype(np.float32)

    def candidates(self, queries: Vectors, floors: Floors) -> list[Rows]:
        """Return for each query (q x dimension) the rows whose cosine reaches the row's floor, ascending.

        Raises ValueError for another dimension.
        """
        least = floors.least
        if len(self.stored) == 0 or least == np.inf:
            return [np.empty(0, np.intp)] * len(queries)
        if queries.shape[1] != self.stored.shape[1]:
            raise ValueError(f"the index holds {self.stored.shape[1]} dimensions, the query {queries.shape[1]}")
        return [self._candidates(query, floors, least) for query in queries]

    def _candidates(self, query: Vectors, floors: Floors, least: float) -> Rows:
        exact = self._near(self.dense_rows, self.dense, query, floors, least)
        if self.graph is None:
            return exact
        return np.union1d(exact, self._approximate(self.graph, query, floors, least))

    def _approximate(self, graph: Graph, query: Vectors, floors: Floors, least: float) -> Rows:
        total = len(self.stored)
        found: Rows = np.empty(0, np.intp)
        for count in (min(wanted, total) for wanted in FETCH):
            rows = graph.nearest(query, count)
            if rows is None:
                return self._all(query, floors, least)
            cosines = np.vecdot(self.take(rows), query)
            found = floors.reached(rows, cosines)
            if count == total or not (cosines[-(count // 4 or 1) :] >= least).any():
                break
        return found

    def _all(self, query: Vectors, floors: Floors, least: float) -> Rows:
        parts = [
            np.arange(start, min(start + SCAN_CHUNK, len(self.stored)))
            for start in range(0, len(self.stored), SCAN_CHUNK)
        ]
        return np.concatenate([self._near(rows, self.take(rows), query, floors, least) for rows in parts])

    @staticmethod
    def _near(rows: Rows, vectors: Vectors, query: Vectors, floors: Floors, least: float) -> Rows:
        if len(rows) == 0:
            return rows
        cosines = np.vecdot(vectors, query)
        over = np.flatnonzero(cosines >= least)
        return floors.reached(rows[over], cosines[over])


def _small_blocks(blocks: Sequence[tuple[int, int]], total: int) -> list[tuple[int, int]]:
    """Return the ranges of the smallest sets, ascending."""
    chosen: list[tuple[int, int]] = []
    left = EXACT_LIMIT
    for first, last in sorted(blocks, key=lambda block: block[1] - block[0]):
        left -= last - first
        if left < 0 or (last - first) * SMALL_SET_SHARE >= total:
            break
        chosen.append((first, last))
    return sorted(chosen)


def _principal_axes(stored: Stored) -> Vectors:
    """Return the directions that hold most of the vectors' squared lengths, dimension x PROJECTED at most."""
    dimension = stored.shape[1]
    if dimension <= PROJECTED:
        return np.eye(dimension, dtype=np.float32)
    sample = stored[:: -(-len(stored) // PROJECTION_SAMPLE)].astype(np.float32)
    _, directions = np.linalg.eigh(sample.T @ sample)  # ascending
    return np.ascontiguousarray(directions[:, -PROJECTED:], dtype=np.float32)


def _build_threads() -> int:
    return max(1, (os.cpu_count() or 1) // 2)  # the rest keeps inspecting


def _read_axes(data: bytes, dimension: int) -> Vectors:
    if len(data) < _AXES_HEADER.size:
        raise IntegrityError("the graph in the snapshot is cut off")
    rows, columns = _AXES_HEADER.unpack_from(data)
    if rows != dimension or not 0 < columns <= rows or len(data) != _AXES_HEADER.size + 4 * rows * columns:
        raise IntegrityError("the graph in the snapshot is not that of its vectors")
    return np.frombuffer(data, dtype="<f4", offset=_AXES_HEADER.size).reshape(rows, columns).copy()


def _check_graph(data: memoryview, count: int, dimension: int) -> None:
    if len(data) < _GRAPH_HEADER.size:
        raise IntegrityError("the graph in the snapshot is cut off")
    _, capacity, elements, element_bytes, label_offset, data_offset = _GRAPH_HEADER.unpack_from(data)
    if capacity < elements or elements != count or label_offset - data_offset != dimension * 4:
        raise IntegrityError("the graph in the snapshot is not that of its vectors")
    if len(data) < elements * element_bytes:
        raise IntegrityError("the graph in the snapshot is cut off")
