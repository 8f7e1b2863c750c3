"""Graph libraries beside each other: what a graph finds, costs and weighs, and how long it keeps Python waiting.

    python -m benchmarks.graph_libraries [--count 100000] [--rows "hnswlib f32 of 128,usearch f16 of 128"] [-o FOLDER]

The vectors are those of ``benchmarks/made_up_vectors.py``; a graph is of all their 512 numbers, or of 128 principal
directions of them, as the product's is, and then proposes what whole vectors decide.  Every row runs in a process of
its own, on one thread.  While a graph is built, saved, loaded and searched another thread wakes every millisecond: its
longest wait is how long nothing else of the process ran (no wake within: the library keeps Python's lock), and `quiet`
is that beside work that keeps none.  Rows
whose library is not installed are left out (usearch).
"""

from __future__ import annotations

import argparse
import hashlib
import importlib
import importlib.util
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from itertools import batched, pairwise
from pathlib import Path
from typing import Any, Final, Protocol

import numpy as np
import numpy.typing as npt

from benchmarks.index_quality import COSINES, DELETED, EF, FETCH, PROJECTED, QUERIES, M
from benchmarks.made_up_vectors import CHUNK, DIMENSION, Vectors, copies, make_vectors
from benchmarks.processes import resident_mb
from benchmarks.proxies import say
from benchmarks.reporting import finish, options_parser
from workers.encoders.embeddings import STORED
from workers.evaluation.tables import Cell

EF_CONSTRUCTION: Final = 100
"""As the product's graph has."""
AT_ONCE: Final = 1000
TICK_SECONDS: Final = 0.001
MANY: Final = 512
TIMED: Final = 200
"""What the product asks for first, and how often it is asked here."""
QUIET_BYTES: Final = 256 << 20
KINDS: Final = {"hnswlib": ("f32",), "usearch": ("f32", "f16", "i8")}
NUMBERS: Final = (DIMENSION, PROJECTED)
NAMES: Final = tuple(
    f"{library} {kind} of {size}" for size in NUMBERS for library, kinds in KINDS.items() for kind in kinds
)

Rows = npt.NDArray[np.int64]


class Graph(Protocol):
    """A library's graph; rows are numbered in order of arrival."""

    def add(self, first: int, vectors: Vectors) -> None:
        """Take in vectors of length 1, or nearly."""
        ...

    def ask(self, query: Vectors, count: int) -> Rows:
        """Return the nearest, the nearest first."""
        ...

    def remove(self, rows: Rows) -> None:
        """Find these no more."""
        ...

    def save(self, path: Path) -> None:
        """Write it."""
        ...

    def load(self, path: Path) -> Graph:
        """Return what was written."""
        ...


class Hnswlib:
    """float32."""

    def __init__(self, numbers: int, count: int) -> None:
        self._numbers, self._count = numbers, count
        self._index: Any = importlib.import_module("hnswlib").Index(space="ip", dim=numbers)

    @classmethod
    def empty(cls, numbers: int, count: int) -> Hnswlib:
        """Return one to be filled."""
        made = cls(numbers, count)
        made._index.init_index(max_elements=count, M=M, ef_construction=EF_CONSTRUCTION)
        made._index.set_ef(EF)
        return made

    def add(self, first: int, vectors: Vectors) -> None:
        """See the protocol."""
        self._index.add_items(vectors, np.arange(first, first + len(vectors)), num_threads=1)

    def ask(self, query: Vectors, count: int) -> Rows:
        """See the protocol."""
        labels, _ = self._index.knn_query(query, k=count, num_threads=1)
        rows: Rows = labels[0].astype(np.int64)
        return rows

    def remove(self, rows: Rows) -> None:
        """See the protocol."""
        for row in rows.tolist():
            self._index.mark_deleted(row)

    def save(self, path: Path) -> None:
        """See the protocol."""
        self._index.save_index(str(path))

    def load(self, path: Path) -> Hnswlib:
        """See the protocol."""
        made = Hnswlib(self._numbers, self._count)
        made._index.load_index(str(path), max_elements=self._count)
        made._index.set_ef(EF)
        return made


class Usearch:
    """Scalars of one kind."""

    def __init__(self, numbers: int, kind: str) -> None:
        self._numbers, self._kind = numbers, kind
        self._index: Any = importlib.import_module("usearch.index").Index(
            ndim=numbers, metric="ip", dtype=kind, connectivity=M, expansion_add=EF_CONSTRUCTION, expansion_search=EF
        )

    def add(self, first: int, vectors: Vectors) -> None:
        """See the protocol."""
        self._index.add(np.arange(first, first + len(vectors)), vectors, threads=1)

    def ask(self, query: Vectors, count: int) -> Rows:
        """See the protocol."""
        rows: Rows = self._index.search(query, count, threads=1).keys.astype(np.int64)
        return rows

    def remove(self, rows: Rows) -> None:
        """See the protocol."""
        self._index.remove(rows, threads=1)

    def save(self, path: Path) -> None:
        """See the protocol."""
        self._index.save(path)

    def load(self, path: Path) -> Usearch:
        """See the protocol."""
        made = Usearch(self._numbers, self._kind)
        made._index.load(path)
        return made

    def view(self, path: Path) -> Usearch:
        """Return what was written, without reading it: the file is mapped."""
        made = Usearch(self._numbers, self._kind)
        made._index.view(path)
        return made


class Asked:
    """A graph, and the whole vectors in half precision that decide where it does not hold them."""

    def __init__(self, graph: Graph, across: Vectors | None, stored: npt.NDArray[np.float16]) -> None:
        self.graph, self._across, self._stored = graph, across, stored

    def first(self, query: Vectors) -> int:
        """Return the nearest row, -1 for none."""
        if self._across is None:
            rows = self.graph.ask(query, 1)
            return int(rows[0]) if len(rows) else -1
        rows = self.graph.ask(query @ self._across, FETCH)
        return int(rows[np.vecdot(self._stored[rows].astype(np.float32), query).argmax()]) if len(rows) else -1

    def share(self, queries: Vectors, rows: npt.NDArray[np.intp]) -> float:
        """Return the share of the queries whose row comes first."""
        found = [self.first(query) == row for query, row in zip(queries, rows.tolist(), strict=True)]
        return found.count(True) / len(found)


@contextmanager
def wakes() -> Iterator[list[float]]:
    """Have another thread wake every millisecond; give the times at which it did."""
    times: list[float] = []
    ended = threading.Event()

    def tick() -> None:
        while not ended.is_set():
            time.sleep(TICK_SECONDS)
            times.append(time.perf_counter())

    thread = threading.Thread(target=tick)
    thread.start()
    time.sleep(5 * TICK_SECONDS)
    try:
        yield times
    finally:
        ended.set()
        thread.join()


def costs[T](what: str, work: Callable[[], T]) -> tuple[T, dict[str, Cell]]:
    """Return what it returns, its seconds of processor time, and another thread's longest wait in ms and wakes."""
    with wakes() as times:
        begun, used = time.perf_counter(), time.thread_time()
        made = work()
        used, ended = time.thread_time() - used, time.perf_counter()
    within = [each for each in times if begun < each < ended]
    longest = max(after - before for before, after in pairwise([begun, *within, ended]))
    row: dict[str, Cell] = {
        f"{what}, cpu s": round(used, 4),
        f"{what}, wait ms": round(1000 * longest, 1),
        f"{what}, wakes": len(within),
    }
    return made, row


def filled(name: str, rows: Vectors) -> Graph:
    """Return a library's graph of these rows."""
    library, kind = name.split()[:2]
    numbers = rows.shape[1]
    graph: Graph = Hnswlib.empty(numbers, len(rows)) if library == "hnswlib" else Usearch(numbers, kind)
    for some in batched(range(len(rows)), AT_ONCE):
        graph.add(some[0], rows[some[0] : some[-1] + 1])
    return graph


def across_of(name: str, vectors: Vectors) -> Vectors | None:
    """Return the directions of a graph's rows, dimension x numbers; None for all."""
    if int(name.rsplit(maxsplit=1)[-1]) == DIMENSION:
        return None
    sample = vectors[:: -(-len(vectors) // CHUNK)]
    chosen: Vectors = np.linalg.eigh(sample.T @ sample)[1][:, -PROJECTED:].astype(np.float32)
    return chosen


def measure(name: str, count: int, folder: Path) -> dict[str, Cell]:
    """Build one graph, ask it, write it and read it."""
    vectors = make_vectors(count, 1)
    rng = np.random.default_rng(3)
    asked = rng.choice(count, min(QUERIES, count), replace=False)
    near = {f"{cosine}": copies(vectors[asked], cosine, 4) for cosine in COSINES}
    across, stored = across_of(name, vectors), vectors.astype(STORED)
    rows = vectors if across is None else vectors @ across
    graph, built = costs("build", partial(filled, name, rows))
    row: dict[str, Cell] = {"graph": name, "vectors": count, **built}
    del vectors, rows
    index = Asked(graph, across, stored)
    begun = time.thread_time()
    found: dict[str, Cell] = {f"first at {cosine}": index.share(each, asked) for cosine, each in near.items()}
    row["search, cpu ms"] = round(1000 * (time.thread_time() - begun) / (len(asked) * len(near)), 3)
    queries = near["0.75"] if across is None else near["0.75"] @ across
    _, many = costs(f"{MANY} asked for", lambda: [graph.ask(query, MANY) for query in queries[:TIMED]])
    path = folder / "graph"
    _, saved = costs("save", lambda: graph.save(path))
    before = resident_mb(os.getpid())
    loaded, read = costs("load", lambda: graph.load(path))
    row["bytes a vector"] = round(1e6 * (resident_mb(os.getpid()) - before) / count)
    assert Asked(loaded, across, stored).share(near["0.9"], asked) == found["first at 0.9"]
    if isinstance(graph, Usearch):
        _, viewed = costs("view", lambda: graph.view(path))
        read |= viewed
    del loaded
    gone = rng.choice(count, int(DELETED * count), replace=False)
    graph.remove(gone)
    left = ~np.isin(asked, gone)
    for cosine, queries in near.items():
        found[f"less 30 %, at {cosine}"] = index.share(queries[left], asked[left])
    _, quiet = costs("quiet", lambda: hashlib.sha256(bytes(QUIET_BYTES)))
    return row | found | many | saved | read | {"quiet, wait ms": quiet["quiet, wait ms"]}


def main() -> int:
    """Measure, print and write."""
    parser = options_parser(__doc__)
    parser.add_argument("--count", type=int, default=100_000, help="vectors")
    parser.add_argument("--rows", default=",".join(NAMES), help="which, by name, with commas")
    parser.add_argument("--one", choices=NAMES, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        with tempfile.TemporaryDirectory() as folder:
            sys.stdout.write(json.dumps(measure(options.one, options.count, Path(folder))) + "\n")
        return 0
    rows = []
    for name in (each for each in options.rows.split(",") if importlib.util.find_spec(each.split()[0]) is not None):
        say(f"{name}: building")
        command = [sys.executable, "-m", "benchmarks.graph_libraries", "--one", name, "--count", str(options.count)]
        done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
        rows.append(json.loads(done.stdout))
    del options.one
    tables = [{"name": "graph-libraries", "title": f"Graphs of {options.count:,} vectors", "rows": rows}]
    return finish(options, "graph_libraries", {"title": "Graph libraries", "tables": tables})


if __name__ == "__main__":
    sys.exit(main())
