"""An HNSW graph (hnswlib) that proposes which of many vectors reach a floor, and says where it cannot tell.

It holds `DIRECTIONS` coordinates of each vector, along the directions that hold most of them, and how long the rest
is.  The product of two such rows is at least the cosine of the vectors (Cauchy-Schwarz), and they have length 1
themselves.  So where the last of a query's neighbours is under the floor, all that are farther are too: what a search
leaves out for asking for too few is known.  Not known is what the graph itself misses (benchmarks/index_quality.py).

A node is known by a hash of its vector, not by a row: one graph serves an index that has changed since, whatever order
its rows are in.  Rows of the same vector are one node, of which a graph would else make an island of its own.  What
came since has no node and is compared beside it (`GraphSearch`); nodes of what is gone lead on.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import hnswlib
import numpy as np
import numpy.typing as npt

from shared.errors import IntegrityError
from workers.encoders.embeddings import Stored, Vectors
from workers.references.byte_column import Bytes
from workers.search.hamming import Rows
from workers.search.memory_file import MemoryFile
from workers.search.vector_codes import BuildStoppedError, VectorCodes

DIRECTIONS: Final = 127
"""With the length of the rest 128 numbers a node, 512 bytes; of the encoder's vectors they hold 98 %."""
AXES_SAMPLE: Final = 20_000
LEAST_HELD: Final = 0.65
"""Of the vectors' squared lengths in the directions: what is not in them may be alike, so a bound is that much higher.

Of 100,000 of the encoder's kind with noise in all directions, the bounds leave few enough to be named of 90 % of near
copies and 85 % of unrelated queries down to .54 where the directions hold 76 %, of 56 and 22 % where they hold 65, of
34 and 6 % where they hold 62, and of none where vectors are even (51)."""
M: Final = 16
EF_CONSTRUCTION: Final = 100
"""Links of a node, and neighbours looked at to find them.  With 200 a graph takes twice as long to build; of the rows
over a floor of .54 it passes over 0.11 % instead of 0.17 % (100,000 of the encoder's kind, 256 asked for)."""
FETCH: Final = (512, 1024)
"""Nodes that are asked for, and again where the last of them is still over the floor: 0.65 and 1.3 ms of 100,000.

Of a million, asked for 64, a graph may not leave the crowd in which it begins: 6 of 100 near copies were lost, of 512
one in 150.
"""
SURE_COSINE: Final = 0.75
"""From this cosine on the codes of all rows are looked at, whatever the graph says: 3 ns each, for two of their words
tell such vectors from others.  So no near copy depends on the way that leads to it."""
WORN_SHARE: Final = 0.1
"""Of the rows without a node, or the nodes without a row: what came is compared by codes, and what is gone is found in
place of what is there."""
BUILD_CHUNK: Final = 500
"""Vectors between two looks at the stop sign: 0.1 to 0.2 s, so that a worker can leave in time."""
PRINT_CHUNK: Final = 4096
SLACK: Final = 1e-3
"""What rounding may add to a cosine: vectors are kept in half precision, and rows of the graph are made of length 1."""
SPACE: Final = "ip"
SEED: Final = 2016

# How hnswlib 0.8 begins a file (saveIndex): level 0 offset, capacity, elements, bytes of an element, label offset, data
# offset, highest level, entry point, links of a node above level 0 and on it, M, 1 / ln M, ef of construction.
_HEADER: Final = struct.Struct("<QQQQQQiIQQQdQ")
_LINK_BYTES: Final = 4
_LABEL_BYTES: Final = 8

Prints = npt.NDArray[np.uint64]


@dataclass(frozen=True, slots=True)
class Axes:
    """The ``directions`` (directions x dimension, orthonormal rows) that hold most of some vectors.

    ``held`` is the share of the vectors' squared lengths in them, 1 where there are as many as dimensions.
    """

    directions: Vectors
    held: float

    @classmethod
    def of(cls, stored: Stored) -> Axes:
        """Return those of kept vectors, from a sample of `AXES_SAMPLE`: 0.2 s of 512 numbers each."""
        sample = stored[:: -(-len(stored) // AXES_SAMPLE) or 1].astype(np.float32)
        lengths, directions = np.linalg.eigh(sample.T @ sample)  # ascending
        first = len(lengths) - _directions_of(stored.shape[1])
        whole = float(lengths.sum())
        held = float(lengths[first:].sum()) / whole if whole > 0 else 1.0
        return cls(np.ascontiguousarray(directions[:, first:].T, dtype=np.float32), held)

    @property
    def enough(self) -> bool:
        """Whether a graph along them can tell near from far."""
        return self.held >= LEAST_HELD


@dataclass(frozen=True, slots=True, kw_only=True)
class GraphImage:
    """A graph as it is stored: axes (directions x dimension, float32), prints (nodes, uint64), the library's file."""

    axes: Bytes
    prints: Bytes
    file: MemoryFile


@dataclass(frozen=True, slots=True)
class VectorGraph:
    """``axes`` (directions x dimension, orthonormal rows); ``prints``: of each node's vector, ascending."""

    index: Any  # hnswlib.Index has no types
    axes: Vectors
    prints: Prints

    @classmethod
    def build(
        cls, stored: Stored, stopped: Callable[[], bool] = lambda: False, *, along: Axes | None = None
    ) -> VectorGraph:
        """Build from kept vectors on one thread, with nodes in the order of their prints; ``along`` are their axes.

        Raises BuildStoppedError.
        """
        axes = (along or Axes.of(stored)).directions
        prints, first_rows = np.unique(prints_of(stored), return_index=True)
        index = hnswlib.Index(space=SPACE, dim=len(axes) + 1)
        index.init_index(max_elements=len(prints), M=M, ef_construction=EF_CONSTRUCTION, random_seed=SEED)
        for first in range(0, len(prints), BUILD_CHUNK):
            if stopped():
                raise BuildStoppedError
            rows = first_rows[first : first + BUILD_CHUNK]
            index.add_items(_shortened(stored[rows], axes), np.arange(first, first + len(rows)), num_threads=1)
        return cls(index, axes, prints)

    @classmethod
    def read(cls, image: GraphImage, dimension: int) -> VectorGraph:
        """Restore what ``image`` gave, for vectors of this dimension; raises IntegrityError for another's.

        The image must be authenticated: a crafted file makes hnswlib write out of bounds
        (https://github.com/nmslib/hnswlib/pull/677).  What its header says is checked before it is loaded.
        """
        directions, nodes = _directions_of(dimension), len(image.prints) // 8
        if len(image.axes) != 4 * directions * dimension or len(image.prints) != 8 * nodes:
            raise IntegrityError("the graph in the store is not that of such vectors")
        axes, prints = image.axes.view("<f4").reshape(directions, dimension), image.prints.view("<u8")
        if not np.isfinite(axes).all() or not (prints[1:] > prints[:-1]).all():
            raise IntegrityError("the axes or nodes of the graph in the store are none")
        _check_file(image.file.map(), nodes, directions + 1)
        index = hnswlib.Index(space=SPACE, dim=directions + 1)
        try:
            index.load_index(str(image.file.path), max_elements=nodes)
        except RuntimeError as error:
            raise IntegrityError(f"the graph in the store cannot be loaded: {error}") from error
        return cls(index, axes, prints)

    def image(self) -> GraphImage:
        """Return axes, nodes and links."""
        # hnswlib reads and writes paths only (https://github.com/nmslib/hnswlib/issues/565).
        file = MemoryFile()
        self.index.save_index(str(file.path))
        axes = np.ascontiguousarray(self.axes, "<f4").view(np.uint8).reshape(-1)
        return GraphImage(axes=axes, prints=self.prints.astype("<u8").view(np.uint8), file=file)

    def reaching(self, query: Vectors, floor: float) -> Rows | None:
        """Return the nodes whose cosine may reach the floor; None where there are more than the last `FETCH`."""
        asked, least = _shortened_query(query, self.axes), floor - SLACK
        for wanted in FETCH:
            count = min(wanted, len(self.prints))
            try:
                labels, distances = self.index.knn_query(asked, k=count, num_threads=1)
            except RuntimeError:  # "Cannot return the results in a contiguous 2D array": fewer are within reach
                return None
            bounds = 1.0 - distances[0]
            if count == len(self.prints) or bounds[-1] < least:
                nodes: Rows = labels[0][bounds >= least].astype(np.intp)
                return nodes
        return None


@dataclass(frozen=True, slots=True, kw_only=True)
class GraphSearch:
    """A graph in front of an index: the rows of node i are ``rows[starts[i]:starts[i + 1]]``.

    ``codes`` are those of all rows.  ``beside`` (ascending) are the rows without a node, ``codes_beside`` theirs;
    ``answered`` is told of each search whether the graph could answer, in the thread that searches.
    """

    graph: VectorGraph
    rows: npt.NDArray[np.int32]
    starts: npt.NDArray[np.int32]
    codes: VectorCodes
    beside: Rows
    codes_beside: VectorCodes
    answered: Callable[[bool], None]

    @classmethod
    def of(
        cls, graph: VectorGraph, stored: Stored, codes: VectorCodes, answered: Callable[[bool], None]
    ) -> GraphSearch:
        """Put the graph in front of these rows; a million take half a second."""
        prints = prints_of(stored)
        nodes = np.searchsorted(graph.prints, prints)
        known = nodes < len(graph.prints)
        known[known] = graph.prints[nodes[known]] == prints[known]
        rows = np.flatnonzero(known)
        of_node = nodes[rows]
        counts = np.bincount(of_node, minlength=len(graph.prints))
        beside = np.flatnonzero(~known)
        return cls(
            graph=graph,
            rows=rows[np.argsort(of_node, kind="stable")].astype(np.int32),
            starts=np.concatenate([[0], np.cumsum(counts)]).astype(np.int32),
            codes=codes,
            beside=beside,
            codes_beside=codes.chosen(beside),
            answered=answered,
        )

    @property
    def worn(self) -> bool:
        """Whether so much has come or gone that a new graph is better."""
        gone = int(np.count_nonzero(np.diff(self.starts) == 0))
        return len(self.beside) > WORN_SHARE * len(self.codes.codes) or gone > WORN_SHARE * len(self.graph.prints)

    def near(self, query: Vectors, floors: Vectors, group_of: npt.NDArray[np.int32]) -> Rows | None:
        """Return the rows that may reach their group's floor, as codes do; None where the graph cannot tell."""
        least = float(floors.min())
        nodes = self.graph.reaching(query, least)
        self.answered(nodes is not None)
        if nodes is None:
            return None
        sure = np.array([max(least, SURE_COSINE)], np.float32)
        pieces: list[npt.NDArray[np.integer[Any]]] = [
            self.rows[self.starts[node] : self.starts[node + 1]] for node in nodes.tolist()
        ]
        pieces.append(self.codes.near(query, sure, np.broadcast_to(np.int32(0), len(group_of))))
        if len(self.beside):
            pieces.append(self.beside[self.codes_beside.near(query, floors, group_of[self.beside])])
        return np.unique(np.concatenate(pieces)).astype(np.intp)


def prints_of(stored: Stored) -> Prints:
    """Return 64 bits of each kept vector, the same in every process; of a million, two are alike by one in 40 million.

    Words are mixed before they are added up, for numbers that differ in their signs alone differ in the highest bits.
    """
    words = -(-stored.shape[1] // 4)
    multipliers = np.random.default_rng(SEED).integers(1 << 63, size=(2, words), dtype=np.uint64) * 2 + 1
    prints = np.empty(len(stored), np.uint64)
    for first in range(0, len(stored), PRINT_CHUNK):
        chunk = np.zeros((min(PRINT_CHUNK, len(stored) - first), 4 * words), stored.dtype)
        chunk[:, : stored.shape[1]] = stored[first : first + PRINT_CHUNK]
        mixed = chunk.view(np.uint64)
        for by in multipliers:
            mixed ^= mixed >> np.uint64(32)
            mixed *= by
        prints[first : first + len(chunk)] = mixed.sum(axis=1, dtype=np.uint64)
    return prints


def _directions_of(dimension: int) -> int:
    return min(DIRECTIONS, dimension)


def _shortened(stored: Stored, axes: Vectors) -> Vectors:
    """Return the rows of the graph, of length 1: along the axes, and what is left."""
    vectors = stored.astype(np.float32)
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    along = (vectors @ axes.T) / np.maximum(lengths, np.finfo(np.float32).tiny)
    left = np.sqrt(np.maximum(0.0, 1.0 - np.vecdot(along, along)))
    return np.concatenate([along, left[:, None]], axis=1)


def _shortened_query(query: Vectors, axes: Vectors) -> Vectors:
    # vecdot, for @ may wake OpenBLAS's threads.
    along = np.vecdot(axes, query)
    left = max(0.0, float(np.vecdot(query, query) - np.vecdot(along, along)))
    return np.append(along, np.float32(left**0.5))


def _check_file(data: memoryview, nodes: int, numbers: int) -> None:
    """Raise IntegrityError where a file is not that of so many nodes of so many numbers with our links."""
    if len(data) < _HEADER.size:
        raise IntegrityError("the graph in the store is cut off")
    offset, capacity, elements, size, label, place, level, entry, above, ground, links, _, _ = _HEADER.unpack_from(data)
    data_at = _LINK_BYTES * (2 * M + 1)
    label_at = data_at + 4 * numbers
    if (offset, place, label, size) != (0, data_at, label_at, label_at + _LABEL_BYTES):
        raise IntegrityError("the graph in the store holds other vectors")
    if (elements, above, ground, links) != (nodes, M, 2 * M, M) or capacity < nodes:
        raise IntegrityError("the graph in the store has other nodes or links")
    if nodes and not (0 <= level < nodes.bit_length() and entry < nodes):
        raise IntegrityError("the graph in the store begins nowhere")
    end = _HEADER.size + nodes * size
    if len(data) < end + _LINK_BYTES * nodes:
        raise IntegrityError("the graph in the store is cut off")
    ground_level = np.frombuffer(data, np.uint8, nodes * size, _HEADER.size).reshape(nodes, size)
    labels = np.ascontiguousarray(ground_level[:, label_at:]).view("<u8").reshape(-1)
    if not (np.sort(labels) == np.arange(nodes, dtype=np.uint64)).all():
        raise IntegrityError("the graph in the store names other nodes")


__all__ = ["FETCH", "LEAST_HELD", "Axes", "GraphImage", "GraphSearch", "VectorGraph", "prints_of"]
