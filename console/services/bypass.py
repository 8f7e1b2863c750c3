"""Switch inspection off for a while, and on again: first on this machine, then everywhere."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol
from uuid import uuid4

from shared.core.bypass import LONGEST_SECONDS, REASON_MOST, Bypass, newest
from shared.errors import IntegrityError, StoreError, UsageError, WireError
from shared.ports import Clock


class LocalRecord(Protocol):
    """The file that the proxies of this machine watch."""

    def read(self) -> Bypass | None: ...

    def write(self, record: Bypass) -> None: ...


class SharedRecord(Protocol):
    """The store's record, which every proxy watches."""

    async def read(self) -> Bypass | None: ...

    async def write(self, record: Bypass) -> None: ...

    async def history(self, most: int) -> tuple[Bypass, ...]: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """What was written; ``unreached`` says why the store does not have it, so that other machines go on as before."""

    record: Bypass
    unreached: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Status:
    """What holds, what was changed lately, and why the store could not be asked."""

    active: Bypass | None
    history: tuple[Bypass, ...] = ()
    unreached: str = ""


class BypassSwitch:
    """The use cases."""

    def __init__(self, local: LocalRecord, shared: SharedRecord, clock: Clock) -> None:
        self._local = local
        self._shared = shared
        self._clock = clock

    async def on(self, seconds: float, reason: str, who: str) -> Change:
        """Switch inspection off for ``seconds``.  Raises UsageError."""
        if not reason.strip():
            raise UsageError("a reason is needed: it is what the audit will read")
        if len(reason) > REASON_MOST or not 0 < seconds <= LONGEST_SECONDS:
            raise UsageError(f"at most {LONGEST_SECONDS // 3600} hours, and a reason of {REASON_MOST} characters")
        return await self._write(on=True, seconds=seconds, reason=reason.strip(), who=who)

    async def off(self, who: str) -> Change:
        """Switch inspection on again.  Raises UsageError."""
        return await self._write(on=False, seconds=0.0, reason="switched on again", who=who)

    async def status(self, most: int = 5) -> Status:
        """Return what holds."""
        local, now = self._read_local(), self._clock.wall()
        try:
            record, history = newest(local, await self._shared.read()), await self._shared.history(most)
        except (StoreError, IntegrityError, WireError) as error:
            return Status(active=local if local and local.active(now) else None, unreached=str(error))
        return Status(active=record if record and record.active(now) else None, history=history)

    async def _write(self, *, on: bool, seconds: float, reason: str, who: str) -> Change:
        local, unreached = self._read_local(), ""
        try:
            shared = await self._shared.read()
        except (StoreError, IntegrityError, WireError) as error:
            shared, unreached = None, str(error)
        now, before = self._clock.wall(), newest(local, shared)
        record = Bypass(
            id=uuid4().hex,
            on=on,
            # Later than what it replaces, even where that came from a machine whose clock is ahead.
            changed_at=max(now, before.changed_at + 0.001 if before else 0.0),
            until=now + seconds,
            who=who,
            reason=reason,
        )
        try:
            self._local.write(record)
        except OSError as error:
            raise UsageError(f"cannot write the bypass on this machine: {error}") from error
        try:
            await self._shared.write(record)
        except StoreError as error:
            return Change(record=record, unreached=unreached or str(error))
        return Change(record=record)

    def _read_local(self) -> Bypass | None:
        try:
            return self._local.read()
        except (OSError, IntegrityError, WireError):
            return None  # replaced by what is written now
