"""How well an index finds, how long it takes and what it weighs: ours beside exact search and other libraries.

    python -m benchmarks.index_quality [--count 100000] [--rows safelight,exact] [--vectors fitted,even] [-o FOLDER]

Vectors are made up, as the encoder gives them and even ones (``benchmarks/made_up_vectors.py``); a near copy is an edit
of a vector, at a cosine of 0.9 or 0.75 to it; an unrelated query is another vector of the same making, which the
product need not find: below a cosine of 0.5 it does not look.  Every row runs in a process of its own, on one thread.
Rows whose library is not installed are left out (faiss-cpu, usearch).
"""

from __future__ import annotations

import argparse
import importlib
import importlib.util
import itertools
import json
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final, Protocol

import numpy as np
import numpy.typing as npt

from benchmarks.made_up_vectors import CHUNK, DIMENSION, KINDS, Kind, Vectors, copies, make_vectors
from benchmarks.proxies import say, write_report
from workers.encoders.embeddings import STORED
from workers.search.ann_index import AnnIndex, Floors
from workers.search.vector_graph import VectorGraph

QUERIES: Final = 1000
COSINES: Final = (0.9, 0.75)
DELETED: Final = 0.3
M: Final = 16
EF_CONSTRUCTION: Final = 200
EF: Final = 128
FETCH: Final = 64
"""What graphs are built and asked with: links, neighbours looked at while building and asking, and asked for."""
PROJECTED: Final = 128
LOCK_BYTES: Final = 100
"""What hnswlib keeps of a node beside its file, about: a lock, a look-up, its level."""
OTHERS: Final = {
    "hnswlib": "hnswlib",
    "hnswlib 128": "hnswlib",
    "usearch f16": "usearch",
    "usearch i8": "usearch",
    "faiss sq8": "faiss",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """One row: seconds of processor time to build, bytes a vector (everything that has to stay in memory), ms a query.

    ``near`` and ``near_deleted``: share of near copies whose original came first, by cosine, of all and after 30 % were
    deleted (of those that were not); ``unrelated``: the same of the true nearest of unrelated queries; ``itself``:
    share of the vectors that found themselves.
    """

    name: str
    vectors: Kind
    count: int
    build_s: float
    bytes: float
    query_ms: float
    near: dict[str, float]
    near_deleted: dict[str, float]
    unrelated: float
    itself: float


class Searched(Protocol):
    """An index that was built."""

    def first(self, query: Vectors) -> int:
        """Return the nearest row, -1 for none."""
        ...

    def delete(self, rows: npt.NDArray[np.intp]) -> None:
        """Find these no more."""
        ...

    def size(self) -> int:
        """Bytes in memory."""
        ...


class Safelight:
    """The index as it ships; rows that are gone are passed over as a view does, by what is alive."""

    def __init__(self, vectors: Vectors) -> None:
        self._index = AnnIndex.build(vectors.astype(STORED))
        self._alive = np.ones(len(vectors), dtype=np.bool_)
        self._floors = Floors(np.array([0.5], np.float32), np.zeros(len(vectors), np.int32))

    def first(self, query: Vectors) -> int:
        """See the protocol: the best of what reaches a floor."""
        (rows,) = self._index.candidates(query[None], self._floors)
        rows = rows[self._alive[rows]]
        return int(rows[np.vecdot(self._index.take(rows), query).argmax()]) if len(rows) else -1

    def delete(self, rows: npt.NDArray[np.intp]) -> None:
        """See the protocol."""
        self._alive[rows] = False

    def size(self) -> int:
        """See the protocol."""
        codes, dense = self._index.codes, self._index.dense
        held = 0 if dense is None else dense.nbytes
        if codes is not None:
            held = codes.planes.nbytes + codes.codes.nbytes + codes.columns.nbytes
        return self._index.stored.nbytes + held


class SafelightGraph(Safelight):
    """The same with its graph, as a large index has it once that is built."""

    def __init__(self, vectors: Vectors) -> None:
        super().__init__(vectors)
        graph = VectorGraph.build(self._index.stored)
        self._index = self._index.with_graph(graph)
        self._graph_bytes = int(graph.index.index_file_size()) + LOCK_BYTES * len(vectors)

    def size(self) -> int:
        """See the protocol."""
        graph = self._index.graph
        look_ups = 0 if graph is None else graph.rows.nbytes + graph.starts.nbytes + graph.graph.prints.nbytes
        return super().size() + self._graph_bytes + look_ups


class Exact:
    """All products, float32."""

    def __init__(self, vectors: Vectors) -> None:
        self._vectors = vectors
        self._gone = np.empty(0, np.intp)

    def first(self, query: Vectors) -> int:
        """See the protocol."""
        cosines = np.vecdot(self._vectors, query)
        cosines[self._gone] = -2
        return int(cosines.argmax())

    def delete(self, rows: npt.NDArray[np.intp]) -> None:
        """See the protocol."""
        self._gone = rows

    def size(self) -> int:
        """See the protocol."""
        return self._vectors.nbytes


class Hnswlib:
    """A graph of whole float32 vectors; its memory is about its file's, with 60 bytes of locks and look-ups each."""

    def __init__(self, vectors: Vectors) -> None:
        hnswlib = importlib.import_module("hnswlib")
        self._index = hnswlib.Index(space="ip", dim=vectors.shape[1])
        self._index.init_index(max_elements=len(vectors), M=M, ef_construction=EF_CONSTRUCTION)
        self._index.add_items(vectors, num_threads=1)
        self._index.set_ef(EF)

    def first(self, query: Vectors) -> int:
        """See the protocol."""
        labels, _ = self._index.knn_query(query, k=1, num_threads=1)
        return int(labels[0, 0])

    def delete(self, rows: npt.NDArray[np.intp]) -> None:
        """See the protocol."""
        for row in rows.tolist():
            self._index.mark_deleted(row)

    def size(self) -> int:
        """See the protocol."""
        return int(self._index.index_file_size()) + 60 * int(self._index.get_current_count())


class Projected:
    """A graph of 128 principal directions proposes, and whole vectors in half precision decide."""

    def __init__(self, vectors: Vectors) -> None:
        sample = vectors[:: -(-len(vectors) // CHUNK)]
        self._axes = np.linalg.eigh(sample.T @ sample)[1][:, -PROJECTED:]
        hnswlib = importlib.import_module("hnswlib")
        self._index = hnswlib.Index(space="ip", dim=PROJECTED)
        self._index.init_index(max_elements=len(vectors), M=M, ef_construction=EF_CONSTRUCTION)
        self._index.add_items(vectors @ self._axes, num_threads=1)
        self._index.set_ef(EF)
        self._stored = vectors.astype(STORED)
        self._alive = np.ones(len(vectors), dtype=np.bool_)

    def first(self, query: Vectors) -> int:
        """See the protocol."""
        labels, _ = self._index.knn_query(query @ self._axes, k=FETCH, num_threads=1)
        rows = labels[0].astype(np.intp)
        rows = rows[self._alive[rows]]
        return int(rows[np.vecdot(self._stored[rows].astype(np.float32), query).argmax()]) if len(rows) else -1

    def delete(self, rows: npt.NDArray[np.intp]) -> None:
        """See the protocol."""
        self._alive[rows] = False

    def size(self) -> int:
        """See the protocol."""
        return self._stored.nbytes + int(self._index.index_file_size()) + 60 * len(self._stored)


class Usearch:
    """usearch's HNSW of scalars of one kind, no second look at the whole vectors."""

    def __init__(self, vectors: Vectors, kind: str) -> None:
        index = importlib.import_module("usearch.index")
        self._index = index.Index(
            ndim=DIMENSION, metric="ip", dtype=kind, connectivity=M, expansion_add=EF_CONSTRUCTION, expansion_search=EF
        )
        self._index.add(np.arange(len(vectors)), vectors, threads=1)

    def first(self, query: Vectors) -> int:
        """See the protocol."""
        found = self._index.search(query, 1, threads=1)
        return int(found.keys[0]) if len(found) else -1

    def delete(self, rows: npt.NDArray[np.intp]) -> None:
        """See the protocol."""
        self._index.remove(rows, threads=1)

    def size(self) -> int:
        """See the protocol."""
        return int(self._index.memory_usage)


class Faiss:
    """faiss's HNSW of 8-bit scalars; what is deleted is passed over in a longer answer, for it deletes nothing."""

    def __init__(self, vectors: Vectors) -> None:
        faiss = importlib.import_module("faiss")
        faiss.omp_set_num_threads(1)
        self._faiss = faiss
        kind = faiss.ScalarQuantizer.QT_8bit
        self._index = faiss.IndexHNSWSQ(DIMENSION, kind, M, faiss.METRIC_INNER_PRODUCT)
        self._index.hnsw.efConstruction, self._index.hnsw.efSearch = EF_CONSTRUCTION, EF
        self._index.train(vectors[:: -(-len(vectors) // CHUNK)])
        self._index.add(vectors)
        self._alive = np.ones(len(vectors), dtype=np.bool_)

    def first(self, query: Vectors) -> int:
        """See the protocol."""
        _, found = self._index.search(query[None], FETCH)
        rows = found[0][found[0] >= 0]
        alive = rows[self._alive[rows]]
        return int(alive[0]) if len(alive) else -1

    def delete(self, rows: npt.NDArray[np.intp]) -> None:
        """See the protocol."""
        self._alive[rows] = False

    def size(self) -> int:
        """See the protocol."""
        return len(self._faiss.serialize_index(self._index))


MAKERS: Final[dict[str, Callable[[Vectors], Searched]]] = {
    "safelight": Safelight,
    "safelight graph": SafelightGraph,
    "exact": Exact,
    "hnswlib": Hnswlib,
    "hnswlib 128": Projected,
    "usearch f16": lambda vectors: Usearch(vectors, "f16"),
    "usearch i8": lambda vectors: Usearch(vectors, "i8"),
    "faiss sq8": Faiss,
}


def measure(name: str, count: int, kind: Kind) -> Figures:
    """Build one kind of index and ask it."""
    vectors = make_vectors(count, 1, kind)
    strangers = make_vectors(QUERIES // 5, 2, kind)
    nearest = [int(np.vecdot(vectors, query).argmax()) for query in strangers]
    rng = np.random.default_rng(3)
    asked = rng.choice(count, min(QUERIES, count), replace=False)
    near = {f"{cosine}": copies(vectors[asked], cosine, 4, kind) for cosine in COSINES}
    itself = vectors[asked]
    started = time.process_time()
    index = MAKERS[name](vectors)
    built = time.process_time() - started
    if name != "exact":
        del vectors
    started = time.process_time()
    found = {cosine: share(index, queries, asked) for cosine, queries in near.items()}
    query_s = (time.process_time() - started) / (len(asked) * len(near))
    known, unrelated = share(index, itself, asked), share(index, strangers, np.array(nearest))
    gone = rng.choice(count, int(DELETED * count), replace=False)
    index.delete(gone)
    left = ~np.isin(asked, gone)
    deleted = {cosine: share(index, queries[left], asked[left]) for cosine, queries in near.items()}
    return Figures(
        name=name,
        vectors=kind,
        count=count,
        build_s=round(built, 1),
        bytes=round(index.size() / count),
        query_ms=round(1000 * query_s, 3),
        near=found,
        near_deleted=deleted,
        unrelated=unrelated,
        itself=known,
    )


def share(index: Searched, queries: Vectors, rows: npt.NDArray[np.intp]) -> float:
    """Return the share of the queries whose row is found first."""
    hits = [index.first(query) == row for query, row in zip(queries, rows.tolist(), strict=True)]
    return round(hits.count(True) / len(hits), 4)


def available(name: str) -> bool:
    """Tell whether a row's library is there."""
    return importlib.util.find_spec(OTHERS.get(name, "numpy")) is not None


def show(row: dict[str, Any]) -> None:
    """Print one row."""
    recalls = "  ".join(f"{100 * each:6.2f}" for kind in ("near", "near_deleted") for each in row[kind].values())
    sys.stdout.write(
        f"{row['name']:<16}{row['vectors']:<8}{row['count']:>9}{row['build_s']:>9.1f}{row['bytes']:>8.0f}{row['query_ms']:>9.3f}"
        f"  {recalls}  {100 * row['unrelated']:6.1f}  {100 * row['itself']:6.2f}\n"
    )


def main() -> int:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=100_000, help="vectors")
    parser.add_argument("--rows", default=",".join(MAKERS), help="which, by name, with commas")
    parser.add_argument("--vectors", default=",".join(KINDS), help="of which kinds, with commas")
    parser.add_argument("--one", choices=list(MAKERS), help=argparse.SUPPRESS)
    parser.add_argument("-o", "--output", type=Path, default=None, help="folder for index_quality.json")
    options = parser.parse_args()
    if options.one:
        sys.stdout.write(json.dumps(asdict(measure(options.one, options.count, options.vectors))) + "\n")
        return 0
    head = ("index", "vectors", "count", "build s", "bytes", "ms")
    sys.stdout.write("{:<16}{:<8}{:>9}{:>9}{:>8}{:>9}".format(*head))
    sys.stdout.write("  near .9     .75  less 30 %: .9   .75  unrelated  itself\n")
    rows = []
    names = [each for each in options.rows.split(",") if available(each)]
    for kind, name in itertools.product(options.vectors.split(","), names):
        say(f"{name}, {kind} vectors: building")
        command = [sys.executable, "-m", "benchmarks.index_quality", "--one", name]
        command += ["--count", str(options.count), "--vectors", kind]
        finished = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
        rows.append(json.loads(finished.stdout))
        say("")
        show(rows[-1])
    write_report(options.output, "index_quality", {"rows": rows})
    return 0


if __name__ == "__main__":
    sys.exit(main())
