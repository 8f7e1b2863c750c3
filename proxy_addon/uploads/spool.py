"""Keeps the parts of uploads until they are whole: sealed, bounded, in the store that all proxies share.

With the embedded store the parts are files in ``data_dir``.  Names in the store are digests: the address of an upload
is a credential.  Every part expires, and one proxy keeps ``max_bytes`` of them at most; what it has no room for makes
the upload one that could not be inspected.

Nothing is cancelled inside a call of the store: a client that goes away leaves the call to end by itself.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import logging
import secrets
from collections.abc import Callable, Coroutine, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Final
from weakref import WeakValueDictionary

from proxy_addon.uploads.session import Session
from shared.errors import ErrorCode, ExtractionError, IntegrityError, StoreError, WireError
from shared.extract.reassembly import Piece, SpoolLimits
from shared.ports import Clock, Store
from shared.sealing import Sealer
from shared.telemetry import Metrics

PREFIX: Final = "upload/"
OFF_LOOP_BYTES: Final = 128 << 10
"""Hashing and sealing do about 500 MB/s together: smaller parts are sealed where they are, others in a thread."""
MAX_TRIES: Final = 64
"""Proxies that write to one session at once are few; a try takes a millisecond."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Held:
    session: str
    size: int
    expires: float


class Spool:
    """The sessions of all proxies, and the bytes that this one has added; ``seconds`` is how long they are kept."""

    def __init__(
        self,
        store: Store,
        sealer: Sealer,
        clock: Clock,
        metrics: Metrics,
        limits: SpoolLimits,
        *,
        max_bytes: int,
        seconds: float,
    ) -> None:
        self._store = store
        self._sealer = sealer
        self._clock = clock
        self._metrics = metrics
        self.limits = limits
        self._max_bytes = max_bytes
        self._seconds = seconds
        self._held: dict[str, _Held] = {}  # in the order in which they expire
        self._size = 0
        self._finished: set[str] = set()
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
        self._running: set[asyncio.Task[Any]] = set()

    async def find(self, key: str) -> Session | None:
        """Return the upload of this key.  Raises StoreError."""
        return await self._whole(self._find(_id(key)))

    async def open(self, key: str) -> Session:
        """Return the upload of this key, or a new one, which ``change`` writes.  Raises StoreError."""
        return await self.find(key) or Session(id=_id(key))

    async def change(self, session: Session, change: Callable[[Session], Session]) -> Session:
        """Apply ``change`` to what the store holds of this upload by now.  Raises StoreError."""
        return await self._whole(self._change(session.id, change))

    async def alias(self, keys: Iterable[str], session: Session) -> None:
        """Make an upload known under further keys.  Raises StoreError."""
        await self._whole(self._alias(tuple(keys), session))

    async def keep(self, session: Session, data: bytes, *, offset: int | None, number: str) -> Piece:
        """Keep a part's bytes; return the piece.  Raises StoreError, ExtractionError where there is no room."""
        return await self._whole(self._keep(session, data, offset, number))

    async def load(self, pieces: Sequence[Piece]) -> dict[str, bytes]:
        """Return the bytes of pieces by their keys; those that have expired are left out.  Raises StoreError."""
        return await self._whole(self._load(pieces))

    async def drop(self, session: Session) -> None:
        """Forget an upload.  Raises StoreError."""
        await self._whole(self._drop(session))

    def finish(self, session: Session) -> None:
        """Let an upload's bytes go first where there is no room."""
        self._finished.add(session.id)

    async def close(self) -> None:
        """Wait for what is still being written; every call is bounded by the store."""
        if self._running:
            await asyncio.wait(self._running)

    async def _whole[T](self, work: Coroutine[Any, Any, T]) -> T:
        task = asyncio.get_running_loop().create_task(work)
        self._running.add(task)
        task.add_done_callback(self._running.discard)
        try:
            return await asyncio.shield(task)
        except asyncio.CancelledError:
            task.add_done_callback(_report)
            raise

    async def _find(self, session_id: str) -> Session | None:
        found = await self._store.get(PREFIX + session_id)
        if found is None:
            return None
        plain = self._open(found.value, session_id)
        alias = _alias_of(plain)
        if alias is None:
            return _decode(session_id, plain)
        found = await self._store.get(PREFIX + alias)
        return None if found is None else _decode(alias, self._open(found.value, alias))

    async def _change(self, session_id: str, change: Callable[[Session], Session]) -> Session:
        lock = self._locks.setdefault(session_id, asyncio.Lock())
        async with lock:
            for _ in range(MAX_TRIES):
                found = await self._store.get(PREFIX + session_id)
                session = _decode(session_id, self._open(found.value, session_id)) if found else Session(id=session_id)
                changed = change(session)
                if found and changed == session:
                    return session
                sealed = self._sealer.seal(changed.encode(), PREFIX + session_id)
                version = found.version if found else None
                if await self._store.compare_and_set(PREFIX + session_id, version, sealed, ttl=self._seconds):
                    return changed
        raise StoreError("an upload's session changes faster than it can be written")

    async def _alias(self, keys: Sequence[str], session: Session) -> None:
        for session_id in dict.fromkeys(map(_id, keys)):
            if session_id == session.id:
                continue
            found = await self._store.get(PREFIX + session_id)
            sealed = self._sealer.seal(json.dumps({"of": session.id}).encode(), PREFIX + session_id)
            version = found.version if found else None
            await self._store.compare_and_set(PREFIX + session_id, version, sealed, ttl=self._seconds)

    async def _keep(self, session: Session, data: bytes, offset: int | None, number: str) -> Piece:
        key = f"{PREFIX}{session.id}/{secrets.token_hex(8)}"
        digest, sealed = await _off_loop(len(data), lambda: _sealed(self._sealer, data, key))
        piece = Piece(key=key, size=len(data), sha256=digest, offset=offset, number=number)
        if piece not in session.parts.with_piece(piece, self.limits).pieces:
            return piece  # it came before, and is kept under another key
        await self._make_room(len(data))
        await self._store.put_blob(key, sealed, ttl=self._seconds)
        self._held[key] = _Held(session=session.id, size=len(data), expires=self._clock.monotonic() + self._seconds)
        self._resize(len(data))
        return piece

    async def _load(self, pieces: Sequence[Piece]) -> dict[str, bytes]:
        loaded = {}
        for piece in pieces:
            sealed = await self._store.get_blob(piece.key)
            if sealed is not None:
                try:
                    loaded[piece.key] = await _off_loop(len(sealed), partial(self._sealer.open, sealed, piece.key))
                except IntegrityError as error:
                    raise StoreError(f"a part of an upload cannot be opened: {error}") from error
        return loaded

    async def _drop(self, session: Session) -> None:
        await self._store.delete(PREFIX + session.id)
        for piece in session.parts.pieces:
            await self._forget(piece.key)

    async def _make_room(self, size: int) -> None:
        now = self._clock.monotonic()
        for key in [key for key, held in self._held.items() if held.expires <= now]:
            self._resize(-self._held.pop(key).size)
        for key in [key for key, held in self._held.items() if held.session in self._finished]:
            if self._size + size <= self._max_bytes:
                break
            await self._forget(key)
        self._finished.intersection_update(held.session for held in self._held.values())
        if self._size + size > self._max_bytes:
            self._metrics.count("safelight_proxy_limit_hits_total", limit="upload_spool")
            raise ExtractionError(ErrorCode.OVER_BUDGET, f"the spool for uploads holds {self._max_bytes} bytes already")

    async def _forget(self, key: str) -> None:
        held = self._held.pop(key, None)
        self._resize(-held.size if held else 0)
        await self._store.delete_blob(key)

    def _resize(self, by: int) -> None:
        self._size += by
        self._metrics.set("safelight_proxy_upload_spool_bytes", self._size)

    def _open(self, sealed: bytes, session_id: str) -> bytes:
        try:
            return self._sealer.open(sealed, PREFIX + session_id)
        except IntegrityError as error:
            raise StoreError(f"an upload's session cannot be opened: {error}") from error


def _id(key: str) -> str:
    return hashlib.sha256(key.encode("utf-8", "replace")).hexdigest()


def _sealed(sealer: Sealer, data: bytes, key: str) -> tuple[str, bytes]:
    return hashlib.sha256(data).hexdigest(), sealer.seal(data, key)


async def _off_loop[T](size: int, work: Callable[[], T]) -> T:
    return await asyncio.to_thread(work) if size > OFF_LOOP_BYTES else work()


def _alias_of(plain: bytes) -> str | None:
    try:
        value = json.loads(plain)
    except ValueError:
        return None
    alias = value.get("of") if isinstance(value, dict) else None
    return alias if isinstance(alias, str) else None


def _decode(session_id: str, plain: bytes) -> Session:
    try:
        return Session.decode(session_id, plain)
    except WireError as error:
        raise StoreError(str(error)) from error


def _report(task: asyncio.Task[Any]) -> None:
    error = None if task.cancelled() else task.exception()
    if error is not None:
        _log.warning("an upload's session was not written: %s", error)
