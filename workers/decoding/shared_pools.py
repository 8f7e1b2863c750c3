"""One decode pool for each size of an encoder's input: encoders of the same size share it."""

from __future__ import annotations

from collections.abc import Callable

from workers.decoding.pool import DecodePool


class DecodePools:
    """``make`` gives a pool for pictures of ``side`` pixels, not yet started."""

    def __init__(self, make: Callable[[int], DecodePool]) -> None:
        self._make = make
        self._held: dict[int, tuple[DecodePool, int]] = {}

    async def take(self, side: int) -> DecodePool:
        """Return a running pool, to be given back; raises ChildLostError where it does not come up."""
        pool, users = self._held.get(side, (None, 0))
        if pool is None:
            pool = self._make(side)
            try:
                await pool.start()
            except BaseException:
                await pool.stop()
                raise
        self._held[side] = (pool, users + 1)
        return pool

    async def give_back(self, side: int) -> None:
        """Stop a pool when its last user gives it back."""
        pool, users = self._held[side]
        self._held[side] = (pool, users - 1)
        if users == 1:
            del self._held[side]
            await pool.stop()
