"""``safelight set history`` and ``set rollback``: what happened to a set, and back again."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

import typer

from console.cli.session import one_line, session_of, with_store
from shared.adapters.role import SystemClock
from shared.config import Settings
from shared.ports import Store
from shared.sealing import Sealer
from workers.image_sets.rollback import Revisions
from workers.index.set_history import Past

NameArgument = Annotated[str, typer.Argument(help="The set's name; one that was deleted, too.")]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command()(history)
    app.command()(rollback)


def history(
    context: typer.Context,
    name: NameArgument,
    limit: Annotated[int, typer.Option(min=1, help="Revisions, the newest ones.")] = 50,
) -> None:
    """List a set's revisions of the last `index.keep_days`, the oldest first."""
    session = session_of(context)

    async def run(settings: Settings, store: Store, sealer: Sealer) -> None:
        for past in (await _revisions(settings, store, sealer).history(name))[-limit:]:
            session.row(_values(past), f"{past.position:>8}  {_time(past)}  {_words(past)}")

    with_store(session, run)


def rollback(
    context: typer.Context,
    name: NameArgument,
    revision: Annotated[int, typer.Argument(min=1, help="A revision, as `set history` lists them.")],
) -> None:
    """Make a set what it was right after a revision; in force in every worker within a second."""
    session = session_of(context)

    async def run(settings: Settings, store: Store, sealer: Sealer) -> None:
        done = await _revisions(settings, store, sealer).rollback(name, revision)
        values = {
            "set": name,
            "revision": done.revision,
            "added": done.added,
            "removed": done.removed,
            "threshold": done.threshold,
        }
        text = f"{name} is as at revision {revision}: {done.added} references brought back, {done.removed} withdrawn"
        session.row(values, f"{text}, threshold {done.threshold:g}")

    with_store(session, run)


def _revisions(settings: Settings, store: Store, sealer: Sealer) -> Revisions:
    return Revisions(store, sealer, SystemClock(), keep_days=settings.index.keep_days)


def _time(past: Past) -> str:
    return datetime.fromtimestamp(past.at, UTC).isoformat(timespec="seconds")


def _values(past: Past) -> dict[str, object]:
    return {
        "set": past.set,
        "revision": past.position,
        "at": _time(past),
        "what": past.what,
        "reference": past.reference or None,
        "name": past.name or None,
        "threshold": past.threshold,
        "rolled_back_to": past.revision,
        "kept": bool(past.kept),
    }


def _words(past: Past) -> str:
    match past.what:
        case "threshold":
            return f"threshold {past.previous:g} -> {past.threshold:g}"
        case "rolled_back":
            return f"rolled back to {past.revision}"
        case "added":
            return f"added {past.reference} ({one_line(past.name)})"
        case "removed":
            return f"removed {past.reference}"
        case _:
            return past.what
