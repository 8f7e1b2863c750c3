"""The state of the index for commands: read when it is needed, and written so that the writer learns what it did."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Final

from shared.errors import SafelightError
from shared.ports import Clock, Store
from shared.sealing import Sealer
from shared.types import IndexEvent
from workers.index.log import IndexFollower, IndexLog, IndexStaleError
from workers.index.state import Change, IndexState, SetState

APPENDED_AT_ONCE: Final = 200
"""Events of one write: 1.5 MB with all that may be kept of a reference."""

_logger = logging.getLogger(__name__)


class SetCatalogue:
    """The index's state as a command sees it: of every encoder, as of the last refresh."""

    def __init__(self, store: Store, sealer: Sealer, clock: Clock) -> None:
        self._log = IndexLog(store, sealer)
        self._clock = clock
        self._follower: IndexFollower | None = None

    async def refresh(self) -> IndexState:
        """Return the state at the end of the log; raises StoreError, IntegrityError."""
        await self._advance()
        assert self._follower is not None  # noqa: S101 - set by _advance
        return self._follower.state

    def seen(self) -> Mapping[str, SetState]:
        """Return the sets by name as of the last refresh."""
        return self._follower.state.sets if self._follower is not None else {}

    @property
    def position(self) -> int:
        """The log position of the last refresh."""
        return self._follower.position if self._follower is not None else 0

    async def append(self, event: IndexEvent) -> Change:
        """Write an event durably and return what it changed, given all that was written before it."""
        await self.refresh()
        position = await self._log.append(event, at=self._clock.wall())
        # A compaction may have swallowed the entry already: then it was applied, and by nobody else.
        return (await self._advance()).get(position, Change(fresh=True))

    async def append_all(self, events: Sequence[IndexEvent]) -> None:
        """Write events durably, `APPENDED_AT_ONCE` of them all or none."""
        for first in range(0, len(events), APPENDED_AT_ONCE):
            await self._log.append(*events[first : first + APPENDED_AT_ONCE], at=self._clock.wall())
        await self.refresh()

    async def _advance(self) -> dict[int, Change]:
        changed: dict[int, Change] = {}
        try:
            while self._follower is not None and (changes := await self._follower.advance()):
                changed.update(changes)
        except IndexStaleError:
            self._follower = None
        if self._follower is None:
            self._follower = await IndexFollower.load(self._log, encoder=None, refused=_say)
        return changed


def _say(error: SafelightError) -> None:
    _logger.warning("an entry of the index log was passed over: %s", error)
