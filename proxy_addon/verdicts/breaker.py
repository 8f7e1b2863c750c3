"""A circuit breaker: when asking has failed several times in a row, do not wait for the next failure.

Closed, everybody may ask.  Open, nobody may until the back-off is over; then it is half open and exactly one may, the
probe: if that fails the back-off doubles, up to ``longest``, and if anything is answered the breaker closes.  A jitter
of up to a half either way keeps the proxies of a site from probing in step
(https://aws.amazon.com/builders-library/timeouts-retries-and-backoff-with-jitter/).

Pure: ``now`` (monotonic seconds) and the jitter are handed in.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import IntEnum
from typing import Final

FAILURES_TO_OPEN: Final = 3
FIRST_BACK_OFF: Final = 0.5
LONGEST_BACK_OFF: Final = 4.0
"""Seconds; each second that an open breaker outlives the outage is one of traffic that nobody inspects."""
PROBE_SECONDS: Final = 2.0
"""A probe whose outcome nobody told by then is given up: its asker may have left without waiting."""


class BreakerState(IntEnum):
    """As the metric shows it."""

    CLOSED = 0
    HALF_OPEN = 1
    OPEN = 2


def no_jitter() -> float:
    """Return the middle of 0..1."""
    return 0.5


class Breaker:
    """``failures`` in a row open it; ``jitter`` returns 0..1, evenly spread."""

    def __init__(
        self,
        *,
        failures: int = FAILURES_TO_OPEN,
        first: float = FIRST_BACK_OFF,
        longest: float = LONGEST_BACK_OFF,
        jitter: Callable[[], float] = no_jitter,
    ) -> None:
        self._limit = failures
        self._first = first
        self._longest = longest
        self._jitter = jitter
        self._failures = 0
        self._back_off = first
        self._opens_at = 0.0
        self._probe_ends: float | None = None

    @property
    def state(self) -> BreakerState:
        """Return where it stands."""
        if self._failures < self._limit:
            return BreakerState.CLOSED
        return BreakerState.OPEN if self._probe_ends is None else BreakerState.HALF_OPEN

    def admits(self, now: float) -> bool:
        """Tell whether to ask; who is told yes by a breaker that is not closed is the probe."""
        if self.state is BreakerState.CLOSED:
            return True
        if now < (self._opens_at if self._probe_ends is None else self._probe_ends):
            return False
        self._probe_ends = now + PROBE_SECONDS
        return True

    def failed(self, now: float) -> None:
        """Record that a question could not be asked, or that nothing at all was answered while it waited."""
        was_closed = self.state is BreakerState.CLOSED
        self._failures += 1
        if self.state is BreakerState.CLOSED:
            return
        if was_closed:
            self._back_off = self._first
        elif self._probe_ends is None:
            return  # asked before it opened: known already
        else:
            self._back_off = min(2 * self._back_off, self._longest)
        self._probe_ends = None
        self._opens_at = now + self._back_off * (0.5 + self._jitter())

    def reconsider(self, now: float) -> None:
        """Whatever kept the other side away is over: the next question is the probe, and back-offs begin anew."""
        if self.state is BreakerState.OPEN:
            self._opens_at = now
            self._back_off = self._first

    def succeeded(self) -> None:
        """Record that the other side answers."""
        self._failures = 0
        self._probe_ends = None
