"""The index in the store: a log of sealed events, and a pointer to the snapshot that stands for its truncated head.

The pointer is one key, swapped by compare-and-set, and the snapshot carries its log position inside: snapshot and
position are one read, never two.  A snapshot that was replaced is kept for one more generation, so that whoever is
just loading it can finish.

There is one log, and a snapshot of it for each encoder that is in use: one, and two while an encoder is changed
(encoders/generations.py).  The log begins where the older of them ends, so each can be brought up to date by it: what
is enrolled, removed or moved while both are there is never copied from one to the other.  Who follows the log for one
encoder has the other's references converted as they come.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
import secrets
import struct
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import replace
from itertools import batched
from typing import Final

import numpy as np

from shared.adapters.blob_reading import all_of
from shared.codec import decode_event, encode_event
from shared.errors import IntegrityError, SafelightError, StoreError, WireError
from shared.ports import Store
from shared.sealing import Sealer
from shared.types import INDEX_LOG, IndexEvent, Reference, ReferenceAdded
from workers.encoders.generations import GenerationBook
from workers.index.graph_store import GraphStore
from workers.index.pending_parts import Pending, PendingParts
from workers.index.pointers import Pointer, read_pointers, write_pointers
from workers.index.snapshot import Snapshot, SnapshotReader, SnapshotWriter, part_count
from workers.index.state import NOTHING, Change, IndexState
from workers.references.reference_table import ReferenceTable

SNAPSHOT_KEY: Final = "index/snapshot"
SNAPSHOT_BLOB: Final = "index/snapshot"
"""The header is the blob ``index/snapshot/POSITION-RANDOM``, its parts have a number after that."""
KEPT_BLOB: Final = "index/kept"
"""What was removed, for as long as it can be brought back."""
READ_LIMIT: Final = 200
"""Entries a read: about 450 KB, opened in 4 ms."""
LOAD_ATTEMPTS: Final = 5
PARTS_AT_ONCE: Final = 3
"""Of a snapshot that is written: while one goes to the store, another is sealed."""
CONVERTED_AT_ONCE: Final = 4096
_PLACE: Final = "index-log"
_TIME: Final = struct.Struct(">d")

Converts = Callable[[Sequence[Reference]], Sequence[Reference]]
"""Makes references of other encoders those of one, in order; what it cannot convert it returns as it is."""


class IndexStaleError(SafelightError):
    """The log no longer holds what follows; start again from the snapshot."""


class IndexLog:
    """Reads and writes the index's parts in the store."""

    def __init__(self, store: Store, sealer: Sealer) -> None:
        self.store = store
        self._sealer = sealer
        self._pending = PendingParts(store)

    async def append(self, *events: IndexEvent, at: float = 0.0) -> int:
        """Append events of the time ``at``, all or none; durable when this returns the last one's position."""
        head = _TIME.pack(at)
        return await self.store.append(
            INDEX_LOG, [self._sealer.seal(head + encode_event(event), place=_PLACE) for event in events]
        )

    def open(self, value: bytes) -> tuple[float, IndexEvent]:
        """Open one entry: when it was written, in seconds since 1970, and the event; IntegrityError or WireError."""
        plain = self._sealer.open(value, place=_PLACE)
        if len(plain) < _TIME.size:
            raise WireError("an entry of the index log is cut off")
        return _TIME.unpack_from(plain)[0], decode_event(plain[_TIME.size :])

    async def keep(self, snapshot: Snapshot, seconds: float) -> str:
        """Store what is about to be removed; it expires by itself.  Return its name."""
        name = f"{KEPT_BLOB}/{secrets.token_hex(8)}"
        await self._write(SnapshotWriter(snapshot, self._sealer), name, ttl=seconds)
        return name

    async def kept(self, name: str) -> Snapshot | None:
        """Return what was stored under the name, None where it has expired; raises IntegrityError."""
        return await self._read(name, None)

    async def forget(self, name: str) -> None:
        """Delete what was stored under the name; idempotent."""
        data = await self.store.get_blob(name)
        if data is not None:
            await self._delete(name, part_count(data, self._sealer))

    async def pointers(self) -> tuple[Pointer, ...]:
        """Return where each encoder's newest snapshot is; raises IntegrityError where the key makes no sense."""
        return (await self._pointers())[0]

    async def pointer(self, encoder: str | None = None) -> Pointer | None:
        """Return where an encoder's newest snapshot is; without one, that of the encoder in force, else the newest.

        None where there is none.
        """
        held = await self.pointers()
        if encoder is None and len(held) > 1:
            generation = await GenerationBook(self.store).read()
            own = [each for each in held if generation is not None and each.encoder == generation.encoder.id]
            held = tuple(own) or held
        fitting = [each for each in held if encoder in (None, each.encoder)]
        return max(fitting, key=lambda each: each.position, default=None)

    async def _pointers(self) -> tuple[tuple[Pointer, ...], int | None]:
        held = await self.store.get(SNAPSHOT_KEY)
        if held is None:
            return (), None
        return read_pointers(held.value), held.version

    async def snapshot(self, encoder: str | None, *, others: bool = False) -> Snapshot | None:
        """Return the newest snapshot of an encoder (None: of any), or None where none was ever made.

        Where there is none of this encoder but of another, that one with ``others``, else raises IntegrityError.
        """
        for _ in range(LOAD_ATTEMPTS):
            pointer = await self.pointer(encoder) or await self.pointer()
            if pointer is None:
                return None
            found = await self._read(pointer.blob, None if others else encoder)
            if found is not None:
                return found
        raise IntegrityError("the index snapshot is missing from the store; restore it from a backup")

    async def _read(self, name: str, encoder: str | None) -> Snapshot | None:
        """Return a snapshot, None where a part is gone: somebody has replaced it twice meanwhile, or it expired."""
        data = await self.store.get_blob(name)
        if data is None:
            return None
        reader = SnapshotReader(data, self._sealer, encoder=encoder)
        parts = [f"{name}/{number}" for number in range(reader.parts)]
        if not await self.store.read_blobs(parts, reader.largest_part, reader.take):
            return None
        return await asyncio.to_thread(reader.snapshot)

    async def publish(
        self,
        snapshot: Snapshot,
        older: Pointer | None,
        at: float,
        remember: Callable[[int], Awaitable[None]] | None = None,
    ) -> bool:
        """Make ``snapshot``, of the time ``at``, its encoder's newest in place of ``older``.

        Then truncates the log up to the oldest snapshot of all encoders; ``remember`` is called with that position
        before.  False, and nothing changed, where somebody else published for this encoder meanwhile.
        """
        await self._collect(snapshot.encoder, at)
        writer = SnapshotWriter(snapshot, self._sealer)
        newest = Pointer(
            encoder=snapshot.encoder,
            blob=f"{SNAPSHOT_BLOB}/{snapshot.position}-{secrets.token_hex(4)}",
            position=snapshot.position,
            at=at,
            bytes=writer.size,
            parts=writer.parts,
            previous=older.blob if older else "",
            previous_parts=older.parts if older else 0,
        )
        await self._pending.announce(*_pending(newest, older, at))
        await self._write(writer, newest.blob)
        kept = None
        if await self._pending.settle(newest.blob):
            kept = await self._replace(snapshot.encoder, older, newest)
        if kept is None:
            await self._discard(newest.blob, newest.parts)
            return False
        upto = min(each.position for each in kept)
        if remember is not None:
            await remember(upto)
        await self.store.truncate(INDEX_LOG, upto)
        await self._pending.forget({newest.blob})
        if older is not None and older.previous:
            await self._discard(older.previous, older.previous_parts)
        return True

    async def _collect(self, encoder: str, now: float) -> None:
        """Delete what workers that were killed left of an encoder's snapshots."""
        published = {blob for each in await self.pointers() for blob in (each.blob, each.previous)}
        for orphan in await self._pending.orphans(encoder, published, now):
            await self._discard(orphan.blob, orphan.parts)

    async def _discard(self, blob: str, parts: int) -> None:
        await self._delete(blob, parts)
        await self._pending.forget({blob})

    async def drop(self, encoder: str) -> None:
        """Delete an encoder's graph and snapshots, for which the log then no longer waits; idempotent."""
        while (held := await self.pointer(encoder)) is not None:
            if await self._replace(encoder, held, None) is not None:
                await self._delete(held.blob, held.parts)
                if held.previous:
                    await self._delete(held.previous, held.previous_parts)
        await self._collect(encoder, math.inf)
        await GraphStore(self.store, self._sealer, encoder).drop()

    async def _replace(self, encoder: str, older: Pointer | None, newer: Pointer | None) -> tuple[Pointer, ...] | None:
        """Swap an encoder's pointer; return all as they are then, None where it was no longer ``older``."""
        while True:
            held, version = await self._pointers()
            if next((each for each in held if each.encoder == encoder), None) != older:
                return None
            kept = tuple(each for each in held if each.encoder != encoder) + (() if newer is None else (newer,))
            if await self.store.compare_and_set(SNAPSHOT_KEY, version, write_pointers(kept)) is not None:
                return kept

    async def _write(self, writer: SnapshotWriter, name: str, ttl: float | None = None) -> None:
        """Store a snapshot, the header last."""
        left = iter(range(writer.parts))

        async def put() -> None:
            for number in left:
                part = await asyncio.to_thread(writer.part, number)
                await self.store.put_blob(f"{name}/{number}", part, ttl=ttl)

        try:
            await all_of(put() for _ in range(PARTS_AT_ONCE))
            await self.store.put_blob(name, writer.header(), ttl=ttl)
        except BaseException:
            with contextlib.suppress(StoreError):
                await self._delete(name, writer.parts)
            raise

    async def _delete(self, name: str, parts: int) -> None:
        await self.store.delete_blob(name)
        for number in range(parts):
            await self.store.delete_blob(f"{name}/{number}")


def _pending(newest: Pointer, older: Pointer | None, at: float) -> Iterator[Pending]:
    """Yield what is about to be written, and what is to be deleted once it is."""
    yield Pending(encoder=newest.encoder, blob=newest.blob, parts=newest.parts, at=at)
    if older is not None and older.previous:
        yield Pending(encoder=newest.encoder, blob=older.previous, parts=older.previous_parts, at=at)


class IndexFollower:
    """The state of the index at a position of the log, moved on entry by entry.

    ``encoder`` None takes every encoder's references as they are; with ``convert``, all others' are made its own.
    """

    def __init__(
        self,
        log: IndexLog,
        snapshot: Snapshot | None,
        refused: Callable[[SafelightError], None],
        *,
        encoder: str | None = None,
        convert: Converts | None = None,
    ) -> None:
        self._log = log
        self._refused = refused
        self._encoder = encoder
        self._convert = convert
        self.snapshot = snapshot
        self.state = IndexState(snapshot.sets, snapshot.references) if snapshot else IndexState()
        self.position = snapshot.position if snapshot else 0
        self.refusals = 0
        """Entries that do not open here: another key's, or a later program's."""

    @classmethod
    async def load(
        cls,
        log: IndexLog,
        *,
        encoder: str | None,
        refused: Callable[[SafelightError], None],
        convert: Converts | None = None,
    ) -> IndexFollower:
        """Return a follower at the end of the log.

        Raises IntegrityError where the snapshot is refused, the log does not continue it, or none of its entries
        opens with this key; StoreError.
        """
        for _ in range(LOAD_ATTEMPTS):
            snapshot = await log.snapshot(encoder, others=convert is not None)
            if snapshot is not None and convert is not None and encoder not in (None, snapshot.encoder):
                snapshot = await asyncio.to_thread(_converted, snapshot, str(encoder), convert)
            follower = cls(log, snapshot, refused, encoder=encoder, convert=convert)
            try:
                start = follower.position
                while await follower.advance():
                    pass
            except IndexStaleError:
                continue  # a compaction came between the two reads
            if follower.refusals and follower.refusals == follower.position - start and follower.snapshot is None:
                raise IntegrityError("no entry of the index opens: every host needs the same secrets.key_file")
            return follower
        raise IntegrityError("the log does not continue the index snapshot; restore the store from a backup")

    async def advance(self) -> list[tuple[int, Change]]:
        """Apply the next entries; return what each position changed, nothing at the end of the log.

        Raises IndexStaleError where the entry after ``position`` is gone.
        """
        store = self._log.store
        entries = await store.read(INDEX_LOG, self.position, READ_LIMIT)
        if not entries and await store.last_position(INDEX_LOG) != self.position:
            # Appended just now, or truncated past us, or a store that was set back: a second look tells.
            entries = await store.read(INDEX_LOG, self.position, READ_LIMIT)
            if not entries:
                raise IndexStaleError(f"the log has nothing after {self.position} and does not end there")
        events = await self._converted([self._open(entry.value) for entry in entries])
        changes = []
        for entry, event in zip(entries, events, strict=True):
            if entry.position != self.position + 1:
                raise IndexStaleError(f"the log goes on at {entry.position} after {self.position}")
            changes.append((entry.position, NOTHING if event is None else self.state.apply(event)))
            self.position = entry.position
        return changes

    def _open(self, value: bytes) -> IndexEvent | None:
        try:
            return self._log.open(value)[1]
        except (IntegrityError, WireError) as error:
            self.refusals += 1
            self._refused(error)
            return None

    async def _converted(self, events: list[IndexEvent | None]) -> list[IndexEvent | None]:
        """Return the events with other encoders' references made this one's."""
        foreign = {
            number: event.reference
            for number, event in enumerate(events)
            if isinstance(event, ReferenceAdded) and event.reference.encoder != self._encoder
        }
        if self._convert is None or not foreign:
            return events
        made = await asyncio.to_thread(self._convert, list(foreign.values()))
        by_number = dict(zip(foreign, made, strict=True))
        return [ReferenceAdded(reference=by_number[n]) if n in by_number else each for n, each in enumerate(events)]


def _converted(snapshot: Snapshot, encoder: str, convert: Converts) -> Snapshot:
    """Return another encoder's snapshot as this one's, without codes: those have to be made."""
    converted = [ReferenceTable.of(convert(some)) for some in batched(snapshot.references, CONVERTED_AT_ONCE)]
    references = ReferenceTable.gathered([(table, np.ones(len(table), dtype=np.bool_)) for table in converted])
    return replace(snapshot, encoder=encoder, references=references, codes=None)
