"""The verdicts that this worker remembers: the one not asked for the longest goes first.  Pure."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, replace
from typing import Final

from shared.types import KnownVerdict
from workers.serving.refreshing import without_looks

CAPACITY: Final = 8192
"""Images, 6 KB each with what they were searched by."""
LOOK_BYTES: Final = 64 << 20
"""Of what closer looks saw, 29 KB a frame: where there is more, it is forgotten of those not asked for the longest, and
these are inspected again when the index has changed."""
FRESH_SECONDS: Final = 600.0
"""A store that is set back to a backup counts its changes from there, and may name another index by the same revision:
what was known before then is forgotten by this time."""


@dataclass(frozen=True, slots=True)
class _Kept:
    known: KnownVerdict
    until: float

    @property
    def look_bytes(self) -> int:
        return sum(len(trace.look) for trace in self.known.traces)


class KnownVerdicts:
    """At most ``capacity`` verdicts, each for ``seconds``, with at most ``look_bytes`` of closer looks in all."""

    def __init__(
        self, *, capacity: int = CAPACITY, seconds: float = FRESH_SECONDS, look_bytes: int = LOOK_BYTES
    ) -> None:
        self._capacity = capacity
        self._seconds = seconds
        self._most_look_bytes = look_bytes
        self.look_bytes = 0
        """Kept now."""
        self._kept: OrderedDict[str, _Kept] = OrderedDict()
        self._looks: OrderedDict[str, None] = OrderedDict()  # whose are kept, the one not asked for the longest first

    def __len__(self) -> int:
        return len(self._kept)

    def get(self, sha256: str, now: float) -> KnownVerdict | None:
        """Return what is known, of whichever revision of the index."""
        kept = self._kept.get(sha256)
        if kept is None:
            return None
        if now >= kept.until:
            self._drop(sha256)
            return None
        self._kept.move_to_end(sha256)
        if sha256 in self._looks:
            self._looks.move_to_end(sha256)
        return kept.known

    def put(self, sha256: str, known: KnownVerdict, now: float) -> None:
        """Remember a verdict in the place of an older one; bringing it up to date does not make it last longer."""
        older = self._drop(sha256) if sha256 in self._kept else None
        kept = self._kept[sha256] = _Kept(known, now + self._seconds if older is None else older.until)
        if kept.look_bytes:
            self._looks[sha256] = None
            self.look_bytes += kept.look_bytes
        if len(self._kept) > self._capacity:
            self._drop(next(iter(self._kept)))
        while self.look_bytes > self._most_look_bytes:
            self._forget_look(next(iter(self._looks)))

    def _drop(self, sha256: str) -> _Kept:
        kept = self._kept.pop(sha256)
        if sha256 in self._looks:
            del self._looks[sha256]
            self.look_bytes -= kept.look_bytes
        return kept

    def _forget_look(self, sha256: str) -> None:
        kept = self._kept[sha256]
        del self._looks[sha256]
        self.look_bytes -= kept.look_bytes
        self._kept[sha256] = replace(kept, known=without_looks(kept.known))
