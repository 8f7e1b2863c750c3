"""What the stages of a verdict cost with nothing around them: decode, PDQ, resize, encode, search in one loop.

    python -m benchmarks.tight_loop CONFIG FOLDER

loads the deployment's encoder and its index, says ``ready``, and then, for every line ``COUNT`` it reads, judges as
many pictures of the folder and answers with the processor seconds that took.  No process, bus, queue or sandbox is in
it, and pictures are encoded eight at a time whether or not they would have come together: a worker cannot do better.
"""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Sequence
from itertools import batched, cycle, islice
from pathlib import Path

import numpy as np

from shared.adapters.opening import open_store
from shared.config import Settings
from shared.config import load as load_settings
from shared.sealing import Sealer, load_or_create_key
from shared.telemetry import Metrics
from shared.types.facts import DecodedFrame
from workers.decode_child import Limits, decode, prepare
from workers.encoder import Encoder
from workers.evidence import Sight
from workers.index_replica import IndexReplica, IndexView

UNTIL = float("inf")


async def load_view(settings: Settings, encoder: Encoder) -> IndexView:
    """Return the deployment's index as it is now."""
    store = open_store(settings)
    await store.start()
    try:
        sealer = Sealer(load_or_create_key(settings.key_file))
        return await IndexReplica(store, sealer, encoder.id, encoder.calibration, Metrics()).catch_up()
    finally:
        await store.stop()


def sight_of(frame: DecodedFrame) -> Sight | None:
    """Return what a closer look needs, as a worker makes it."""
    if not frame.plane:
        return None
    width, height = frame.plane_size
    plane = np.frombuffer(frame.plane, np.uint8).reshape(height, width)
    return Sight(plane, frame.size, time.monotonic, UNTIL)


def judge(files: Sequence[bytes], encoder: Encoder, view: IndexView, limits: Limits) -> int:
    """Do all stages for these pictures, one batch; return how many frames matched."""
    frames = [frame for data in files for frame in decode(data, limits).frames]
    vectors = encoder.embed([frame.pixels for frame in frames])
    probes = [
        view.probe(
            "",
            vector,
            frame.pdq,
            pdq_quality=frame.pdq_quality,
            low_information=frame.low_information,
            sight=sight_of(frame),
        )
        for frame, vector in zip(frames, vectors, strict=True)
    ]
    return sum(any(match.matched for match in matches) for matches in view.search(probes))


def main() -> int:
    """Load, and judge as many as each line says."""
    settings = load_settings(Path(sys.argv[1]), {})
    files = [path.read_bytes() for path in sorted(Path(sys.argv[2]).iterdir())]
    worker = settings.worker
    encoder = Encoder.configured(settings)
    view = asyncio.run(load_view(settings, encoder))
    limits = Limits(side=encoder.side, max_pixels=worker.max_pixels)
    prepare(limits)
    endless = cycle(files)
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    for line in iter(sys.stdin.readline, ""):
        before = time.process_time()
        for batch in batched(islice(endless, int(line)), worker.batch_limit):
            judge(batch, encoder, view, limits)
        sys.stdout.write(f"{time.process_time() - before}\n")
        sys.stdout.flush()
    return 0


if __name__ == "__main__":
    sys.exit(main())
