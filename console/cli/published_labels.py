"""``safelight labels publish``, ``list`` and ``show``: the label spaces that workers answer with."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from console import label_reports
from console.cli import revisions
from console.cli.labels import NearestOption, WithinOption, configured_encoder
from console.cli.session import session_of, with_store
from shared.adapters.role import SystemClock
from shared.config import Settings
from shared.errors import IntegrityError, UsageError
from shared.ports import Store
from shared.sealing import Sealer
from workers.engines.label_sources import loaders
from workers.labels.choice import changed
from workers.labels.network import read_card, read_model
from workers.labels.published import LABEL_SPACES, LabelSpaceBook, PublishedSpace, pack

NameArgument = Annotated[str, typer.Argument(help="The label space's name, as policies call it.")]


async def _book(_: Settings, store: Store, sealer: Sealer) -> LabelSpaceBook:
    return LabelSpaceBook(store, sealer, SystemClock())


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command()(publish)
    app.command("list")(list_)
    app.command()(show)
    revisions.register(app, LABEL_SPACES.name, _book)


def publish(
    context: typer.Context,
    name: NameArgument,
    folder: Annotated[
        Path, typer.Option("--from", exists=True, file_okay=False, help="Folder that `labels train` wrote.")
    ],
    nearest: NearestOption = None,
    within: WithinOption = None,
) -> None:
    """Give a label network to every worker; in force within a second. A network of that name is replaced.

    Policies ask for its labels as for a classifier's; an image that has none of them is called other.
    """
    session = session_of(context)
    card = read_card(folder)
    card = replace(card, choice=changed(card.choice, nearest, within))
    space = PublishedSpace(card=card, model=read_model(folder))
    try:
        # As a worker does: what it would refuse is not put into the store.
        loaders(configured_encoder(session))[LABEL_SPACES.name](name, pack(space))
    except IntegrityError as error:
        raise UsageError(f"{folder} cannot be published: {error}") from error

    async def run(_: Settings, store: Store, sealer: Sealer) -> None:
        book = LabelSpaceBook(store, sealer, SystemClock())
        base = (await book.in_force(name)).number
        revision = await book.publish(name, space, base, f"{len(card.names)} labels")
        row = label_reports.summary_row(name, revision, card)
        session.row(
            row,
            f"published {name}, revision {revision.number}: {len(card.names)} labels, at most {card.choice.nearest} an"
            f" image, from score {card.choice.within:g}",
        )

    with_store(session, run)


def list_(context: typer.Context) -> None:
    """List the label spaces."""
    session = session_of(context)

    async def run(_: Settings, store: Store, sealer: Sealer) -> None:
        book = LabelSpaceBook(store, sealer, SystemClock())
        rows = []
        for name in await book.names():
            revision, space = await book.show(name)
            rows.append(label_reports.summary_row(name, revision, space.card))
        session.table(label_reports.COLUMNS, rows)

    with_store(session, run)


def show(context: typer.Context, name: NameArgument) -> None:
    """Show a label space: its labels, which of them an image is given, and how well it did on held-out pictures."""
    session = session_of(context)

    async def run(_: Settings, store: Store, sealer: Sealer) -> None:
        revision, space = await LabelSpaceBook(store, sealer, SystemClock()).show(name)
        session.row(
            label_reports.details(name, revision, space.card), label_reports.sentences(name, revision, space.card)
        )

    with_store(session, run)
