"""How long a worker takes to have its index from Redis, beside a load of the same columns from plain files.

    python -m benchmarks.cold_start [--references 10000 100000] [-o FOLDER]

The index has a snapshot and a short log, as a compaction leaves it.  Each load is a process of its own; so is each
start of the whole worker, from its command to ready, with an empty index and with this one.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import secrets
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
from benchmarks.index_child import CODES, HEADER, KEEP_MEMORY, KEY, PLANES, make_replica
from benchmarks.made_up_index import configure, fill, references, shipped_index_id
from benchmarks.processes import family_cpu_seconds
from benchmarks.proxies import say
from benchmarks.reporting import options_parser, report_on, target
from shared.adapters.lease import Lease
from shared.adapters.opening import open_store
from shared.adapters.role import SystemClock
from shared.config import Settings
from shared.config import load as load_settings
from shared.sealing import KEY_BYTES, Sealer, load_or_create_key
from shared.types import SetCreated
from tests.servers import RedisServer
from workers.evaluation.tables import Cell
from workers.index.compaction import LEASE_KEY, compact
from workers.index.snapshot import Snapshot, SnapshotWriter
from workers.references.table_columns import to_columns
from workers.search.segment import Segment

AIM: Final = 2.0
MEMORY_AIM_GB: Final = 2.6
LOOK_SECONDS: Final = 0.01
WAYS_NOTE: Final = (
    "Plain files: the same columns from files that the machine has in memory, and an index made of them: nothing is"
    " opened or checked, no log is looked at and no view made. Sealed files: the same snapshot's parts, opened and"
    " checked one after the other. Redis's own processor time is beside the worker's. Memory is at hand before each"
    " load, touched and kept: no way waits for pages of the host. Each repeat begins with another of the three."
)


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
        snapshot = snapshot_of(base, replica.encoder)
    finally:
        await store.stop()
    await asyncio.to_thread(write_files, files, snapshot)


def snapshot_of(segment: Segment, encoder: str) -> Snapshot:
    """Return a snapshot of all in a segment, as a compaction makes it."""
    return Snapshot(
        encoder=encoder,
        position=0,
        sets=tuple(SetCreated(name=name, threshold=85.0, thorough=False) for name in segment.set_names),
        references=segment.references,
        codes=segment.ann.code_image(),
    )


def write_files(files: Path, snapshot: Snapshot) -> None:
    """Write everything that is kept of the references, and their codes: as it is in memory, and in sealed parts."""
    plain, sealed = files / "file", files / "sealed"
    columns = to_columns(snapshot.references)
    if snapshot.codes is not None:
        columns |= {PLANES: snapshot.codes.planes, CODES: snapshot.codes.codes}
    plain.mkdir(parents=True)
    for name, column in columns.items():
        np.save(plain / f"{name}.npy", column)
    sealed.mkdir()
    key = secrets.token_bytes(KEY_BYTES)
    writer = SnapshotWriter(snapshot, Sealer(key))
    for name, data in ((KEY, key), (HEADER, writer.header())):
        (sealed / name).write_bytes(data)
    for number in range(writer.parts):
        (sealed / str(number)).write_bytes(writer.part(number))


def take_turns(config: Path, files: Path, redis: int, repeats: int) -> dict[str, Cell]:
    """Load in every way in turn, each repeat beginning with another; return medians of seconds and of ratios.

    ``redis`` is the server's process.
    """
    places = {"load": config, **{way: files / way for way in ("sealed", "file")}}
    size = sum(path.stat().st_size for path in places["file"].iterdir())
    turns: list[dict[str, dict[str, float]]] = []
    for repeat in range(repeats):
        say(f"load {repeat + 1} of {repeats}")
        first = repeat % len(places)
        turn = {}
        for way in [*places, *places][first : first + len(places)]:
            before = family_cpu_seconds(redis)
            turn[way] = child(way, places[way], size) | {"redis": family_cpu_seconds(redis) - before}
        turns.append(turn)

    def median(way: str, what: str) -> float:
        return statistics.median(turn[way][what] for turn in turns)

    def ratio(way: str, what: str) -> float:
        return statistics.median(turn["load"][what] / turn[way][what] for turn in turns)

    return {
        "from Redis, s": median("load", "seconds"),
        "sealed files, s": median("sealed", "seconds"),
        "plain files, s": median("file", "seconds"),
        "of which reading, s": median("file", "read"),
        "from Redis, cpu s": median("load", "cpu"),
        "Redis's own, cpu s": median("load", "redis"),
        "sealed files, cpu s": median("sealed", "cpu"),
        "plain files, cpu s": median("file", "cpu"),
        "Redis / files": ratio("file", "seconds"),
        "Redis / files, cpu": ratio("file", "cpu"),
        "Redis / sealed files": ratio("sealed", "seconds"),
        "memory, MB": child("load", config)["mb"],
    }


def child(way: str, place: Path, size: int = 0) -> dict[str, float]:
    """Load an index in a process of its own, with memory for so many bytes at hand."""
    command = [sys.executable, "-m", "benchmarks.index_child", way, str(place), str(size)]
    environment = {**os.environ, **(KEEP_MEMORY if size else {})}
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, env=environment)
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
        loads = take_turns(config, folder / "files", int(redis.pid or 0), repeats)
        full = start_seconds(config)
    return {
        "references": count,
        **loads,
        "worker ready, s": full,
        "with an empty index, s": empty,
        "GB a million": float(loads["memory, MB"] or 0) / count * 1000,
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
        "References have an embedding and a PDQ hash, no local features. The worker's start has the interpreter,"
        f" encoder and decoders in it. {WAYS_NOTE}"
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
