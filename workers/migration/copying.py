"""The index of another encoder, made beside the one in force: its first snapshot, and at the end the other's last.

Nothing but a snapshot is made: the log is the same for both, so what is enrolled, removed or moved meanwhile is in it
for either.  While a snapshot is being made nobody compacts (the lease), for the log that it continues must stay; and it
is read once more before anybody is told that it is there.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Final, Protocol

from shared.errors import IntegrityError, LeaseHeldError
from shared.ports import Clock, Store
from shared.sealing import Sealer
from shared.types import Reference
from workers.classifying.model import Classifier
from workers.classifying.revisions import ClassifierBook
from workers.index.compaction import Lease
from workers.index.replica import IndexReplica

LEASE_ATTEMPTS: Final = 300
LEASE_SECONDS: Final = 1.0
"""A worker that just compacts a large index is waited for, five minutes at most."""


class Adapts(Protocol):
    """What makes one encoder's references and classifiers another's, such as an ``Adapter``."""

    def references(self, references: Sequence[Reference]) -> list[Reference]:
        """Return references in their order; what cannot be converted as it is."""
        ...

    def classifier(self, classifier: Classifier) -> Classifier:
        """Return a classifier as the target's."""
        ...


class Counted:
    """Converts references and tells how many that were, so far."""

    def __init__(self, convert: Callable[[Sequence[Reference]], list[Reference]], tell: Callable[[int], None]) -> None:
        self._convert = convert
        self._tell = tell
        self.count = 0

    def __call__(self, references: Sequence[Reference]) -> list[Reference]:
        """Convert; in a thread."""
        made = self._convert(references)
        self.count += sum(one.encoder != other.encoder for one, other in zip(references, made, strict=True))
        self._tell(self.count)
        return made


async def taken(lease: Lease, pause: float = LEASE_SECONDS) -> None:
    """Take a lease as soon as it is free; raises LeaseHeldError after `LEASE_ATTEMPTS`, StoreError."""
    for _ in range(LEASE_ATTEMPTS):
        try:
            return await lease.acquire()
        except LeaseHeldError:
            await asyncio.sleep(pause)
    return await lease.acquire()


async def make_index(old: IndexReplica, new: IndexReplica, clock: Clock) -> int:
    """Write the first snapshot of the new encoder's index; return how many references it has.

    ``new`` converts the old one's references.  Where there is a snapshot already it is left as it is.  Under the
    compaction's lease.  Raises IntegrityError where references cannot be converted, StoreError.
    """
    log = new.log
    await old.load()
    if await log.pointer(old.encoder) is None and old.position:
        # The new one's alone would let the log be truncated under the old one.
        await log.publish(await old.rebuild(), None, clock.wall())
    await new.load()
    if not new.complete():
        raise IntegrityError("not everything in the index can be converted; the log says what: it was not changed")
    held = await log.pointer(new.encoder)
    if held is None and new.position:
        await log.publish(await new.rebuild(), None, clock.wall())
        await new.load()
    return sum(facts.size for facts in new.current().sets.values())


async def keep_alone(replica: IndexReplica, clock: Clock) -> None:
    """Delete the snapshots of all encoders but this one's, once its own stands for the whole log.

    Under the compaction's lease; idempotent.  Raises IntegrityError, StoreError.
    """
    log = replica.log
    await replica.load()
    if not replica.complete():
        raise IntegrityError("not everything in the index can be converted; the log says what: it was not changed")
    own = await log.pointer(replica.encoder)
    if replica.position > (own.position if own else 0):
        await log.publish(await replica.rebuild(), own, clock.wall())
    for pointer in await log.pointers():
        if pointer.encoder != replica.encoder:
            await log.drop(pointer.encoder)


async def convert_classifiers(store: Store, sealer: Sealer, clock: Clock, adapter: Adapts) -> tuple[str, ...]:
    """Put each classifier of the encoder before in force as this one's; return their names.

    Raises StoreError where somebody trains one of them meanwhile; what ``Adapter.classifier`` raises.
    """
    book = ClassifierBook(store, sealer, clock)
    converted = []
    for name in await book.names():
        revision, classifier = await book.show(name)
        made = await asyncio.to_thread(adapter.classifier, classifier)
        if made is not classifier:
            await book.publish(name, made, revision.number, f"converted from {classifier.space.encoder}")
            converted.append(name)
    return tuple(converted)
