"""The worker's inspection path put together for one command: the same decoder, encoder, index and matching."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from shared.adapters.role import SystemClock
from shared.config import Settings
from shared.ports import Store
from shared.sealing import Sealer
from shared.telemetry import Metrics
from workers.decoding import DecodePool
from workers.encoder import Encoder
from workers.index_replica import IndexReplica
from workers.inspector import Inspector


@asynccontextmanager
async def open_inspector(settings: Settings, store: Store, sealer: Sealer) -> AsyncIterator[Inspector]:
    """Yield an inspector over the index as it is now; raises what loading the encoder or the index raises."""
    worker, metrics = settings.worker, Metrics()
    encoder = Encoder.load(
        worker.encoder, threads=worker.threads, provider=worker.provider, batch_limit=worker.batch_limit
    )
    replica = IndexReplica(store, sealer, encoder.id, encoder.calibration, metrics)
    await replica.load()
    pool = DecodePool(
        size=1,
        side=encoder.side,
        timeout=worker.decode_timeout_ms / 1000,
        max_pixels=worker.max_pixels,
        metrics=metrics,
    )
    inspector = Inspector(pool, encoder, replica, SystemClock(), metrics, batch_limit=worker.batch_limit)
    await pool.start()
    inspector.start()
    try:
        yield inspector
    finally:
        await inspector.stop()
        await pool.stop()
