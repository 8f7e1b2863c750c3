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
from functools import cached_property
from itertools import batched, cycle, islice
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from shared.adapters.opening import open_store
from shared.config import Settings
from shared.config import load as load_settings
from shared.sealing import Sealer, load_or_create_key
from shared.telemetry import Metrics
from shared.types import DecodedFrame
from workers.closer_look.evidence import UnseenSight
from workers.decoding.child import Limits, decode, prepare
from workers.encoders.encoder import Encoder
from workers.index.replica import IndexReplica, IndexView
from workers.search.view import looks_at_all

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


class LoopSight(UnseenSight):
    """Decodes a still once more where somebody looks at it closely and its plane is not there, as a worker does."""

    def __init__(self, data: bytes, frame: DecodedFrame, limits: Limits) -> None:
        super().__init__(frame.size, time.monotonic, UNTIL, spare=False)
        self._data = data
        self._frame = frame
        self._limits = limits

    @cached_property
    def plane(self) -> NDArray[np.uint8]:
        """The grey picture, height x width."""
        frame = self._frame if self._frame.plane else decode(self._data, self._limits).frames[0]
        width, height = frame.plane_size
        return np.frombuffer(frame.plane, np.uint8).reshape(height, width)


def judge(files: Sequence[bytes], encoder: Encoder, view: IndexView, limits: Limits) -> int:
    """Do all stages for these stills, one batch; return how many matched."""
    planes = looks_at_all(view.sets, spare=False)
    frames = [decode(data, limits, planes=planes).frames[0] for data in files]
    vectors = encoder.embed([frame.pixels for frame in frames])
    probes = [
        view.probe(
            "",
            vector,
            frame.pdq,
            pdq_quality=frame.pdq_quality,
            low_information=frame.low_information,
            sight=LoopSight(data, frame, limits),
        )
        for data, frame, vector in zip(files, frames, vectors, strict=True)
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
