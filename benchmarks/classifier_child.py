"""A worker's classifiers in a process of its own: says ``ready``, then POSITION and when it answers at it.

python -m benchmarks.classifier_child CONFIG
"""

from __future__ import annotations

import asyncio
import sys
import time
from pathlib import Path

import numpy as np

from benchmarks.index_child import LOOK_SECONDS
from shared.adapters.opening import open_store
from shared.config import load as load_settings
from shared.sealing import Sealer, load_or_create_key
from shared.telemetry import Metrics
from shared.types import DecodedFrame
from tests.factories import make_frame
from workers.classifying.dense_features import Floats
from workers.classifying.labelling import Labeller
from workers.classifying.replica import ClassifierReplica
from workers.classifying.vectors import shipped_features
from workers.encoders.encoder import Encoder
from workers.encoders.names import configured_name
from workers.engines.label_sources import loaders, shipped_answers


def make_sight(encoder: Encoder) -> tuple[DecodedFrame, Floats]:
    """Return a picture as the decoder hands it out, and the encoder's vector of it."""
    noise = np.random.default_rng(0)
    pixels = noise.integers(0, 256, (encoder.side, encoder.side, 3), np.uint8).tobytes()
    plane = noise.integers(0, 256, (240, 320), np.uint8).tobytes()
    return make_frame(pixels=pixels, plane=plane, plane_size=(320, 240)), encoder.embed([pixels])[0]


async def watch(config: Path) -> None:
    """Follow the classifiers until the input ends, and ask each revision about a picture as soon as it is there."""
    settings = load_settings(config, {})
    name = configured_name(settings)
    encoder = Encoder.configured(settings, name)
    frame, vector = make_sight(encoder)
    store = open_store(settings)
    await store.start()
    metrics, sealer = Metrics(), Sealer(load_or_create_key(settings.key_file))
    replica = ClassifierReplica(store, sealer, loaders(encoder), metrics, shipped_answers(settings, name))
    labeller = Labeller(replica, shipped_features(), encoder.side, metrics)
    following = asyncio.get_running_loop().create_task(replica.tail())
    ended = asyncio.get_running_loop().create_task(asyncio.to_thread(sys.stdin.read))
    said = -1
    while not ended.done():
        current = replica.current()
        if replica.caught_up() and said < 0:
            said = current.position
            print("ready", flush=True)
        elif said >= 0 and current.position > said:
            labelled = labeller.answer("", tuple(current.by_name), [frame], [vector])
            said = labelled.position
            print(f"{said} {time.monotonic()}", flush=True)
        await asyncio.sleep(LOOK_SECONDS)
    following.cancel()
    await asyncio.gather(following, return_exceptions=True)
    await store.stop()


if __name__ == "__main__":
    asyncio.run(watch(Path(sys.argv[1])))
