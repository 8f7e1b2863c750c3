"""The verdicts that this worker remembers: the one not asked for the longest goes first.  Pure."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from typing import Final

from shared.types import KnownVerdict

CAPACITY: Final = 8192
"""Images, 6 KB each with what they were searched by."""
FRESH_SECONDS: Final = 600.0
"""A store that is set back to a backup counts its changes from there, and may name another index by the same revision:
what was known before then is forgotten by this time."""


@dataclass(frozen=True, slots=True)
class _Kept:
    known: KnownVerdict
    until: float


class KnownVerdicts:
    """At most ``capacity`` verdicts, each for ``seconds``."""

    def __init__(self, *, capacity: int = CAPACITY, seconds: float = FRESH_SECONDS) -> None:
        self._capacity = capacity
        self._seconds = seconds
        self._kept: OrderedDict[str, _Kept] = OrderedDict()

    def __len__(self) -> int:
        return len(self._kept)

    def get(self, sha256: str, now: float) -> KnownVerdict | None:
        """Return what is known, of whichever revision of the index."""
        kept = self._kept.get(sha256)
        if kept is None:
            return None
        if now >= kept.until:
            del self._kept[sha256]
            return None
        self._kept.move_to_end(sha256)
        return kept.known

    def put(self, sha256: str, known: KnownVerdict, now: float) -> None:
        """Remember a verdict in the place of an older one; bringing it up to date does not make it last longer."""
        older = self._kept.get(sha256)
        until = now + self._seconds if older is None else older.until
        self._kept[sha256] = _Kept(known, until)
        self._kept.move_to_end(sha256)
        if len(self._kept) > self._capacity:
            self._kept.popitem(last=False)
