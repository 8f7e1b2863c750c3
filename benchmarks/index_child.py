"""An index in a process of its own: how long it takes to load, what it weighs, when it has what was enrolled.

    python -m benchmarks.index_child load CONFIG BYTES      from the store, as a worker does
    python -m benchmarks.index_child sealed FOLDER BYTES    the same snapshot's parts from files, opened one by one
    python -m benchmarks.index_child file FOLDER BYTES      the same columns from plain files, unsealed
    python -m benchmarks.index_child watch CONFIG           says ``ready``, then POSITION and the time of each view

The first three print a line of JSON: seconds, seconds of processor time, and MB of resident memory that came with it.
BYTES is what the index has: so much memory is touched before the clock starts, and used again where the allocator keeps
it (`KEEP_MEMORY`).
"""

from __future__ import annotations

import asyncio
import json
import mmap
import os
import sys
import time
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Final

import numpy as np

from benchmarks.processes import resident_mb
from shared.adapters.opening import open_store
from shared.config import load as load_settings
from shared.ports import Store
from shared.sealing import Sealer, load_or_create_key
from shared.telemetry import Metrics
from workers.encoders.files import MODELS, choose_encoder
from workers.index.replica import IndexReplica
from workers.index.snapshot import SnapshotReader
from workers.references.byte_column import Bytes
from workers.references.table_columns import from_columns
from workers.search.ann_index import AnnIndex
from workers.search.segment import MakeAnn, Segment
from workers.search.vector_codes import CodeImage

CODES: Final = "codes"
PLANES: Final = "planes"
KEY: Final = "key"
HEADER: Final = "header"
SPARE_BYTES: Final = 64 << 20
"""What a load takes besides the index, at most."""
KEEP_MEMORY: Final = {"MALLOC_MMAP_MAX_": "0", "MALLOC_TRIM_THRESHOLD_": f"{1 << 40}", "MALLOC_ARENA_MAX": "1"}
"""Settings with which glibc's malloc gives nothing back (mallopt(3)), so that no load waits for pages of the host."""
LOOK_SECONDS: Final = 0.002


def make_replica(store: Store, key_file: Path) -> IndexReplica:
    """Return a replica for the encoder that ships."""
    card = choose_encoder("", MODELS, None)
    precision = card.choose("auto", "cpu")
    sealer = Sealer(load_or_create_key(key_file))
    return IndexReplica(store, sealer, card.files[precision].index_id, card.read_calibration(precision), Metrics())


def settle(size: int) -> None:
    """Have memory at hand, for all ways of loading alike.

    To have 1.3 GB of memory from a virtual machine's host took 1 to 4 s of processor time, and next to nothing in a
    process that had what another gave back less than two seconds before: who came second looked quicker.
    """
    memory = np.empty(size + SPARE_BYTES, np.uint8)
    memory[:: mmap.PAGESIZE] = 1


async def load(config: Path) -> dict[str, float]:
    """Load the index from the store."""
    settings = load_settings(config, {})
    store = open_store(settings)
    await store.start()
    try:
        replica = make_replica(store, settings.key_file)
        before, begun, used = resident_mb(os.getpid()), time.perf_counter(), time.process_time()
        await replica.load()
        seconds, cpu = time.perf_counter() - begun, time.process_time() - used
        return {"seconds": seconds, "cpu": cpu, "mb": resident_mb(os.getpid()) - before}
    finally:
        await store.stop()


def load_file(folder: Path) -> dict[str, float]:
    """Load the same columns from plain files and make an index of them; ``read``: the seconds before it is made."""
    before, begun, used = resident_mb(os.getpid()), time.perf_counter(), time.process_time()
    held = {path.stem: np.load(path) for path in sorted(folder.iterdir())}
    read, read_cpu = time.perf_counter() - begun, time.process_time() - used
    index = Segment.build(from_columns(held), _make_ann(_codes(held)))
    seconds, cpu = time.perf_counter() - begun, time.process_time() - used
    memory = resident_mb(os.getpid()) - before
    assert len(index.references)
    return {"seconds": seconds, "cpu": cpu, "mb": memory, "read": read, "read_cpu": read_cpu}


def load_sealed(folder: Path) -> dict[str, float]:
    """Read a snapshot's parts from files, open them and make an index of them; no Redis, no log, no view."""
    sealer = Sealer((folder / KEY).read_bytes())
    before, begun, used = resident_mb(os.getpid()), time.perf_counter(), time.process_time()
    reader = SnapshotReader((folder / HEADER).read_bytes(), sealer)
    part = memoryview(bytearray(reader.largest_part))
    for number in range(reader.parts):
        with (folder / str(number)).open("rb", buffering=0) as file:
            reader.take(number, part[: file.readinto(part)])
    snapshot = reader.snapshot()
    index = Segment.build(snapshot.references, _make_ann(snapshot.codes))
    seconds, cpu = time.perf_counter() - begun, time.process_time() - used
    assert len(index.references)
    return {"seconds": seconds, "cpu": cpu, "mb": resident_mb(os.getpid()) - before}


def _codes(held: Mapping[str, Bytes]) -> CodeImage | None:
    return CodeImage(planes=held[PLANES], codes=held[CODES]) if CODES in held else None


def _make_ann(codes: CodeImage | None) -> MakeAnn:
    return AnnIndex.exact if codes is None else partial(AnnIndex.coded, image=codes)


async def watch(config: Path) -> None:
    """Follow the index until the input ends."""
    settings = load_settings(config, {})
    store = open_store(settings)
    await store.start()
    replica = make_replica(store, settings.key_file)
    following = asyncio.get_running_loop().create_task(replica.tail())
    ended = asyncio.get_running_loop().create_task(asyncio.to_thread(sys.stdin.read))
    seen, announced = replica.current(), False
    while not ended.done():
        if replica.caught_up() and not announced:
            announced = True
            _say("ready")
        elif (view := replica.current()) is not seen and announced:
            seen = view
            _say(f"{view.revision.rpartition(':')[2]} {time.monotonic()}")
        await asyncio.sleep(LOOK_SECONDS)
    following.cancel()
    await asyncio.gather(following, return_exceptions=True)
    await store.stop()


def _say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def main() -> int:
    """Do what is asked for."""
    way, place = sys.argv[1], Path(sys.argv[2])
    if way == "watch":
        asyncio.run(watch(place))
    else:
        settle(int(sys.argv[3]))
        ways = {"load": lambda: asyncio.run(load(place)), "sealed": lambda: load_sealed(place)}
        _say(json.dumps(ways.get(way, lambda: load_file(place))()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
