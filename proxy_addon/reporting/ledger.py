"""Keeps account of every body byte: it arrives once, and is booked once under what became of it.

``received`` counts as bytes arrive; ``book`` when their fate is known.  Between the two lies what is on its way.
"""

from __future__ import annotations

from typing import Final

from shared.core.coverage import OTHER, OUTCOMES, Count, Outcome, Row, Table, hour_of
from shared.ports import Clock
from shared.telemetry import Metrics
from shared.types import Direction

HOSTS_IN_MEMORY: Final = 5_000
"""Of one hour; the hosts that come after these are booked together."""
HOURS_IN_MEMORY: Final = 48
"""While the store is down; then the oldest hour is given up."""
_HOST_MOST: Final = 253


class Ledger:
    """One for a whole proxy."""

    def __init__(self, clock: Clock, metrics: Metrics) -> None:
        self._clock = clock
        self._metrics = metrics
        self._hours: dict[int, Table] = {}
        self._hosts: dict[int, set[str]] = {}

    def received(self, direction: Direction, size: int) -> None:
        """Count bytes of a body that arrive."""
        self._metrics.count("safelight_proxy_received_bytes_total", size, direction=direction)

    def book(self, host: str, direction: Direction, reason: str, size: int, *, bodies: int = 1) -> None:
        """Book ``size`` bytes under their reason; ``bodies`` is 0 for more of what was counted before."""
        outcome = OUTCOMES.get(reason, Outcome.FAILED)
        self._metrics.count("safelight_proxy_body_bytes_total", size, direction=direction, outcome=outcome)
        hour = hour_of(self._clock.wall())
        self._table(hour).add(Row(self._name(hour, host), direction, reason), Count(bodies, size))

    def hours(self) -> dict[int, Table]:
        """Return what was booked, by hour since 1970; the tables go on growing."""
        return dict(self._hours)

    def forget(self, hour: int) -> None:
        """Let go of an hour that is over and stored."""
        self._hours.pop(hour, None)
        self._hosts.pop(hour, None)

    def _table(self, hour: int) -> Table:
        table = self._hours.get(hour)
        if table is None:
            while len(self._hours) >= HOURS_IN_MEMORY:
                self.forget(min(self._hours))
            table = self._hours[hour] = Table()
            self._hosts[hour] = set()
        return table

    def _name(self, hour: int, host: str) -> str:
        hosts, name = self._hosts[hour], host[:_HOST_MOST].lower()
        if name not in hosts:
            if len(hosts) >= HOSTS_IN_MEMORY:
                return OTHER
            hosts.add(name)
        return name


class Fate:
    """What becomes of one body: its size and its reason, whichever is known first; booked when both are."""

    __slots__ = ("_booked", "_size", "reason")

    def __init__(self, reason: str) -> None:
        self.reason: str | None = reason
        self._size: tuple[str, Direction, int] | None = None
        self._booked = False

    def wait(self) -> None:
        """Book nothing until ``settle``: it is judged after it has passed."""
        self.reason = None

    def settle(self, ledger: Ledger, reason: str) -> None:
        """Say what became of it."""
        self.reason = reason
        self._book(ledger)

    def end(self, ledger: Ledger, host: str, direction: Direction, size: int) -> None:
        """Say how large it was."""
        self._size = (host, direction, size)
        self._book(ledger)

    def _book(self, ledger: Ledger) -> None:
        if self._booked or self._size is None or self.reason is None:
            return
        self._booked = True
        host, direction, size = self._size
        if size:
            ledger.book(host, direction, self.reason, size)
