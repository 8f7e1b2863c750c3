"""A lease: at most one holder of a key, renewed while it lives, free soon after it dies.

A holder that is known to be dead, for it was a process of this very machine, is taken over from at once; any other
that does not renew, when its time is over.  The store never gives a version twice, so a holder that was suspended
past the end cannot renew what somebody else holds now.
"""

from __future__ import annotations

import asyncio
import logging
import os
import secrets
import socket
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import msgspec

from shared.errors import LeaseHeldError, StoreError
from shared.ports import Store
from shared.types import Versioned

TTL_SECONDS: Final = 5.0
POLL_SECONDS: Final = 0.2
_PROC: Final = Path("/proc")
_logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Holder:
    """Who holds a lease.

    ``boot`` and ``pid_namespace`` say which machine (or container) the process number belongs to; ``started`` is the
    process's start in ticks since boot, for numbers are used again.
    """

    id: str
    host: str
    boot: str
    pid_namespace: str
    pid: int
    started: int

    def is_dead(self) -> bool:
        """Tell whether this is a process of this machine that has ended; False where that cannot be known."""
        if (self.boot, self.pid_namespace) != (_boot(), _pid_namespace()):
            return False
        return _started(self.pid) != self.started


def this_process() -> Holder:
    """Return a new holder in this process."""
    return Holder(
        id=secrets.token_hex(8),
        host=socket.gethostname(),
        boot=_boot(),
        pid_namespace=_pid_namespace(),
        pid=os.getpid(),
        started=_started(os.getpid()) or 0,
    )


class Lease:
    """One holder's claim on ``key``."""

    def __init__(self, store: Store, key: str, ttl: float = TTL_SECONDS, *, holder: Holder | None = None) -> None:
        self._store = store
        self._key = key
        self._ttl = ttl
        self._holder = holder or this_process()
        self._value = msgspec.json.encode(self._holder)
        self._version: int | None = None
        self._renewed = float("-inf")
        self._renewing: asyncio.Task[None] | None = None
        self._writing = asyncio.Lock()
        self.lost = asyncio.Event()
        """Set when somebody else holds the lease; a store that is down does not set it."""

    async def acquire(self) -> None:
        """Take the lease and begin to renew it.

        Raises LeaseHeldError as soon as the present holder is known to live: it runs on this machine, or it renews.
        One that does neither is waited for, ``ttl`` seconds at most.
        """
        seen: Versioned | None = None
        while not await self._try_take():
            current = await self._store.get(self._key)
            if current is None:
                continue
            if _known_alive(current) or (seen is not None and current.version != seen.version):
                raise LeaseHeldError(self._who_holds(current))
            seen = current
            await asyncio.sleep(min(POLL_SECONDS, self._ttl / 4))
        self._renewing = asyncio.get_running_loop().create_task(self._renew_for_ever())

    def held(self) -> bool:
        """Tell whether the lease was confirmed within its time: nobody else can hold it."""
        return self._version is not None and _now() - self._renewed < self._ttl

    async def release(self) -> None:
        """Stop renewing and free the key; idempotent.  Where the store is down, the lease ends by itself."""
        renewing, self._renewing = self._renewing, None
        if renewing is not None:
            # A renewal that is under way is let finish: cancelled, it may have written a version that nobody knows.
            async with self._writing:
                renewing.cancel()
            await asyncio.gather(renewing, return_exceptions=True)
        version, self._version = self._version, None
        if version is not None:
            try:
                await self._store.delete(self._key, version)
            except StoreError as error:
                _logger.warning("lease %s ends in %.0f s by itself: %s", self._key, self._ttl, error)

    async def _try_take(self) -> bool:
        """Write the key where it is free, this holder's own, or a dead process's."""
        asked = _now()
        current = await self._store.get(self._key)
        expected = current.version if current is not None else None
        if current is not None:
            holder = _holder(current)
            if holder is not None and holder.id != self._holder.id and not holder.is_dead():
                return False
        version = await self._store.compare_and_set(self._key, expected, self._value, ttl=self._ttl)
        if version is None:
            return False
        self._version, self._renewed = version, asked
        return True

    async def _renew_for_ever(self) -> None:
        while not self.lost.is_set():
            await asyncio.sleep(self._ttl / 3)
            try:
                async with self._writing:
                    await self._renew()
            except StoreError as error:
                _logger.warning("lease %s could not be renewed: %s", self._key, error)

    async def _renew(self) -> None:
        if await self._try_take():
            return
        current = await self._store.get(self._key)
        holder = _holder(current) if current is not None else None
        if holder is not None and holder.id != self._holder.id:
            self._version = None
            self.lost.set()
            _logger.error("lease %s is lost: %s", self._key, self._who_holds(current))

    def _who_holds(self, current: Versioned | None) -> str:
        holder = _holder(current) if current is not None else None
        who = f"process {holder.pid} on {holder.host}" if holder is not None else "somebody"
        return f"{self._key} is held by {who}: stop that one, or give this one another name or number"


def _known_alive(current: Versioned) -> bool:
    holder = _holder(current)
    if holder is None or (holder.boot, holder.pid_namespace) != (_boot(), _pid_namespace()):
        return False
    return not holder.is_dead()


def _holder(current: Versioned) -> Holder | None:
    """Return who wrote the value; None where it is no holder's, which is then free to be taken."""
    try:
        return msgspec.json.decode(current.value, type=Holder)
    except msgspec.DecodeError:
        return None


def _now() -> float:
    return asyncio.get_running_loop().time()


def _boot() -> str:
    return (_PROC / "sys/kernel/random/boot_id").read_text(encoding="ascii").strip()


def _pid_namespace() -> str:
    return str((_PROC / "self/ns/pid").readlink())


def _started(pid: int) -> int | None:
    """Return a process's start in ticks since boot, or None where there is none (field 22 of proc(5)'s stat)."""
    try:
        text = (_PROC / str(pid) / "stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    # The command's name stands in parentheses and may hold anything, so count from the last one.
    fields = text.rpartition(")")[2].split()
    return None if fields[0] in ("Z", "X") else int(fields[19])
