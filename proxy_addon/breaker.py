"""A circuit breaker: when asking has failed several times in a row, do not wait for the next failure.

Pure: ``now`` (monotonic seconds) is handed in.
"""

from __future__ import annotations

from typing import Final

FAILURES_TO_OPEN: Final = 3
PROBE_AFTER_SECONDS: Final = 1.0


class Breaker:
    """Closed: everybody may ask.  Open: one probe every ``probe_after`` seconds, until one succeeds."""

    def __init__(self, *, failures: int = FAILURES_TO_OPEN, probe_after: float = PROBE_AFTER_SECONDS) -> None:
        self._limit = failures
        self._probe_after = probe_after
        self._failures = 0
        self._next_probe = 0.0

    def is_open(self) -> bool:
        """Tell whether waiting is in vain."""
        return self._failures >= self._limit

    def admits(self, now: float) -> bool:
        """Tell whether to ask; a probe that is admitted puts off the next one."""
        if not self.is_open():
            return True
        if now < self._next_probe:
            return False
        self._next_probe = now + self._probe_after
        return True

    def failed(self, now: float) -> None:
        """Record a failure."""
        self._failures += 1
        self._next_probe = now + self._probe_after

    def succeeded(self) -> None:
        """Record a success."""
        self._failures = 0
