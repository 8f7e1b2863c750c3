"""The worker role: puts the parts together, tells when they are ready, takes them apart again."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from typing import Final

from shared.adapters.opening import open_answering_bus, open_store

from shared.adapters.role import RoleContext
from shared.sealing import Sealer, load_or_create_key
from workers.answering import Answerer
from workers.decoding import DecodePool
from workers.encoder import Encoder
from workers.index_replica import IndexReplica
from workers.inspector import Inspector
from workers.request_loop import RequestLoop

IN_FLIGHT_PER_DECODER: Final = 8
"""Enough to keep decoders and encoder busy; each may hold an image of ``proxy.max_object`` bytes."""
INDEX_POLL_SECONDS: Final = 0.05


async def run_worker(context: RoleContext) -> None:
    """Serve until ``context.stopping`` is set, then finish what is under way and return.

    Raises ConfigError, EncoderUnavailableError, ChildLostError, BusError or StoreError where a part cannot start.
    """
    settings, worker = context.settings, context.settings.worker
    readiness = context.readiness
    for part in ("encoder", "decoders", "index", "bus"):
        readiness.add(part, lambda: False)
    sealer = Sealer(load_or_create_key(settings.key_file))
    encoder = await asyncio.to_thread(
        Encoder.load, worker.encoder, threads=worker.threads, provider=worker.provider, batch_limit=worker.batch_limit
    )
    readiness.add("encoder", lambda: True)
    async with AsyncExitStack() as stack:
        pool = DecodePool(
            size=worker.decoders,
            side=encoder.side,
            timeout=worker.decode_timeout_ms / 1000,
            max_pixels=worker.max_pixels,
            metrics=context.metrics,
        )
        stack.push_async_callback(pool.stop)
        await pool.start()
        readiness.add("decoders", pool.ready)
        store = open_store(settings)
        stack.push_async_callback(store.stop)
        await store.start()
        index = IndexReplica(store, sealer, encoder.id, encoder.calibration, context.metrics)
        readiness.add("index", index.caught_up)
        inspector = Inspector(pool, encoder, index, context.clock, context.metrics, batch_limit=worker.batch_limit)
        inspector.start()
        stack.push_async_callback(inspector.stop)
        bus = open_answering_bus(settings)
        stack.push_async_callback(bus.stop)
        await bus.start()
        readiness.add("bus", bus.connected)
        answerer = Answerer(inspector, store, sealer, context.clock, context.metrics)
        loop = RequestLoop(bus, answerer, context.metrics, in_flight=worker.decoders * IN_FLIGHT_PER_DECODER)
        await _serve(loop, index, context.stopping)


async def _serve(loop: RequestLoop, index: IndexReplica, stopping: asyncio.Event) -> None:
    async with asyncio.TaskGroup() as group:
        tail = group.create_task(index.tail())
        # A verdict from an index that is not there yet would let protected images pass.
        while not index.caught_up() and not stopping.is_set():  # noqa: ASYNC110 - a replica has no event for it
            await asyncio.sleep(INDEX_POLL_SECONDS)
        await loop.run(stopping)
        tail.cancel()
