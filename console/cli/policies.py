"""``safelight policy``: apply, list, show, delete."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from console.cli.session import session_of, with_store
from console.deployment import policy_book
from shared.config import Settings
from shared.errors import UsageError
from shared.ports import Store
from shared.sealing import Sealer

app = typer.Typer(help="Policies: what happens to which images.", no_args_is_help=True)


@app.command()
def apply(
    context: typer.Context,
    file: Annotated[Path, typer.Argument(exists=True, dir_okay=False, readable=True, help="YAML file.")],
) -> None:
    """Replace the whole list of policies; in force on every proxy within 2 seconds."""
    session = session_of(context)
    try:
        text = file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"cannot read {file}: {error}") from error

    async def run(settings: Settings, store: Store, sealer: Sealer) -> None:
        applied = await policy_book(settings, store, sealer).apply(text)
        for note in applied.notes:
            session.note(f"note: {note}")
        names = [policy.name for policy in applied.policies]
        count = f"{len(names)} {'policy' if len(names) == 1 else 'policies'}"
        session.row(
            {"applied": names, "version": applied.version, "notes": list(applied.notes)},
            f"applied {count} (version {applied.version}): {', '.join(names)}",
        )

    with_store(session, run)


@app.command("list")
def list_(context: typer.Context) -> None:
    """List the policies in force."""
    session = session_of(context)

    async def run(settings: Settings, store: Store, sealer: Sealer) -> None:
        rows: list[dict[str, object]] = [
            {
                "name": policy.name,
                "action": policy.action.value,
                "mode": policy.mode.value,
                "severity": policy.severity.value,
                "deadline_ms": policy.deadline_ms,
            }
            for policy in await policy_book(settings, store, sealer).list()
        ]
        session.table(("name", "action", "mode", "severity", "deadline_ms"), rows)

    with_store(session, run)


@app.command()
def show(context: typer.Context, name: Annotated[str, typer.Argument(help="A policy (default: all).")] = "") -> None:
    """Print the document in force, or one policy of it."""
    session = session_of(context)

    async def run(settings: Settings, store: Store, sealer: Sealer) -> None:
        book = policy_book(settings, store, sealer)
        text = await (book.show(name) if name else book.text())
        session.row({"policies": text}, text.rstrip("\n"))

    with_store(session, run)


@app.command()
def delete(context: typer.Context, name: str) -> None:
    """Remove one policy."""
    session = session_of(context)

    async def run(settings: Settings, store: Store, sealer: Sealer) -> None:
        version = await policy_book(settings, store, sealer).delete(name)
        session.row({"deleted": name, "version": version}, f"deleted {name} (version {version})")

    with_store(session, run)
