"""``safelight coverage``: what was inspected and what was not, by host, counted and in bytes."""

from __future__ import annotations

from typing import Annotated

import typer

from console.cli.session import session_of, with_store
from shared.adapters.coverage_store import CoverageStore
from shared.adapters.role import SystemClock
from shared.config import Settings
from shared.core.bypass import parse_duration
from shared.core.coverage import INSPECTED, KEPT_SECONDS, OUTCOMES, Outcome, Row, Table, hour_of
from shared.ports import Store
from shared.sealing import Sealer

_COLUMNS = ("host", "direction", "outcome", "reason", "count", "bytes")


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(coverage)


def coverage(
    context: typer.Context,
    since: Annotated[str, typer.Option(help="How far back, in whole hours begun: 90s, 30m, 24h, 7d.")] = "24h",
    inspected: Annotated[bool, typer.Option("--inspected", help="List what was inspected, too.")] = False,
) -> None:
    """Report what was not inspected, by host and reason, the most bytes first; proxies write every 5 seconds."""
    session = session_of(context)
    seconds = parse_duration(since, KEPT_SECONDS)

    async def read(_: Settings, store: Store, sealer: Sealer) -> Table:
        now = SystemClock().wall()
        return await CoverageStore(store, sealer).read(hour_of(now - seconds), hour_of(now))

    table = with_store(session, read)
    session.table(_COLUMNS, [_values(row, table) for row in _listed(table, inspected=inspected)])
    session.note(_summary(table))


def _listed(table: Table, *, inspected: bool) -> list[Row]:
    rows = [row for row in table.rows if inspected or row.reason != INSPECTED]
    return sorted(rows, key=lambda row: (-table.rows[row].bytes, -table.rows[row].count, row))


def _values(row: Row, table: Table) -> dict[str, object]:
    count = table.rows[row]
    outcome = OUTCOMES.get(row.reason, Outcome.FAILED).value
    places = row.host, row.direction.value, outcome, row.reason, count.count, count.bytes
    return dict(zip(_COLUMNS, places, strict=True))


def _summary(table: Table) -> str:
    total, sums = table.size().bytes, dict.fromkeys(Outcome, 0)
    for row, count in table.rows.items():
        sums[OUTCOMES.get(row.reason, Outcome.FAILED)] += count.bytes
    shares = ", ".join(f"{outcome} {size:,} ({size / max(1, total):.1%})" for outcome, size in sums.items())
    return f"{total:,} body bytes: {shares}"
