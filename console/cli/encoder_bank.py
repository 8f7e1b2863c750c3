"""``safelight encoder bank``: the other pictures that classifiers on an imported encoder are fitted against."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.progress import Progress

from console.cli.files import read_image
from console.cli.session import Session, session_of
from shared.config import Settings
from shared.errors import DecodeError, UsageError

if TYPE_CHECKING:
    from shared.types import DecodedFrame


def register(app: typer.Typer) -> None:
    """Add the command to those on encoders."""
    app.command()(bank)


def bank(
    context: typer.Context,
    name: Annotated[str, typer.Argument(help="An imported encoder, as `encoder list` shows it.")],
    images: Annotated[
        Path, typer.Option(exists=True, file_okay=False, help="Folder of ordinary pictures that no label is about.")
    ],
) -> None:
    """Make the bank of `other` pictures that classifiers need on an imported encoder; vectors are kept, no pixels.

    500 pictures at least, 2,000 and more of all kinds are better: false positives are counted on them.
    """
    from workers.classifying.bank import FEWEST, write_own_bank
    from workers.classifying.vectors import shipped_features
    from workers.encoders.encoder import Encoder
    from workers.encoders.files import IMPORTED, MODELS, choose_encoder

    session = session_of(context)
    settings = session.settings()
    card = choose_encoder(name, MODELS, settings.data_dir / IMPORTED)
    if not card.imported:
        raise UsageError(f"{name} ships with a bank of its own")
    encoders = {
        precision: Encoder.load(name, precision=precision, imported=settings.data_dir / IMPORTED)
        for precision in card.calibrated
    }
    side = encoders["fp32"].side
    frames = asyncio.run(_frames(session, settings, sorted(path for path in images.rglob("*") if path.is_file()), side))
    if len(frames) < FEWEST:
        raise UsageError(f"{images} holds {len(frames)} pictures that can be read; at least {FEWEST} are needed")
    model = shipped_features()
    write_own_bank(
        card,
        [model.describe(frame, side) for frame in frames],
        {precision: encoder.embed([frame.pixels for frame in frames]) for precision, encoder in encoders.items()},
    )
    session.row(
        {"encoder": name, "pictures": len(frames), "precisions": list(encoders)},
        f"{name} has a bank of {len(frames)} pictures: classifiers can be trained on it",
    )


async def _frames(session: Session, settings: Settings, files: Sequence[Path], side: int) -> list[DecodedFrame]:
    from console.cli.decoding import one_child_pool

    pool = one_child_pool(settings, side)
    found = []
    await pool.start()
    try:
        with Progress(transient=True, disable=not session.bars or not files) as progress:
            for file in progress.track(files, description="looking"):
                try:
                    found.append((await pool.decode(read_image(file, settings.proxy.max_object))).frames[0])
                except (DecodeError, OSError) as error:
                    session.note(f"left out {file}: {error}")
    finally:
        await pool.stop()
    return found
