"""How long a worker takes to have its index from Redis, beside a load of the same columns from plain files.

    python -m benchmarks.cold_start [--references 10000 100000] [-o FOLDER]

The index has a snapshot and a short log, as a compaction leaves it.  Each load is a process of its own; so is each
start of the whole worker, from its command to ready, with an empty index and with this one.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Final

import numpy as np

from benchmarks.deployments import ready_pid, ready_process, role, wait_until
from benchmarks.index_child import CODES, PLANES, make_replica
from benchmarks.made_up_index import configure, fill, references, shipped_index_id
from benchmarks.proxies import say
from benchmarks.reporting import options_parser, report_on, target
from shared.adapters.lease import Lease
from shared.adapters.opening import open_store
from shared.adapters.role import SystemClock
from shared.config import Settings
from shared.config import load as load_settings
from shared.sealing import Sealer, load_or_create_key
from tests.servers import RedisServer
from workers.compaction import LEASE_KEY, compact
from workers.evaluation.tables import Cell
from workers.index_segment import Segment
from workers.table_columns import to_columns

AIM: Final = 2.0
MEMORY_AIM_GB: Final = 2.6
LOOK_SECONDS: Final = 0.01


async def prepare(settings: Settings, count: int, files: Path) -> None:
    """Enrol, compact, and write the same columns as plain files."""
    store = open_store(settings)
    await store.start()
    try:
        sealer = Sealer(load_or_create_key(settings.key_file))
        kept = list(references(count, shipped_index_id()))
        await fill(store, sealer, kept)
        replica = make_replica(store, settings.key_file)
        await replica.catch_up()
        if not await compact(store, sealer, replica, Lease(store, LEASE_KEY), SystemClock(), limit=0):
            raise RuntimeError("the index was not compacted")
        base = max((live.segment for live in replica.current().segments), key=lambda each: len(each.references))
    finally:
        await store.stop()
    await asyncio.to_thread(write_files, files, base)


def write_files(files: Path, segment: Segment) -> None:
    """Write everything that is kept of the references, and their codes, as it is in memory."""
    files.mkdir()
    columns = to_columns(segment.references)
    image = segment.ann.code_image()
    if image is not None:
        columns |= {PLANES: image.planes, CODES: image.codes}
    for name, column in columns.items():
        np.save(files / f"{name}.npy", column)


def child(way: str, place: Path) -> dict[str, float]:
    """Load in a process of its own."""
    command = [sys.executable, "-m", "benchmarks.index_child", way, str(place)]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    return dict(json.loads(done.stdout))


def start_seconds(config: Path) -> float:
    """Return how long the whole worker takes from its command to ready."""
    settings = load_settings(config, {})
    log = config.parent / "worker.log"
    with ready_process("benchmarks.hub", str(settings.data_dir), log=config.parent / "hub.log"):
        begun = time.perf_counter()
        with role(config, "worker", log):
            wait_until(lambda: ready_pid(settings, "worker"), "the worker is ready", log, pause=LOOK_SECONDS)
            return time.perf_counter() - begun


def measure_count(count: int, folder: Path, repeats: int) -> dict[str, Cell]:
    """One line: so many references."""
    with ExitStack() as stack:
        redis = RedisServer(folder / "redis")
        stack.callback(redis.remove)
        redis.start()
        empty = start_seconds(configure(folder / "empty", redis.url)[0])
        config, settings = configure(folder / "full", redis.url)
        say(f"{count:,} references: enrolling and building")
        asyncio.run(prepare(settings, count, folder / "files"))
        turns = []
        for repeat in range(repeats):
            say(f"{count:,} references: turn {repeat + 1} of {repeats}")
            turns.append((child("load", config), child("file", folder / "files")))
        full = start_seconds(config)
    loads, plain = ([turn[place]["seconds"] for turn in turns] for place in (0, 1))
    memory = statistics.median(turn[0]["mb"] for turn in turns)
    return {
        "references": count,
        "from Redis, s": statistics.median(loads),
        "plain files, s": statistics.median(plain),
        "Redis / files": statistics.median(ours / theirs for ours, theirs in zip(loads, plain, strict=True)),
        "worker ready, s": full,
        "with an empty index, s": empty,
        "memory, MB": memory,
        "GB a million": memory / count * 1000,
    }


def targets(rows: Sequence[Mapping[str, Cell]]) -> list[dict[str, Cell]]:
    """What was aimed at."""
    aims = []
    for row in rows:
        where = f"{row['references']:,} references"
        aims.append(
            target(f"{where}: index from Redis / plain files", float(row["Redis / files"] or 0), AIM, least=False)
        )
    largest = max(rows, key=lambda row: int(row["references"] or 0))
    gigabytes = float(largest["GB a million"] or 0)
    what = f"memory of a million references, from {largest['references']:,}"
    return [*aims, target(what, gigabytes, MEMORY_AIM_GB, least=False, unit="GB")]


def measure(options: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """All sizes."""
    rows = [measure_count(count, folder / str(count), options.repeats) for count in options.references]
    note = (
        "References have an embedding and a PDQ hash, no local features. Plain files: the same columns, unsealed,"
        " and an index made of them. The worker's start has the interpreter, encoder and decoders in it."
    )
    return {
        "title": "Cold start",
        "tables": [
            {"name": "targets", "title": "Targets", "rows": targets(rows)},
            {"name": "cold-start", "title": "A worker's index", "note": note, "rows": rows},
        ],
    }


def main() -> int:
    """Measure, print and write."""
    parser = options_parser(__doc__)
    parser.add_argument("--references", type=int, nargs="+", default=[10_000], help="sizes of the index")
    parser.add_argument("--repeats", type=int, default=3, help="loads of each kind")
    return report_on(parser.parse_args(), "cold_start", measure)


if __name__ == "__main__":
    sys.exit(main())
