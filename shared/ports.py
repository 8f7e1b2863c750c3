"""Protocols between the roles and the outside world.

Each port has two adapters that ship (embedded and scale-out) and one contract suite that both pass.  All methods are
safe to call from one event loop; none blocks it.  Every call is bounded in time by the adapter.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from typing import Protocol

from shared.types import Alert, BusMessage, Delivery, LogEntry, Versioned


class Clock(Protocol):
    """Time, handed in so that decisions about time can be tested without waiting."""

    def monotonic(self) -> float:
        """Seconds on a clock that never jumps; for deadlines within a process."""
        ...

    def wall(self) -> float:
        """Seconds since 1970; for records and for budgets that cross machines."""
        ...


class AskingBus(Protocol):
    """A proxy's end: requests out, replies to its own partition in."""

    async def start(self, instance: int) -> None:
        """Connect and stand at the end of reply partition ``instance`` *before* returning.

        Raises BusTimeoutError when the bus cannot be reached within the adapter's bound.
        """
        ...

    async def ask(self, message: BusMessage) -> None:
        """Send one request.  Raises BusError within the adapter's bound; never hangs."""
        ...

    def replies(self) -> AsyncIterator[BusMessage]:
        """Yield every reply that arrives for this instance, reconnecting for ever until ``stop``."""
        ...

    def connected(self) -> bool:
        """Tell whether the bus answered lately; for readiness and for not waiting in vain."""
        ...

    async def stop(self) -> None:
        """Close within the adapter's bound; idempotent."""
        ...


class AnsweringBus(Protocol):
    """A worker's end: requests in, at least once; replies out; then commit."""

    async def start(self) -> None:
        """Connect and join the workers.  Raises BusTimeoutError within the adapter's bound."""
        ...

    async def receive(self, limit: int, timeout: float) -> tuple[Delivery, ...]:
        """Wait up to ``timeout`` seconds for requests; return at most ``limit``, possibly none.

        With a limit of 0 it says that this worker lives and takes no more for now: call it every few seconds while
        that is so.
        """
        ...

    async def reply(self, message: BusMessage) -> None:
        """Send one reply to ``message.partition``.  Raises BusError within the adapter's bound."""
        ...

    async def commit(self, deliveries: Sequence[Delivery]) -> None:
        """Mark as done; what is not committed is delivered again after a crash."""
        ...

    def connected(self) -> bool:
        """Tell whether requests can reach this worker; for readiness."""
        ...

    async def stop(self) -> None:
        """Leave the workers within the adapter's bound; idempotent."""
        ...


class Store(Protocol):
    """Shared state: keys with compare-and-set and TTL, blobs with TTL, append-only logs.

    Writes are durable when they return.  Raises StoreError within the adapter's bound when the store is down.
    """

    async def start(self) -> None:
        """Connect; raises StoreError."""
        ...

    async def get(self, key: str) -> Versioned | None:
        """Return a key's value and version, or None."""
        ...

    async def compare_and_set(
        self, key: str, expected: int | None, value: bytes, *, ttl: float | None = None
    ) -> int | None:
        """Write where the version is ``expected`` (None: the key must not exist).

        Returns the new version, or None where somebody else was first.  ``ttl`` in seconds; a write without it
        clears an earlier one.
        """
        ...

    async def delete(self, key: str, expected: int | None = None) -> bool:
        """Delete a key (where ``expected`` is given: only at that version); tell whether it was there."""
        ...

    async def put_blob(self, name: str, data: bytes, *, ttl: float | None = None) -> None:
        """Store up to 2 GiB under ``name``, in chunks, visible all at once; replaces an older one."""
        ...

    async def get_blob(self, name: str) -> bytes | None:
        """Return a blob, or None where there is none or it has expired."""
        ...

    async def read_blobs(self, names: Sequence[str], largest: int, take: Callable[[int, memoryview], None]) -> bool:
        """Hand each blob to ``take`` with its place in ``names``: in threads, some at once, in any order.

        The memory is the blob's until ``take`` returns.  False where one is not there, as ``get_blob`` finds it; then
        not all were handed over.  Raises StoreError, also for one of more than ``largest`` bytes, and what ``take``
        raises.
        """
        ...

    async def delete_blob(self, name: str) -> None:
        """Delete a blob; idempotent."""
        ...

    async def append(self, log: str, values: Sequence[bytes]) -> int:
        """Append all values or none, in order; return the position of the last one."""
        ...

    async def read(self, log: str, after: int, limit: int) -> tuple[LogEntry, ...]:
        """Return at most ``limit`` entries with a position > ``after``, oldest first.

        Where ``after`` lies before the oldest kept entry, the first entry returned shows the gap by its position.
        """
        ...

    async def wait(self, log: str, after: int, timeout: float) -> bool:
        """Return True as soon as the log has an entry past ``after``, False after ``timeout`` seconds."""
        ...

    async def last_position(self, log: str) -> int:
        """Return the position of the newest entry ever appended (0: none)."""
        ...

    async def truncate(self, log: str, upto: int) -> None:
        """Forget entries with a position <= ``upto``; positions go on."""
        ...

    async def stop(self) -> None:
        """Close within the adapter's bound; idempotent."""
        ...


class AlertSink(Protocol):
    """Where alerts are delivered, at least once and in order."""

    @property
    def name(self) -> str:
        """The sink's name: its cursor's key."""
        ...

    async def deliver(self, alerts: Sequence[Alert]) -> None:
        """Deliver all, or raise; what raised is delivered again."""
        ...

    async def stop(self) -> None:
        """Flush and close; idempotent."""
        ...
