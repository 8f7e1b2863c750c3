"""``safelight classifier evaluate``: how good classifiers are on known classes, as a table, JSON and a page."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from console.cli.evaluation import ProgressLine, hand_over
from console.cli.session import session_of
from shared.config import Settings
from shared.errors import UsageError

if TYPE_CHECKING:
    from workers.evaluation.classifiers import Options
    from workers.evaluation.classifiers_baseline import Baseline
    from workers.evaluation.classifiers_pictures import Block
    from workers.evaluation.tables import Report

SHOTS_HELP = "Images a label; may be given several times (default: 20, 50 and 100)."


def register(app: typer.Typer) -> None:
    """Add the command to those on classifiers."""
    app.command()(evaluate)


def evaluate(
    context: typer.Context,
    data: Annotated[
        Path,
        typer.Option(
            exists=True, file_okay=False, help="A folder of images for each class and one named other, or archives."
        ),
    ],
    shots: Annotated[list[int] | None, typer.Option(min=5, max=1000, help=SHOTS_HELP)] = None,
    draws: Annotated[int, typer.Option(min=1, max=20, help="How often the images that teach are drawn.")] = 2,
    baseline: Annotated[
        Literal["cnn"] | None,
        typer.Option(
            help="Also train a small network by back-propagation, on the same images, and measure the first kind of"
            " classes only: minutes a row; needs torch."
        ),
    ] = None,
    baseline_seconds: Annotated[
        float, typer.Option(min=1, help="Processor seconds that the longest training of a network takes.")
    ] = 240.0,
    output: Annotated[
        Path | None, typer.Option("-o", "--output", file_okay=False, help="Folder for report.html and report.json.")
    ] = None,
) -> None:
    """Measure classifiers beside simpler ways on the same images: labels found, false positives, milliseconds.

    Nothing is kept but the report; your classifiers stay as they are.
    """
    from workers.evaluation.classifiers import SHOTS, Options
    from workers.evaluation.classifiers_baseline import BACKGROUND
    from workers.evaluation.classifiers_pictures import blocks_of
    from workers.evaluation.tables import as_text

    session = session_of(context)
    settings = session.settings()
    options = Options(
        shots=tuple(shots or SHOTS), draws=draws, baselines=_networks(settings, baseline_seconds) if baseline else ()
    )
    blocks = blocks_of(data, options.shots, BACKGROUND if baseline else 0)
    report = asyncio.run(_measured(settings, blocks[:1] if baseline else blocks, options))
    hand_over(session, report, output, lambda table, width: f"{as_text(table, width)}\n\n{table.note}")


def _networks(settings: Settings, seconds: float) -> tuple[Baseline, ...]:
    """Return what is trained for ``--baseline cnn``; raises UsageError where torch is missing."""
    from console.cli.encoders import TRAIN_HINT
    from workers.encoders.files import IMPORTED, MODELS, choose_encoder
    from workers.evaluation.classifiers_baseline import Baseline

    try:
        from workers.training.fine_tuning import plans, train
    except ModuleNotFoundError as error:
        raise UsageError(TRAIN_HINT) from error
    card = choose_encoder(settings.worker.encoder, MODELS, settings.data_dir / IMPORTED)
    return tuple(Baseline(name=plan.name, train=partial(train, plan)) for plan in plans(card, seconds))


async def _measured(settings: Settings, blocks: Sequence[Block], options: Options) -> Report:
    from console.cli.decoding import one_child_pool
    from workers.classifying.bank import bank_path, load_bank
    from workers.classifying.vectors import shipped_features
    from workers.encoders.encoder import Encoder
    from workers.encoders.files import IMPORTED, MODELS, choose_encoder
    from workers.evaluation.classifiers import Parts, evaluate

    encoder = Encoder.configured(settings)
    card = choose_encoder(settings.worker.encoder, MODELS, settings.data_dir / IMPORTED)
    pool = one_child_pool(settings, encoder.side)
    parts = Parts(
        decoder=pool,
        encoder=encoder,
        model=shipped_features(),
        bank=load_bank(bank_path(card, encoder.precision), shipped_features()),
        progress=ProgressLine(),
    )
    await pool.start()
    try:
        return await evaluate(blocks, options, parts)
    finally:
        await pool.stop()
