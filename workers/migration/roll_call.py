"""What each worker says of a change of the encoder: one key, in which every worker has an entry of its own.

There is nothing in it while nothing changes: workers answer once the store says that a second encoder comes, and then
whenever they have something new to say, or every few seconds.  One that is not heard of for a while is gone.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from typing import Any, Final

from shared.errors import IntegrityError
from shared.ports import Clock, Store
from workers.migration.comparing import Tally, tally_from

ROLL_KEY: Final = "index/generation/workers"
BEAT_SECONDS: Final = 5.0
"""Between two words of a worker that has nothing new to say."""
GONE_SECONDS: Final = 20.0
"""Clocks of two machines may be some seconds apart."""
KEPT_SECONDS: Final = 86_400.0


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerWord:
    """``serving`` is the encoder that answers, ``beside`` the one that is loaded beside it, empty for none.

    ``error`` says why the other encoder is not to be had here; ``tally`` what the two said of live traffic.
    """

    worker: str
    at: float
    serving: str
    beside: str = ""
    error: str = ""
    tally: Tally = field(default_factory=Tally)


class RollCall:
    """Raises StoreError; IntegrityError where the key makes no sense."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock

    async def say(self, word: WorkerWord) -> None:
        """Replace a worker's entry, and drop those of workers that are gone."""
        while True:
            words, version = await self._read()
            kept = [asdict(each) for each in self._present(words) if each.worker != word.worker]
            value = json.dumps([*kept, asdict(word)]).encode()
            if await self._store.compare_and_set(ROLL_KEY, version, value, ttl=KEPT_SECONDS) is not None:
                return

    async def present(self) -> tuple[WorkerWord, ...]:
        """Return what the workers say that are there."""
        return self._present((await self._read())[0])

    async def leave(self, worker: str) -> None:
        """Take a worker's entry away: it ends."""
        while True:
            words, version = await self._read()
            kept = [asdict(each) for each in words if each.worker != worker]
            if len(kept) == len(words):
                return
            if await self._store.compare_and_set(ROLL_KEY, version, json.dumps(kept).encode(), ttl=KEPT_SECONDS):
                return

    def _present(self, words: Iterable[WorkerWord]) -> tuple[WorkerWord, ...]:
        oldest = self._clock.wall() - GONE_SECONDS
        return tuple(each for each in words if each.at >= oldest)

    async def _read(self) -> tuple[tuple[WorkerWord, ...], int | None]:
        held = await self._store.get(ROLL_KEY)
        if held is None:
            return (), None
        try:
            return tuple(map(_word, json.loads(held.value))), held.version
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise IntegrityError(f"what the workers say of the encoder cannot be read: {error!r}") from error


def _word(values: dict[str, Any]) -> WorkerWord:
    return WorkerWord(
        worker=str(values["worker"]),
        at=float(values["at"]),
        serving=str(values["serving"]),
        beside=str(values["beside"]),
        error=str(values["error"]),
        tally=tally_from(values["tally"]),
    )


__all__ = ["BEAT_SECONDS", "GONE_SECONDS", "ROLL_KEY", "RollCall", "WorkerWord"]
