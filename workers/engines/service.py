"""The worker role: puts the parts together, tells when they are ready, takes them apart again."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Callable
from contextlib import AsyncExitStack
from functools import partial
from typing import Final

from shared.adapters.lease import Lease
from shared.adapters.opening import open_answering_bus, open_sealer, open_store, sign_off_dead_workers
from shared.adapters.role import RoleContext
from shared.adapters.starting import started
from shared.ports import AnsweringBus, Store
from shared.sealing import Sealer
from workers.decoding.pool import DecodePool
from workers.decoding.shared_pools import DecodePools
from workers.encoders.encoder import Encoder
from workers.encoders.generations import Generation
from workers.encoders.in_force import in_force
from workers.encoders.names import EncoderName
from workers.engines.engine import Engine, Surroundings
from workers.engines.engine_room import EngineRoom
from workers.index.compaction import LEASE_KEY, maintain
from workers.index.graph_upkeep import LEASE_KEY as GRAPH_LEASE_KEY
from workers.index.graph_upkeep import GraphUpkeep
from workers.migration.adapting import Adapter, adapter_if_any, load_adapter
from workers.serving.admission import Admission
from workers.serving.answering import Answerer
from workers.serving.request_loop import RequestLoop

AT_WORK_PER_DECODER: Final = 6
"""Images: enough to keep decoders and encoder busy, and few enough that an urgent one soon gets its turn."""
INDEX_POLL_SECONDS: Final = 0.05
PARTS: Final = ("encoder", "decoders", "store", "index", "classifiers", "bus", "worker")


async def run_worker(context: RoleContext) -> None:
    """Serve until ``context.stopping`` is set, then finish what is under way and return.

    A store or a bus that is away is waited for, not ready; raises ConfigError, EncoderUnavailableError or
    ChildLostError where a part cannot start.
    """
    settings, readiness = context.settings, context.readiness
    for part in PARTS:
        readiness.add(part, lambda: False)
    sealer = open_sealer(settings)
    await sign_off_dead_workers(settings)  # first of all: to load an encoder takes seconds
    async with AsyncExitStack() as stack:
        store = open_store(settings)
        stack.push_async_callback(store.stop)
        if not await started("the store", store.start, context.stopping):
            return
        readiness.add("store", lambda: True)
        around = _surroundings(context, store, sealer)
        generation = await _generation(context, store)
        if generation is None:
            return
        room = await _open_room(around, generation)
        stack.push_async_callback(room.stop)
        _tell(context, room)
        bus = open_answering_bus(settings)
        stack.push_async_callback(bus.stop)
        answerer = Answerer(room, around.admission, room, store, sealer, context.clock, context.metrics)
        await _serve(bus, answerer, room, around, context)


def _surroundings(context: RoleContext, store: Store, sealer: Sealer) -> Surroundings:
    worker, metrics = context.settings.worker, context.metrics

    def make_pool(side: int) -> DecodePool:
        return DecodePool(
            size=worker.decoders,
            side=side,
            timeout=worker.decode_timeout_ms / 1000,
            max_pixels=worker.max_pixels,
            max_frames=worker.max_frames,
            metrics=metrics,
        )

    return Surroundings(
        settings=context.settings,
        store=store,
        sealer=sealer,
        clock=context.clock,
        metrics=metrics,
        admission=Admission(context.clock, metrics, places=worker.decoders * AT_WORK_PER_DECODER),
        pools=DecodePools(make_pool),
    )


async def _generation(context: RoleContext, store: Store) -> Generation | None:
    """Return which encoder is in force; None where the worker is told to stop before the store says so."""
    found: list[Generation] = []

    async def ask() -> None:
        found.append(await in_force(context.settings, store))

    return found[0] if await started("the store", ask, context.stopping) else None


async def _open_room(around: Surroundings, generation: Generation) -> EngineRoom[Engine]:
    adapter = await asyncio.to_thread(adapter_if_any, around.settings, generation)
    first = await _started_engine(around, generation.encoder, adapter)
    room = EngineRoom(
        first,
        partial(_open_engine, around),
        around.store,
        around.clock,
        around.metrics,
        around.admission,
        share=around.settings.worker.compare_share,
    )
    room.start()
    return room


async def _open_engine(around: Surroundings, name: EncoderName, source: EncoderName) -> Engine:
    return await _started_engine(around, name, await asyncio.to_thread(load_adapter, around.settings, name, source))


async def _started_engine(around: Surroundings, name: EncoderName, adapter: Adapter | None) -> Engine:
    engine = Engine(around, name, await asyncio.to_thread(Encoder.configured, around.settings, name), adapter)
    await engine.start()
    return engine


def _tell(context: RoleContext, room: EngineRoom[Engine]) -> None:
    readiness = context.readiness
    readiness.add("encoder", lambda: room.current.encoder.on_device() and not (room.behind and room.error))
    readiness.add("decoders", partial(_current, room, lambda engine: engine.pool.ready()))
    readiness.add("index", partial(_current, room, lambda engine: engine.index.caught_up()))
    readiness.add("classifiers", partial(_current, room, lambda engine: engine.classifiers.caught_up()))
    readiness.warn(lambda: room.error)


def _current(room: EngineRoom[Engine], holds: Callable[[Engine], bool]) -> bool:
    """Whether a condition holds of the engine that answers by then."""
    return holds(room.current)


async def _serve(
    bus: AnsweringBus, answerer: Answerer, room: EngineRoom[Engine], around: Surroundings, context: RoleContext
) -> None:
    stopping = context.stopping
    upkeep = maintain(
        around.store,
        around.sealer,
        lambda: room.current.index,
        Lease(around.store, LEASE_KEY),
        around.clock,
        keep_days=around.settings.index.keep_days,
    )
    graphs = GraphUpkeep(
        around.store,
        around.sealer,
        lambda: room.current.index,
        Lease(around.store, GRAPH_LEASE_KEY),
        around.metrics,
    )
    async with asyncio.TaskGroup() as group:
        behind = [group.create_task(each) for each in (room.watch(), upkeep, graphs.run())]
        # A verdict from an index that is not there yet would let protected images pass.
        while not room.current.loaded() and not stopping.is_set():  # noqa: ASYNC110 - a replica has no event for it
            await asyncio.sleep(INDEX_POLL_SECONDS)
        # What is alive now mostly lives as long as the process: a full collection would go through it all, for 50 ms.
        # Before anybody is told that this worker is ready: a question that came during it would wait.
        gc.collect()
        gc.freeze()
        # Not before: who is on the bus gets a share of the questions, and those would wait for an index that may be
        # refused for ever, while other workers have theirs.
        if await started("the bus", bus.start, stopping):
            context.readiness.add("bus", bus.connected)
            context.readiness.add("worker", lambda: True)
            await RequestLoop(bus, answerer, context.metrics).run(stopping)
        for task in behind:
            task.cancel()
