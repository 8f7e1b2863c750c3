"""Nearest neighbours among L2-normalised embeddings: exact while there are few, by their codes above.

The codes propose (workers/search/vector_codes.py), the kept vectors decide: what the codes let through is ranked by the
products of the whole vectors as they are kept, which are not copied.  An AnnIndex never changes once built.

Codes are made at once (0.8 s for 100,000 vectors) and look at every vector; a graph before them
(search/vector_graph.py) takes 13 to 26 s of one core, and is quicker to search.  What is asked for is every reference
over its own set's floor and not the nearest of all sets, among which a small set's would drown: where a graph cannot
name all that may reach the lowest floor, codes answer, and near copies they find in any case.

Products are taken with ``vecdot``: as fast as ``@`` on one core, but it never wakes OpenBLAS's threads, which cost
8 ms a call where other processes keep the cores busy.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
import numpy.typing as npt

from workers.encoders.embeddings import Stored, Vectors
from workers.search.vector_codes import CodeImage, VectorCodes
from workers.search.vector_graph import GraphSearch, VectorGraph

Rows = npt.NDArray[np.intp]
Groups = npt.NDArray[np.int32]

EXACT_LIMIT: Final = 20_000
"""Vectors of an index without codes: the products with all of them take about as long as the codes."""
MOST: Final = 1024
"""Candidates of one query, the nearest: by codes as good as none has more (a page of text has thousands)."""

LEAST_IN_GRAPH: Final = 0.5
"""Of an index's vectors: a graph of fewer is of another index, and all the rest would be compared beside it."""


@dataclass(frozen=True, slots=True)
class Floors:
    """The least cosine that counts: ``of_group`` (inf: none does), and the group of each row."""

    of_group: Vectors
    group_of: Groups

    @property
    def least(self) -> float:
        """The lowest of all."""
        return float(self.of_group.min(initial=np.inf))

    def reached(self, rows: Rows, cosines: Vectors) -> npt.NDArray[np.bool_]:
        """Tell which of the rows reach their floors."""
        reached: npt.NDArray[np.bool_] = cosines >= self.of_group[self.group_of[rows]]
        return reached


@dataclass(frozen=True, slots=True)
class AnnIndex:
    """Immutable search over the kept vectors ``stored`` (n x dimension, half precision); a hit's number is its row.

    Either ``codes`` or ``dense``, the same vectors as float32, is there; ``graph`` only before codes.
    """

    stored: Stored
    dense: Vectors | None = None
    codes: VectorCodes | None = None
    graph: GraphSearch | None = None

    @classmethod
    def build(
        cls, stored: Stored, *, exact_limit: int = EXACT_LIMIT, stopped: Callable[[], bool] = lambda: False
    ) -> AnnIndex:
        """Index the rows, with codes above ``exact_limit`` of them; raises BuildStoppedError."""
        if len(stored) <= exact_limit:
            return cls.exact(stored)
        return cls(stored, codes=VectorCodes.build(stored, stopped))

    @classmethod
    def exact(cls, stored: Stored) -> AnnIndex:
        """Index the rows without codes, however many."""
        return cls(stored, dense=stored.astype(np.float32))

    @classmethod
    def coded(cls, stored: Stored, image: CodeImage) -> AnnIndex:
        """Restore what ``code_image`` gave for the same rows; raises IntegrityError for another's."""
        return cls(stored, codes=VectorCodes.read(image, *stored.shape))

    def with_graph(self, graph: VectorGraph, answered: Callable[[bool], None] = lambda _: None) -> AnnIndex:
        """Return this index with a graph before its codes; as it is where there are none, or few rows have a node.

        ``answered`` is told of each search whether the graph could answer, in the thread that searches.
        """
        if self.codes is None:
            return self
        search = GraphSearch.of(graph, self.stored, self.codes, answered)
        return replace(self, graph=search) if len(search.rows) >= LEAST_IN_GRAPH * len(self.stored) else self

    def code_image(self) -> CodeImage | None:
        """Return the codes as they are stored; None where the search is exact."""
        return None if self.codes is None else self.codes.image()

    def take(self, rows: Rows) -> Vectors:
        """Return the vectors of some rows, k x dimension."""
        return self.stored[rows].astype(np.float32) if self.dense is None else self.dense[rows]

    def candidates(self, queries: Vectors, floors: Floors) -> list[Rows]:
        """Return for each query (q x dimension) the rows whose cosine reaches the row's floor, ascending.

        Raises ValueError for another dimension.
        """
        if len(self.stored) == 0 or floors.least == np.inf:
            return [np.empty(0, np.intp)] * len(queries)
        if queries.shape[1] != self.stored.shape[1]:
            raise ValueError(f"the index holds {self.stored.shape[1]} dimensions, the query {queries.shape[1]}")
        return [self._candidates(query, floors) for query in queries]

    def _candidates(self, query: Vectors, floors: Floors) -> Rows:
        if self.codes is None:
            return self._all(query, floors)
        rows = None if self.graph is None else self.graph.near(query, floors.of_group, floors.group_of)
        if rows is None:
            rows = self.codes.near(query, floors.of_group, floors.group_of)
        cosines = np.vecdot(self.take(rows), query)
        reached = floors.reached(rows, cosines)
        rows, cosines = rows[reached], cosines[reached]
        if len(rows) > MOST:
            rows = np.sort(rows[np.argpartition(-cosines, MOST)[:MOST]])
        return rows

    def _all(self, query: Vectors, floors: Floors) -> Rows:
        assert self.dense is not None  # noqa: S101 - there are no codes
        cosines = np.vecdot(self.dense, query)
        over = np.flatnonzero(cosines >= floors.least)
        return over[floors.reached(over, cosines[over])]
