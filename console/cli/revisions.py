"""The commands that all have whose revisions are kept: ``history``, ``rollback`` and ``delete``."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Annotated, Any

import typer

from console.cli.session import session_of, with_store
from shared.config import Settings
from shared.ports import Store
from shared.sealing import Sealer
from workers.classifying.revision_log import RevisionBook

NameArgument = Annotated[str, typer.Argument(help="As list shows it.")]

type OpenBook = Callable[[Settings, Store, Sealer], Awaitable[RevisionBook[Any]]]


def register(app: typer.Typer, noun: str, open_book: OpenBook) -> None:
    """Add the commands for what a book keeps; rows call it by its ``noun``."""

    @app.command(help=f"List a {noun}'s revisions that are kept, for 30 days after they were replaced.")
    def history(context: typer.Context, name: NameArgument) -> None:
        session = session_of(context)

        async def run(settings: Settings, store: Store, sealer: Sealer) -> None:
            revisions = await (await open_book(settings, store, sealer)).history(name)
            rows: list[dict[str, object]] = [
                {
                    "revision": one.number,
                    "at": datetime.fromtimestamp(one.at, UTC).isoformat(timespec="seconds"),
                    "note": one.note,
                }
                for one in revisions
            ]
            session.table(("revision", "at", "note"), rows)

        with_store(session, run)

    @app.command(help="Put an older revision in force again.")
    def rollback(
        context: typer.Context,
        name: NameArgument,
        revision: Annotated[int, typer.Argument(help="As history lists them.")],
    ) -> None:
        session = session_of(context)

        async def run(settings: Settings, store: Store, sealer: Sealer) -> None:
            now = await (await open_book(settings, store, sealer)).roll_back(name, revision)
            session.row(
                {noun.replace(" ", "_"): name, "revision": now.number, "restored": revision},
                f"{name} is as in revision {revision} again, which is now revision {now.number}",
            )

        with_store(session, run)

    @app.command(help=f"Delete a {noun}.")
    def delete(context: typer.Context, name: NameArgument) -> None:
        session = session_of(context)

        async def run(settings: Settings, store: Store, sealer: Sealer) -> None:
            await (await open_book(settings, store, sealer)).delete(name)
            session.row({"deleted": name}, f"deleted {name}")

        with_store(session, run)
