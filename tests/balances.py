"""The balance of bytes as a proxy reports it: what came, and what it was booked as."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from proxy_addon.runtime.waiting import until
from shared.core import coverage
from shared.types import Direction
from tests.proxies import Setup

PATIENCE_SECONDS = 20.0

type Bytes = dict[tuple[Direction, str], int]


@dataclass(frozen=True)
class Balance:
    """The counters of one running proxy."""

    setup: Setup

    def received(self, direction: Direction) -> int:
        """Return the bytes of bodies that came."""
        return int(self.setup.metrics.value("safelight_proxy_received_bytes_total", direction=direction))

    def on_their_way(self) -> int:
        """Return the bytes that came and are not booked yet."""
        value = self.setup.metrics.value
        outcomes = [(each, outcome) for each in Direction for outcome in coverage.Outcome]
        booked = sum(value("safelight_proxy_body_bytes_total", direction=way, outcome=end) for way, end in outcomes)
        return sum(map(self.received, Direction)) - int(booked)

    async def settled(self) -> Bytes:
        """Return bytes by direction and reason, once none is on its way; what the report says is the same."""
        assert await until(lambda: self.on_their_way() == 0 < sum(map(self.received, Direction)), PATIENCE_SECONDS)
        total: Counter[tuple[Direction, str]] = Counter()
        for table in self.setup.ledger.hours().values():
            for row, count in table.rows.items():
                total[row.direction, row.reason] += count.bytes
        assert total.total() == sum(map(self.received, Direction))
        return {key: count for key, count in total.items() if count}
