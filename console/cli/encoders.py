"""``safelight encoder``: train, export, list."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from console.cli.session import session_of
from shared.errors import UsageError

app = typer.Typer(help="The image fingerprinter.", no_args_is_help=True)
TRAIN_HINT = "training needs torch: install the train extra (make setup-train, or pip install 'safelight[train]')"


@app.command("list")
def list_(context: typer.Context) -> None:
    """List the encoders at hand."""
    from workers.encoder import list_encoders

    session = session_of(context)
    cards = list_encoders()
    rows: list[dict[str, object]] = [
        {"encoder": card.id, "sha256": card.sha256, "default": card is cards[-1]} for card in cards
    ]
    session.table(("encoder", "sha256", "default"), rows)


@app.command()
def train(
    context: typer.Context,
    out: Annotated[Path, typer.Option(help="Folder for cache, checkpoints and the loss curve.")],
    data: Annotated[Path | None, typer.Option(help="Folder of image archives (default: drawings only).")] = None,
    minutes: Annotated[float, typer.Option(min=0.1, help="Time budget.")] = 30.0,
    seed: Annotated[int, typer.Option(help="Fixes everything but the machine's speed.")] = 0,
    resume: Annotated[Path | None, typer.Option(help="Checkpoint to go on from.")] = None,
    threads: Annotated[int, typer.Option(min=1, help="torch threads.")] = 1,
) -> None:
    """Train an encoder by self-supervised contrastive learning; resumable."""
    try:
        from workers.training import contrastive
    except ModuleNotFoundError as error:
        raise UsageError(TRAIN_HINT) from error
    session = session_of(context)
    config = contrastive.TrainConfig(out=out, data=data, minutes=minutes, seed=seed, resume=resume, threads=threads)

    def report(progress: contrastive.Progress) -> None:
        session.note(
            f"{progress.share:6.1%}  step {progress.step}  loss {progress.loss:.3f}  "
            f"accuracy {progress.accuracy:.3f}  {progress.views} views in {progress.elapsed_s:.0f} s"
        )

    result = contrastive.train(config, report)
    session.row(
        {"checkpoint": str(result.checkpoint), "steps": result.steps, "views": result.views},
        f"wrote {result.checkpoint} after {result.steps} steps; next: safelight encoder export",
    )


@app.command()
def export(
    context: typer.Context,
    checkpoint: Annotated[Path, typer.Argument(exists=True, dir_okay=False, help="From `encoder train`.")],
    output: Annotated[Path, typer.Option("-o", "--output", help="ONNX file to write.")],
) -> None:
    """Export a checkpoint to ONNX, checked against torch."""
    try:
        from workers.training.export import export as export_checkpoint
    except ModuleNotFoundError as error:
        raise UsageError(TRAIN_HINT) from error
    exported = export_checkpoint(checkpoint, output)
    session_of(context).row(
        {"file": str(exported.path), "sha256": exported.sha256, "difference": exported.difference},
        f"wrote {exported.path} (largest difference to torch {exported.difference:.1e})",
    )
