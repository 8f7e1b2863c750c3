"""An index at several sizes: how long it takes to build and to load, what it weighs, what a search costs and finds.

    python -m benchmarks.index_scale [--references 10000 100000 1000000] [--sets 1000] [--views 0] [-o FOLDER]

References are made up (``benchmarks/made_up_index.py``): an embedding, a PDQ hash, no local features.  The index is
built as a worker builds it and published as a compaction does; then processes of their own load it, from a real Redis
and from plain files in turn.  A near copy is an edit of a kept vector; ``even`` are vectors that are harder than any
encoder's (``benchmarks/made_up_vectors.py``), in an index of their own.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from benchmarks.cold_start import AIM, MEMORY_AIM_GB, WAYS_NOTE, snapshot_of, take_turns, write_files
from benchmarks.index_quality import COSINES, DELETED, LOCK_BYTES
from benchmarks.made_up_index import configure, shipped_index_id, table
from benchmarks.made_up_vectors import Kind, copies, make_vectors, vector_chunks
from benchmarks.proxies import say
from benchmarks.reporting import options_parser, report_on, target
from shared.adapters.opening import open_store
from shared.config import Settings
from shared.core.matching import Calibration, SetFacts
from shared.sealing import Sealer, load_or_create_key
from tests.servers import RedisServer
from workers.decoding.pdq import pdq
from workers.encoders.embeddings import STORED, Vectors
from workers.encoders.files import MODELS, choose_encoder
from workers.evaluation.tables import Cell
from workers.index.log import IndexLog
from workers.index.snapshot import Snapshot
from workers.search.ann_index import AnnIndex, Floors
from workers.search.live_segment import LiveSegment
from workers.search.segment import Segment
from workers.search.vector_graph import VectorGraph
from workers.search.view import IndexView
from workers.training.drawing import FAMILIES, draw

RECALL_AIM: Final = 0.999
QUERIES: Final = 1000
TIMED: Final = 200
FLOOR: Final = 0.5
EVEN: Final = "even"
RECALLS: Final = (f"recall, cosine {COSINES[0]}", f"less 30 %, cosine {COSINES[0]}")
NO_DIGEST: Final = "f" * 64

Alive = npt.NDArray[np.bool_]


def calibration() -> Calibration:
    """Return that of the encoder that ships."""
    card = choose_encoder("", MODELS, None)
    return card.read_calibration(card.choose("auto", "cpu"))


def make_view(segment: Segment, alive: Alive, known: Calibration) -> IndexView:
    """Return a view of one segment, as a replica makes it."""
    sizes = zip(segment.set_names, segment.sizes.tolist(), strict=True)
    sets = {
        name: SetFacts(name=name, threshold=85.0, relation="copy", size=size, thorough=False, prior=0.01)
        for name, size in sizes
    }
    live = LiveSegment.build(segment, alive, sets, known)
    return IndexView(revision="1", sets=sets, segments=(live,), calibration=known)


def recall(ann: AnnIndex, queries: Vectors, rows: npt.NDArray[np.intp], alive: Alive) -> float:
    """Return the share of queries whose row is the nearest of what is found alive."""
    floors = Floors(np.array([FLOOR], np.float32), np.zeros(len(ann.stored), np.int32))
    found = 0
    for query, row in zip(queries, rows.tolist(), strict=True):
        (near,) = ann.candidates(query[None], floors)
        near = near[alive[near]]
        found += bool(len(near)) and int(near[np.vecdot(ann.take(near), query).argmax()]) == row
    return found / len(rows)


def search_ms(view: IndexView, queries: Vectors, pdqs: Sequence[tuple[str, ...]]) -> float:
    """Return the processor time of a search, in ms: the median, one image after the other."""
    probes = [view.probe(NO_DIGEST, query, pdq) for query, pdq in zip(queries, pdqs, strict=True)]
    times = []
    for probe in probes:
        begun = time.thread_time()
        view.search([probe])
        times.append(1000 * (time.thread_time() - begun))
    return statistics.median(times)


def found_again(segment: Segment, rows: npt.NDArray[np.intp]) -> float:
    """Return the share of references that their own bytes find."""
    kept = segment.references
    return float(np.mean([row in kept.identical(kept.sha256[row].hex()) for row in rows.tolist()]))


def recalls(ann: AnnIndex, asked: npt.NDArray[np.intp], kind: Kind) -> dict[str, Cell]:
    """Return which near copies of these rows are found, of all and after some were deleted."""
    vectors, count = ann.stored[asked].astype(np.float32), len(ann.stored)
    near = {cosine: copies(vectors, cosine, 4, kind) for cosine in COSINES}
    everything = np.ones(count, dtype=np.bool_)
    left = everything.copy()
    left[np.random.default_rng(5).choice(count, int(DELETED * count), replace=False)] = False
    kept = left[asked]
    return {
        **{f"recall, cosine {cosine}": recall(ann, queries, asked, everything) for cosine, queries in near.items()},
        **{
            f"less 30 %, cosine {cosine}": recall(ann, queries[kept], asked[kept], left)
            for cosine, queries in near.items()
        },
        "same vector": recall(ann, vectors, asked, everything),
    }


def rows_asked(count: int, queries: int) -> npt.NDArray[np.intp]:
    """Return the rows whose copies are searched for."""
    return np.random.default_rng(3).choice(count, min(queries, count), replace=False)


def even_quality(count: int, queries: int = QUERIES) -> dict[str, Cell]:
    """Ask an index of even vectors."""
    stored = np.concatenate([chunk.astype(STORED) for chunk in vector_chunks(count, 1, EVEN)])
    found = recalls(AnnIndex.build(stored), rows_asked(count, queries), EVEN)
    return {f"even, {kind}": share for kind, share in found.items()}


def turned_hashes(count: int) -> list[tuple[str, ...]]:
    """Return the hashes of drawn pictures in their eight turns."""
    drawn = (draw(FAMILIES[number % len(FAMILIES)], number).convert("L") for number in range(count))
    return [pdq(np.asarray(picture)).variants for picture in drawn]


def quality(segment: Segment, queries: int = QUERIES) -> dict[str, Cell]:
    """Ask the index."""
    count = len(segment.references)
    asked = rows_asked(count, queries)
    view = make_view(segment, np.ones(count, dtype=np.bool_), calibration())
    timed = copies(segment.ann.stored[asked[:TIMED]].astype(np.float32), COSINES[0], 4)
    pdqs = turned_hashes(len(timed))
    return {
        "search, ms": search_ms(view, timed, [()] * len(timed)),
        "with PDQ, ms": search_ms(view, timed, pdqs),
        "PDQ alone, ms": search_ms(view, np.zeros_like(timed), pdqs),
        **recalls(segment.ann, asked, "fitted"),
        "same bytes": found_again(segment, asked),
    }


def graph_quality(segment: Segment, queries: int = QUERIES) -> dict[str, Cell]:
    """Put a graph before the index's codes, and ask again: nothing where search is exact."""
    if segment.ann.codes is None:
        return {}
    answered: list[bool] = []
    graph, _, used = timed(lambda: VectorGraph.build(segment.ann.stored))
    image, _, image_s = timed(graph.image)
    _, _, read_s = timed(lambda: VectorGraph.read(image, segment.ann.stored.shape[1]))
    put, _, put_s = timed(lambda: segment.ann.with_graph(graph, answered.append))
    behind = replace(segment, ann=put)
    count = len(segment.references)
    asked = rows_asked(count, queries)
    view = make_view(behind, np.ones(count, dtype=np.bool_), calibration())
    near = copies(put.stored[asked[:TIMED]].astype(np.float32), COSINES[0], 4)
    far = make_vectors(TIMED, 2)
    found: dict[str, Cell] = {
        "search, ms": search_ms(view, near, [()] * len(near)),
        "answered": float(np.mean(answered)),
        "unrelated, ms": search_ms(view, far, [()] * len(far)),
        "over a floor, of the codes'": over_floors(segment.ann, put, view, [near, far]),
        **recalls(put, asked, "fitted"),
    }
    costs = {
        "build, cpu s": used,
        "write, cpu s": image_s,
        "read, cpu s": read_s,
        "put before the index, cpu s": put_s,
        "bytes a vector": (len(image.file) + len(image.prints) + LOCK_BYTES * count) / count,
    }
    return {f"graph: {what}": value for what, value in {**costs, **found}.items()}


def over_floors(codes: AnnIndex, graph: AnnIndex, view: IndexView, asked: Sequence[Vectors]) -> float:
    """Return the share of the rows over their sets' floors, as codes find them, that a graph finds."""
    floors = view.segments[0].floors
    shares = [
        (len(np.intersect1d(expected, found)), len(expected))
        for queries in asked
        for expected, found in zip(codes.candidates(queries, floors), graph.candidates(queries, floors), strict=True)
    ]
    found, expected = np.sum(shares, axis=0)
    return float(found / max(1, expected))


async def publish(settings: Settings, snapshot: Snapshot) -> float:
    """Publish the index; returns the seconds it took."""
    store = open_store(settings)
    await store.start()
    try:
        begun = time.perf_counter()
        log = IndexLog(store, Sealer(load_or_create_key(settings.key_file)))
        if not await log.publish(snapshot, None, time.time()):
            raise RuntimeError("the index was not published")
        return time.perf_counter() - begun
    finally:
        await store.stop()


def timed[T](work: Callable[[], T]) -> tuple[T, float, float]:
    """Return what it returns, its seconds and its seconds of processor time."""
    begun, used = time.perf_counter(), time.process_time()
    made = work()
    return made, time.perf_counter() - begun, time.process_time() - used


def build(count: int, options: argparse.Namespace) -> tuple[Segment, dict[str, Cell]]:
    """Make references up and index them."""
    say(f"{count:,} references: making them up")
    kept = table(count, min(options.sets, count), shipped_index_id(), views=options.views)
    say(f"{count:,} references: building")
    segment, wall, used = timed(lambda: Segment.build(kept, AnnIndex.build))
    return segment, {"references": count, "build, s": wall, "build, cpu s": used}


def loads(count: int, segment: Segment, options: argparse.Namespace, folder: Path) -> dict[str, Cell]:
    """Publish the index and load it in turn from Redis and from plain files."""
    with ExitStack() as stack:
        redis = RedisServer(folder / "redis")
        stack.callback(redis.remove)
        redis.start()
        config, settings = configure(folder / "deployment", redis.url)
        say(f"{count:,} references: publishing")
        snapshot = snapshot_of(segment, shipped_index_id())
        published = asyncio.run(publish(settings, snapshot))
        write_files(folder / "files", snapshot)
        loaded = take_turns(config, folder / "files", int(redis.pid or 0), options.repeats)
    return {"publish, s": published, **loaded, "GB a million": float(loaded["memory, MB"] or 0) / count * 1000}


def measure_count(count: int, options: argparse.Namespace, folder: Path) -> dict[str, Cell]:
    """One line: so many references."""
    segment, row = build(count, options)
    say(f"{count:,} references: asking")
    row |= {**quality(segment, options.queries), **loads(count, segment, options, folder)}
    say(f"{count:,} references: building a graph")
    row |= graph_quality(segment, options.queries)
    del segment
    say(f"{count:,} references: even vectors")
    return row | even_quality(count, options.queries)


def targets(rows: list[dict[str, Cell]]) -> list[dict[str, Cell]]:
    """What was aimed at."""
    aims = []
    for row in rows:
        where = f"{row['references']:,} references"
        aims.append(target(f"{where}: from Redis / plain files", _number(row, "Redis / files"), AIM, least=False))
        aims += [
            target(f"{where}: {kind}", _number(row, kind), RECALL_AIM, least=True)
            for kind in (*RECALLS, *(f"even, {kind}" for kind in RECALLS))
        ]
        aims.append(target(f"{where}: found by their own bytes", _number(row, "same bytes"), 1.0, least=True))
    largest = max(rows, key=lambda row: _number(row, "references"))
    memory = f"memory of a million, from {largest['references']:,}"
    return [*aims, target(memory, _number(largest, "GB a million"), MEMORY_AIM_GB, least=False, unit="GB")]


def _number(row: Mapping[str, Cell], key: str) -> float:
    return float(row[key] or 0)


def measure(options: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """All sizes."""
    rows = [measure_count(count, options, folder / str(count)) for count in options.references]
    note = (
        f"{WAYS_NOTE} Recall: the original of a near copy comes first. Memory: what the process that loaded it holds"
        " more than before."
    )
    return {
        "title": "The index by its size",
        "tables": [
            {"name": "targets", "title": "Targets", "rows": targets(rows)},
            {"name": "index-scale", "title": f"Over {options.sets:,} sets", "note": note, "rows": rows},
        ],
    }


def main() -> int:
    """Measure, print and write."""
    parser = options_parser(__doc__)
    parser.add_argument("--references", type=int, nargs="+", default=[10_000, 100_000], help="sizes of the index")
    parser.add_argument("--sets", type=int, default=1000, help="sets they are in")
    parser.add_argument("--views", type=int, default=0, help="views of each reference")
    parser.add_argument("--queries", type=int, default=QUERIES, help="near copies of each kind that are searched for")
    parser.add_argument("--repeats", type=int, default=3, help="loads of each kind")
    return report_on(parser.parse_args(), "index_scale", measure)


if __name__ == "__main__":
    sys.exit(main())
