"""``safelight apps``: the catalogue of applications."""

from __future__ import annotations

from datetime import UTC, date, datetime

import typer

from console.cli.session import session_of
from proxy_addon.activities.catalogue import STALE_DAYS, age_days, load_catalogue
from shared.adapters.role import SystemClock

app = typer.Typer(help="The applications that policies can name.", no_args_is_help=True)


@app.callback()
def group() -> None:
    """Show the applications that policies can name."""


@app.command("list")
def list_(context: typer.Context) -> None:
    """List the applications; exit 1 where the rules of one are so old that its source should be looked at again."""
    session = session_of(context)
    catalogue = load_catalogue(session.settings().proxy.apps_dir)
    today = _today()
    rows: list[dict[str, object]] = [
        {
            "name": entry.name,
            "tags": list(entry.tags) if session.json else ", ".join(entry.tags),
            "rules": len(entry.rules),
            "written": entry.written.isoformat(),
            "age_days": age_days(entry, today),
            "stale": age_days(entry, today) > STALE_DAYS,
            "source": entry.source,
        }
        for entry in sorted(catalogue.entries, key=lambda entry: entry.name)
    ]
    session.table(("name", "tags", "rules", "written", "age_days", "stale", "source"), rows)
    if any(row["stale"] for row in rows):
        session.note(f"some rules were written more than {STALE_DAYS} days ago: compare them with their source")
        raise typer.Exit(1)


def _today() -> date:
    return datetime.fromtimestamp(SystemClock().wall(), UTC).date()
