"""Clients that trust one certificate only: known by handshakes that fail again and again, let through for a while.

Pure; ``now`` is monotonic seconds.  A client without the company's CA fails with every host: past
``hosts_per_client`` hosts it is not pinned but not enrolled, and nothing more is let through.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

TRACKED_MOST: Final = 10_000
"""Pairs of client and host whose failures are remembered."""
HOSTS_PER_CLIENT: Final = 20
"""Let through at a time."""


class Step(StrEnum):
    """What a failure leads to."""

    COUNTED = "counted"
    LET_THROUGH = "let_through"
    NOT_ENROLLED = "not_enrolled"


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """So many failures within ``window`` seconds let a pair through for ``duration`` seconds; 0 failures: never."""

    failures: int
    window: float
    duration: float


class PinnedClients:
    """Counts failures by client address and host."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._failures: OrderedDict[tuple[str, str], deque[float]] = OrderedDict()
        self._until: dict[str, dict[str, float]] = {}  # client -> host -> when it is decrypted again

    def passes(self, client: str, host: str, now: float) -> bool:
        """Tell whether a client's TLS with a host is let through."""
        return self._until.get(client, {}).get(host, 0.0) > now

    def worked(self, client: str, host: str) -> None:
        """Forget the failures of a client that trusts us after all."""
        self._failures.pop((client, host), None)

    def failed(self, client: str, host: str, now: float) -> Step:
        """Count a failed handshake."""
        if not self._limits.failures:
            return Step.COUNTED
        times = self._failures.setdefault((client, host), deque(maxlen=self._limits.failures))
        self._failures.move_to_end((client, host))
        if len(self._failures) > TRACKED_MOST:
            self._failures.popitem(last=False)
        times.append(now)
        if len(times) < self._limits.failures or now - times[0] > self._limits.window:
            return Step.COUNTED
        del self._failures[client, host]
        self._forget_over(now)
        hosts = self._until.setdefault(client, {})
        if len(hosts) >= HOSTS_PER_CLIENT:
            return Step.NOT_ENROLLED
        hosts[host] = now + self._limits.duration
        return Step.LET_THROUGH

    def _forget_over(self, now: float) -> None:
        for client, hosts in list(self._until.items()):
            self._until[client] = {host: until for host, until in hosts.items() if until > now}
            if not self._until[client]:
                del self._until[client]
