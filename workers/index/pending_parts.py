"""Which snapshots' parts are being written, or about to be deleted: so that a worker that is killed leaves no orphans.

A name is announced before its first part is written and forgotten when a pointer says where the snapshot is, or when
its parts are gone.  Whoever publishes next deletes what was announced and never came to be.  A writer that was away for
so long that somebody did that notices: it settles its name before it swaps the pointer, and only what is announced can
be settled.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection
from dataclasses import asdict, dataclass, replace
from typing import Final

from shared.errors import IntegrityError
from shared.ports import Store

PENDING_KEY: Final = "index/pending"
SETTLED_SECONDS: Final = 3600.0
"""After which a snapshot that was settled, but to which no pointer leads, is an orphan: its writer died in between."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pending:
    """A snapshot of ``parts`` blobs for an encoder, announced at ``at`` (seconds since 1970)."""

    encoder: str
    blob: str
    parts: int
    at: float
    settled: bool = False


class PendingParts:
    """The list in the store; all raise StoreError, and IntegrityError where it makes no sense."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def announce(self, *pending: Pending) -> None:
        """Say that these are about to be written, or deleted."""
        blobs = {each.blob for each in pending}
        await self._update(lambda held: (*(each for each in held if each.blob not in blobs), *pending))

    async def settle(self, blob: str) -> bool:
        """Say that a snapshot is written and its pointer about to be swapped; False where it was deleted meanwhile."""
        before = await self._update(
            lambda held: tuple(replace(each, settled=True) if each.blob == blob else each for each in held)
        )
        return any(each.blob == blob for each in before)

    async def forget(self, blobs: Collection[str]) -> None:
        """Take names off the list."""
        if blobs:
            await self._update(lambda held: tuple(each for each in held if each.blob not in blobs))

    async def orphans(self, encoder: str, published: Collection[str], now: float) -> tuple[Pending, ...]:
        """Return what nobody will publish for an encoder, given where the pointers lead; call it before announcing."""
        held, _ = await self._read()
        return tuple(
            each
            for each in held
            if each.encoder == encoder
            and each.blob not in published
            and (not each.settled or now - each.at > SETTLED_SECONDS)
        )

    async def _update(self, change: Callable[[tuple[Pending, ...]], tuple[Pending, ...]]) -> tuple[Pending, ...]:
        """Swap the list for a changed one; return what it was."""
        while True:
            held, version = await self._read()
            value = json.dumps([asdict(each) for each in change(held)]).encode()
            if await self._store.compare_and_set(PENDING_KEY, version, value) is not None:
                return held

    async def _read(self) -> tuple[tuple[Pending, ...], int | None]:
        held = await self._store.get(PENDING_KEY)
        if held is None:
            return (), None
        try:
            return tuple(Pending(**each) for each in json.loads(held.value)), held.version
        except (ValueError, TypeError) as error:
            raise IntegrityError(f"the list of pending index snapshots cannot be read: {error!r}") from error


__all__ = ["PENDING_KEY", "SETTLED_SECONDS", "Pending", "PendingParts"]
