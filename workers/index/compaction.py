"""Keeps the index log short: one worker writes a snapshot and truncates the log up to it.

The lease saves work, it does not guard the data: the pointer is swapped by compare-and-set and only the winner
truncates, so two compactors at once lose nothing.  What is enrolled meanwhile lies past the snapshot's position and
stays in the log.
"""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import Callable
from typing import Final, Protocol

from shared.errors import IntegrityError, LeaseHeldError, StoreError
from shared.ports import Clock, Store
from shared.sealing import Sealer
from workers.index.log import IndexLog, IndexStaleError
from workers.index.replica import IndexReplica
from workers.index.set_history import DAY, KEEP_DAYS, SetHistory
from workers.index.status import write_health

COMPACT_ENTRIES: Final = 1000
"""Entries past the snapshot: about 2 MB, and 0.1 s of a worker's start."""
MAINTAIN_SECONDS: Final = 30.0
PROBE_SECONDS: Final = 86_400.0
"""Between two looks whether the index finds what is in it; the first follows the start."""
LEASE_KEY: Final = "index/compaction"

_logger = logging.getLogger(__name__)


class Lease(Protocol):
    """What compaction needs of a lease."""

    async def acquire(self) -> None:
        """Take the lease; raises LeaseHeldError."""
        ...

    async def release(self) -> None:
        """Give it back."""
        ...


async def compact(
    store: Store,
    sealer: Sealer,
    replica: IndexReplica,
    lease: Lease,
    clock: Clock,
    *,
    limit: int = COMPACT_ENTRIES,
    keep_days: float = KEEP_DAYS,
) -> bool:
    """Snapshot and truncate where the log holds more than ``limit`` entries past the snapshot; tell whether it did.

    A replica that could not understand everything in the log (another key's, encoder's or program's entries) leaves
    the work to one that can: its snapshot would forget them.  Raises StoreError, IntegrityError.
    """
    log = IndexLog(store, sealer)
    if not await _due(log, replica, limit):
        return False
    if not replica.complete():
        _logger.warning("not compacting: the index holds entries that this worker cannot read")
        return False
    try:
        await lease.acquire()
    except LeaseHeldError:
        return False
    try:
        return await _compact(log, SetHistory(store, sealer), replica, clock, limit, keep_days)
    finally:
        await lease.release()


async def _due(log: IndexLog, replica: IndexReplica, limit: int) -> bool:
    pointer = await log.pointer(replica.encoder)
    return replica.position - (pointer.position if pointer else 0) > limit


async def _compact(
    log: IndexLog, history: SetHistory, replica: IndexReplica, clock: Clock, limit: int, keep_days: float
) -> bool:
    older = await log.pointer(replica.encoder)
    if replica.position - (older.position if older else 0) <= limit:
        return False  # somebody else was done just before the lease came free
    try:
        snapshot = await replica.rebuild()
    except IndexStaleError:
        return False
    now = clock.wall()

    async def remember(upto: int) -> None:
        await history.remember(upto, now - keep_days * DAY)

    return replica.complete() and await log.publish(snapshot, older, now, remember)


async def maintain(
    store: Store,
    sealer: Sealer,
    current: Callable[[], IndexReplica],
    lease: Lease,
    clock: Clock,
    *,
    interval: float = MAINTAIN_SECONDS,
    limit: int = COMPACT_ENTRIES,
    keep_days: float = KEEP_DAYS,
) -> None:
    """Compact and probe the current replica for ever, when it is due; outlives every store and integrity error."""
    probed = -math.inf
    while True:
        await asyncio.sleep(interval)
        replica = current()
        try:
            if await compact(store, sealer, replica, lease, clock, limit=limit, keep_days=keep_days):
                _logger.info("compacted the index log")
            if clock.monotonic() - probed >= PROBE_SECONDS and replica.caught_up():
                await write_health(store, await replica.probe(clock))
                probed = clock.monotonic()
        except (StoreError, IntegrityError) as error:
            _logger.warning("the index was not maintained: %s", error)
