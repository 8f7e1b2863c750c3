"""What became of the bytes that a proxy passed on: by host, counted and summed for an hour at a time.

Every body byte that arrives ends in exactly one ``Outcome``; the ``reason`` says why.  One record holds what one proxy
saw in one hour; a proxy that restarts within the hour adds to what its earlier runs left there.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType
from typing import Final, NamedTuple

from shared.errors import WireError
from shared.types import Direction, UninspectedReason

HOUR_SECONDS: Final = 3600
KEPT_SECONDS: Final = 35 * 24 * HOUR_SECONDS
"""A record expires after five weeks: a month can be looked back on."""
HOSTS_MOST: Final = 500
"""Hosts of a record, those with the most bytes; the rest are summed under ``OTHER``."""
OTHER: Final = "(other)"
INSTANCES_KEY: Final = "coverage/instances"
_VERSION: Final = 1


class Outcome(StrEnum):
    """What became of a body."""

    INSPECTED = "inspected"
    STREAMED = "streamed"
    BYPASSED = "bypassed"
    FAILED = "failed"


INSPECTED: Final = "inspected"
STREAMED: Final = "streamed"
"""By rule: no policy asks for it, or it can hold no image."""
BYPASS: Final = "bypass"
"""Inspection was switched off by ``safelight bypass``."""
PINNED: Final = "pinned"
DO_NOT_DECRYPT: Final = "do_not_decrypt"
REFUSED: Final = "refused"
"""Answered in the origin's place before it was looked into."""
ABORTED: Final = "aborted"
"""One side broke off before the body was whole."""

OUTCOMES: Final[Mapping[str, Outcome]] = MappingProxyType(
    {
        INSPECTED: Outcome.INSPECTED,
        STREAMED: Outcome.STREAMED,
        BYPASS: Outcome.BYPASSED,
        PINNED: Outcome.BYPASSED,
        DO_NOT_DECRYPT: Outcome.BYPASSED,
        REFUSED: Outcome.FAILED,
        ABORTED: Outcome.FAILED,
        **{reason.value: Outcome.FAILED for reason in UninspectedReason},
    }
)


@dataclass(slots=True)
class Count:
    """Bodies (or connections) and their bytes."""

    count: int = 0
    bytes: int = 0

    def add(self, other: Count) -> None:
        """Add another one's."""
        self.count += other.count
        self.bytes += other.bytes


class Row(NamedTuple):
    """What is counted together."""

    host: str
    direction: Direction
    reason: str


@dataclass(slots=True)
class Table:
    """Host, direction and reason -> count and bytes."""

    rows: dict[Row, Count] = field(default_factory=dict)

    def add(self, row: Row, count: Count) -> None:
        """Add to a row."""
        known = self.rows.get(row)
        if known is None:
            known = self.rows[row] = Count()
        known.add(count)

    def size(self) -> Count:
        """Return the sum of all rows."""
        total = Count()
        for count in self.rows.values():
            total.add(count)
        return total

    def merge(self, other: Table) -> None:
        """Add all rows of another table."""
        for row, count in other.rows.items():
            self.add(row, count)

    def largest(self, hosts: int = HOSTS_MOST) -> Table:
        """Return the table with the hosts that have the most bytes, the others summed under ``OTHER``."""
        totals: dict[str, int] = {}
        for row, count in self.rows.items():
            totals[row.host] = totals.get(row.host, 0) + count.bytes
        totals.pop(OTHER, None)
        kept = set(sorted(totals, key=lambda host: (-totals[host], host))[:hosts])
        table = Table()
        for row, count in self.rows.items():
            table.add(row if row.host in kept else row._replace(host=OTHER), count)
        return table


@dataclass(slots=True, kw_only=True)
class Record:
    """One proxy's hour: what its present run saw, and what earlier runs left."""

    run: str
    now: Table = field(default_factory=Table)
    before: Table = field(default_factory=Table)

    def total(self) -> Table:
        """Return both together."""
        table = Table()
        table.merge(self.before)
        table.merge(self.now)
        return table

    def succeeded_by(self, run: str, now: Table) -> Record:
        """Return the record after a later write, by this run (which replaces its part) or by another (which adds)."""
        return Record(run=run, now=now, before=self.before if run == self.run else self.total())


def hour_of(wall: float) -> int:
    """Return the hour (since 1970) that a time in seconds lies in."""
    return int(wall // HOUR_SECONDS)


def record_key(hour: int, instance: int) -> str:
    """Return the store's key of a record."""
    return f"coverage/{hour}/{instance}"


def encode_record(record: Record) -> bytes:
    """Return a record as JSON."""
    values = {
        "v": _VERSION,
        "run": record.run,
        "now": _rows(record.now.largest()),
        "before": _rows(record.before.largest()),
    }
    return json.dumps(values, separators=(",", ":")).encode()


def decode_record(data: bytes) -> Record:
    """Read a record; raises WireError."""
    try:
        values = json.loads(data)
        if values["v"] != _VERSION:
            raise WireError(f"coverage record of version {values['v']}, this program reads {_VERSION}")
        return Record(run=str(values["run"]), now=_table(values["now"]), before=_table(values["before"]))
    except (ValueError, KeyError, TypeError) as error:
        raise WireError(f"not a coverage record: {error}") from error


def _rows(table: Table) -> list[list[object]]:
    return [[*row, count.count, count.bytes] for row, count in table.rows.items()]


def _table(rows: Iterable[tuple[str, str, str, int, int]]) -> Table:
    table = Table()
    for host, direction, reason, count, size in rows:
        table.add(Row(str(host), Direction(direction), str(reason)), Count(int(count), int(size)))
    return table
