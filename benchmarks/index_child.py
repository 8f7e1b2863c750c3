"""An index in a process of its own: how long it takes to load, what it weighs, when it has what was enrolled.

    python -m benchmarks.index_child load CONFIG      from the store, as a worker does
    python -m benchmarks.index_child file FOLDER      the same index from plain files, unsealed
    python -m benchmarks.index_child watch CONFIG     says ``ready``, then POSITION and the monotonic time of each view

The first two print one line of JSON: seconds, seconds of processor time, and MB of resident memory that came with it.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time
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
from workers.ann_index import AnnIndex
from workers.encoder_files import MODELS, choose_encoder
from workers.index_replica import IndexReplica
from workers.index_segment import Segment
from workers.table_columns import from_columns
from workers.vector_codes import CodeImage

CODES: Final = "codes"
PLANES: Final = "planes"
LOOK_SECONDS: Final = 0.002


def make_replica(store: Store, key_file: Path) -> IndexReplica:
    """Return a replica for the encoder that ships."""
    card = choose_encoder("", MODELS, None)
    precision = card.choose("auto", "cpu")
    sealer = Sealer(load_or_create_key(key_file))
    return IndexReplica(store, sealer, card.files[precision].index_id, card.read_calibration(precision), Metrics())


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
    coded = partial(AnnIndex.coded, image=CodeImage(planes=held[PLANES], codes=held[CODES])) if CODES in held else None
    index = Segment.build(from_columns(held), coded or AnnIndex.exact)
    seconds, cpu = time.perf_counter() - begun, time.process_time() - used
    memory = resident_mb(os.getpid()) - before
    assert len(index.references)
    return {"seconds": seconds, "cpu": cpu, "mb": memory, "read": read, "read_cpu": read_cpu}


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
        _say(json.dumps(asyncio.run(load(place)) if way == "load" else load_file(place)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
