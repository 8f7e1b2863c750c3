"""Leases whose outcome a test decides."""

from __future__ import annotations

from shared.errors import LeaseHeldError


class FreeLease:
    """A lease that is there for the taking; counts."""

    def __init__(self) -> None:
        self.taken = self.released = 0

    async def acquire(self) -> None:
        self.taken += 1

    async def release(self) -> None:
        self.released += 1


class HeldLease(FreeLease):
    """Somebody else's."""

    async def acquire(self) -> None:
        raise LeaseHeldError("held")
