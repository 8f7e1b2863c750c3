"""The worker role: puts the parts together, tells when they are ready, takes them apart again."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from contextlib import AsyncExitStack
from typing import Final

from shared.adapters.lease import Lease
from shared.adapters.opening import open_answering_bus, open_store
from shared.adapters.role import RoleContext
from shared.adapters.starting import started
from shared.ports import Store
from shared.sealing import Sealer, load_or_create_key
from workers.admission import Admission
from workers.answering import Answerer
from workers.classifying.labelling import Labeller
from workers.classifying.replica import ClassifierReplica
from workers.classifying.vectors import shipped_features
from workers.compaction import LEASE_KEY, maintain
from workers.container_inspector import ContainerInspector
from workers.decoding import DecodePool
from workers.encoder import Encoder
from workers.index_replica import IndexReplica
from workers.inspector import Inspector
from workers.label_sources import loaders
from workers.request_loop import RequestLoop
from workers.shared_verdicts import SharedVerdicts
from workers.verdicts import Verdicts

AT_WORK_PER_DECODER: Final = 6
"""Images: enough to keep decoders and encoder busy, and few enough that an urgent one soon gets its turn."""
INDEX_POLL_SECONDS: Final = 0.05


async def run_worker(context: RoleContext) -> None:
    """Serve until ``context.stopping`` is set, then finish what is under way and return.

    A store or a bus that is away is waited for, not ready; raises ConfigError, EncoderUnavailableError or
    ChildLostError where a part cannot start.
    """
    settings, worker = context.settings, context.settings.worker
    readiness = context.readiness
    for part in ("encoder", "decoders", "store", "index", "bus"):
        readiness.add(part, lambda: False)
    readiness.add("worker", lambda: True)
    sealer = Sealer(load_or_create_key(settings.key_file))
    encoder = await asyncio.to_thread(Encoder.configured, settings)
    readiness.add("encoder", encoder.on_device)
    async with AsyncExitStack() as stack:
        pool = DecodePool(
            size=worker.decoders,
            side=encoder.side,
            timeout=worker.decode_timeout_ms / 1000,
            max_pixels=worker.max_pixels,
            max_frames=worker.max_frames,
            metrics=context.metrics,
        )
        stack.push_async_callback(pool.stop)
        await pool.start()
        readiness.add("decoders", pool.ready)
        store = open_store(settings)
        stack.push_async_callback(store.stop)
        if not await started("the store", store.start, context.stopping):
            return
        readiness.add("store", lambda: True)
        index = IndexReplica(store, sealer, encoder.id, encoder.calibration, context.metrics)
        readiness.add("index", index.caught_up)
        classifiers = ClassifierReplica(store, sealer, loaders(encoder), context.metrics)
        readiness.add("classifiers", classifiers.caught_up)
        labels = Labeller(classifiers, shipped_features(), encoder.side, context.metrics)
        inspector = Inspector(
            pool, encoder, index, context.clock, context.metrics, batch_sizes=encoder.batch_sizes, labels=labels
        )
        inspector.start()
        stack.push_async_callback(inspector.stop)
        bus = open_answering_bus(settings)
        stack.push_async_callback(bus.stop)
        if not await started("the bus", bus.start, context.stopping):
            return
        readiness.add("bus", bus.connected)
        admission = Admission(context.clock, context.metrics, places=worker.decoders * AT_WORK_PER_DECODER)
        sharing = _sharing(context, store, sealer, encoder.id)
        if sharing is not None:
            stack.push_async_callback(sharing.stop)
        containers = ContainerInspector(
            inspector, pool, context.clock, context.metrics, max_unpacked=worker.max_unpacked
        )
        verdicts = Verdicts(containers, index, classifiers, admission, context.clock, context.metrics, sharing=sharing)
        answerer = Answerer(verdicts, admission, pool, store, sealer, context.clock, context.metrics)
        loop = RequestLoop(bus, answerer, context.metrics)
        upkeep = maintain(
            store, sealer, index, Lease(store, LEASE_KEY), context.clock, keep_days=settings.index.keep_days
        )
        await _serve(loop, index, classifiers, upkeep, context.stopping)


def _sharing(context: RoleContext, store: Store, sealer: Sealer, encoder: str) -> SharedVerdicts | None:
    """Return what workers tell each other, where there can be several: the embedded store serves one."""
    if context.settings.sqlite_path is not None:
        return None
    return SharedVerdicts(store, sealer, encoder, context.clock, context.metrics)


async def _serve(
    loop: RequestLoop,
    index: IndexReplica,
    classifiers: ClassifierReplica,
    upkeep: Coroutine[None, None, None],
    stopping: asyncio.Event,
) -> None:
    def loaded() -> bool:
        return index.caught_up() and classifiers.caught_up()

    async with asyncio.TaskGroup() as group:
        behind = [group.create_task(each) for each in (index.tail(), classifiers.tail(), upkeep)]
        # A verdict from an index that is not there yet would let protected images pass.
        while not loaded() and not stopping.is_set():  # noqa: ASYNC110 - a replica has no event for it
            await asyncio.sleep(INDEX_POLL_SECONDS)
        await loop.run(stopping)
        for task in behind:
            task.cancel()
