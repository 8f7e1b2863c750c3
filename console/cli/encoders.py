"""``safelight encoder``: list, train, export, import."""

from __future__ import annotations

import hashlib
import json
import time
from pathlib import Path
from typing import Annotated

import typer

from console.cli.session import Session, session_of
from shared.errors import UsageError

app = typer.Typer(help="The image fingerprinter.", no_args_is_help=True)
TRAIN_HINT = (
    "training needs torch: after make setup-train, which installs the train extra, .venv-train/bin/safelight has it"
)
TORCHSCRIPT = (".torchscript", ".pt", ".pth", ".jit", ".ts")


@app.command("list")
def list_(context: typer.Context) -> None:
    """List the encoders at hand: shipped and imported, with their precisions (each an index version of its own)."""
    from workers.encoders.files import IMPORTED, list_encoders

    session = session_of(context)
    cards = list_encoders(imported=session.settings().data_dir / IMPORTED)
    rows: list[dict[str, object]] = [
        {
            "encoder": card.id,
            "precisions": " ".join(card.files),
            "sha256": card.sha256,
            "imported": card.imported,
            "default": card is cards[-1],
        }
        for card in cards
    ]
    session.table(("encoder", "precisions", "sha256", "imported", "default"), rows)


@app.command()
def train(  # noqa: PLR0913, PLR0917 - the options of a command
    context: typer.Context,
    out: Annotated[Path, typer.Option(help="Folder for cache, checkpoints, loss.jsonl and curves.svg.")],
    data: Annotated[Path | None, typer.Option(help="Folder of image archives (default: drawings only).")] = None,
    images: Annotated[
        Path | None,
        typer.Option(exists=True, file_okay=False, help="Folder of pictures of yours; a quarter is left out."),
    ] = None,
    minutes: Annotated[float, typer.Option(min=0.1, help="Time budget.")] = 30.0,
    seed: Annotated[int, typer.Option(help="Fixes everything but the machine's speed.")] = 0,
    resume: Annotated[Path | None, typer.Option(help="Checkpoint of the same run to go on from.")] = None,
    start: Annotated[
        str, typer.Option("--from", help="Encoder to begin with: a version's name or an exported ONNX file.")
    ] = "",
    threads: Annotated[int, typer.Option(min=1, help="torch threads.")] = 1,
    drawings: Annotated[int, typer.Option(min=1, help="Drawings of every family, beside the pictures.")] = 650,
) -> None:
    """Train an encoder by self-supervised contrastive learning; resumable.

    Measured on one CPU core with AVX-512: 200 to 430 views a second; two hours (1.8 million views) gave the one that
    ships, Recall@1 .93 on the project's benchmark. A checkpoint is written every 4 minutes.
    """
    try:
        from workers.training import contrastive
        from workers.training.curves import write_curves
    except ModuleNotFoundError as error:
        raise UsageError(TRAIN_HINT) from error
    session = session_of(context)
    config = contrastive.TrainConfig(
        out=out,
        data=data,
        images=images,
        minutes=minutes,
        seed=seed,
        resume=resume,
        start=_start(session, start) if start else None,
        threads=threads,
        drawings_per_family=drawings,
    )

    def report(progress: contrastive.Progress) -> None:
        session.note(
            f"{progress.share:6.1%}  step {progress.step}  loss {progress.loss:.3f}  "
            f"accuracy {progress.accuracy:.3f}  {progress.views} views in {progress.elapsed_s:.0f} s"
        )

    try:
        result = contrastive.train(config, report)
    except (FileNotFoundError, ValueError) as error:
        raise UsageError(str(error)) from error
    curves = write_curves(out) if (out / "loss.jsonl").stat().st_size else None
    session.row(
        {
            "checkpoint": str(result.checkpoint),
            "steps": result.steps,
            "views": result.views,
            "curves": None if curves is None else str(curves),
        },
        f"wrote {result.checkpoint} after {result.steps} steps; next: safelight encoder export",
    )


@app.command()
def export(
    context: typer.Context,
    checkpoint: Annotated[Path, typer.Argument(exists=True, dir_okay=False, help="From `encoder train`.")],
    name: Annotated[str, typer.Option(help="Name of the version, kept in the data directory.")] = "",
    output: Annotated[
        Path | None, typer.Option("-o", "--output", help="Instead of --name: the version's folder, named as it.")
    ] = None,
    side: Annotated[
        int, typer.Option(help="Input side in pixels, a multiple of 16: larger sees more, costs more.")
    ] = 96,
    data: Annotated[
        Path | None, typer.Option(help="Folder of image archives (default: the training's cache beside CHECKPOINT).")
    ] = None,
    images: Annotated[
        Path | None,
        typer.Option(
            exists=True, file_okay=False, help="Folder of the training's pictures; the quarter left out counts."
        ),
    ] = None,
    pictures: Annotated[int, typer.Option(min=100, max=20_000, help="Pictures to calibrate with.")] = 600,
) -> None:
    """Export a checkpoint as an encoder version: fp32, int8 for CPUs, fp16 for GPUs, the card and the calibrations.

    Each file is checked against torch. Measured at 96 px, one thread: int8 .9 ms an image (fp32 2.9), mean cosine to
    fp32 .9988, least .996; 14 MB in all. Calibrated on pictures that the training did not see, and on drawings, it
    runs: set worker.encoder to its name.
    """
    try:
        from workers.training.export import ExportError
        from workers.training.version import write_version
    except ModuleNotFoundError as error:
        raise UsageError(TRAIN_HINT) from error
    from workers.encoders.importing import place_version
    from workers.training.dataset import held_out
    from workers.training.imported import calibrate_version

    session = session_of(context)
    folder = _version_folder(session, name, output)

    def make(part: Path) -> None:
        write_version(checkpoint, part, side=side, data=data, local=bool(name))
        session.note("exported; calibrating…")
        calibrate_version(part, images, pictures, held_out)

    try:
        place_version(folder, make)
    except (ExportError, OSError, ValueError) as error:
        raise UsageError(f"cannot export {checkpoint}: {error}") from error
    _print_version(session, folder)


def _version_folder(session: Session, name: str, output: Path | None) -> Path:
    from workers.encoders.files import IMPORTED, list_encoders
    from workers.encoders.importing import version_name

    if bool(name) == (output is not None):
        raise UsageError("encoder export needs --name NAME, or -o FOLDER")
    versions = session.settings().data_dir / IMPORTED
    return output or versions / version_name(name, versions, [shipped.id for shipped in list_encoders()])


def _print_version(session: Session, folder: Path) -> None:
    facts = json.loads((folder / "card.json").read_text(encoding="utf-8"))
    for precision, values in facts["precisions"].items():
        agreement = values["parity"]
        session.row(
            {"encoder": facts["id"], "precision": precision, **values, "file": str(folder / values["file"])},
            f"wrote {folder / values['file']} ({values['bytes'] / 1e6:.1f} MB; cosine to torch over"
            f" {agreement['pictures']} pictures: mean {agreement['mean_cosine']}, least {agreement['min_cosine']})",
        )


@app.command("import")
def import_(
    context: typer.Context,
    file: Annotated[Path | None, typer.Argument(exists=True, dir_okay=False, help="ONNX or TorchScript file.")] = None,
    card: Annotated[Path | None, typer.Option(exists=True, dir_okay=False, help="Its facts, as JSON.")] = None,
    name: Annotated[str, typer.Option(help="Name of the version (default: the card's).")] = "",
    images: Annotated[
        Path | None,
        typer.Option(
            exists=True, file_okay=False, help="Ordinary pictures of yours, to calibrate with (drawings too)."
        ),
    ] = None,
    pictures: Annotated[int, typer.Option(min=100, max=20_000, help="Pictures to calibrate with.")] = 600,
    card_template: Annotated[bool, typer.Option("--card-template", help="Print a card to fill in, and end.")] = False,
) -> None:
    """Import a public encoder as a version of its own; then set worker.encoder to its name.

    The file must take N x 3 x side x side float32 and give one vector of 64 to 4096 numbers (a multiple of 64). Scale,
    mean and deviation of the card go into the graph, and the L2 norm where the encoder leaves it out. Calibrating runs
    the encoder about 15 times a picture; at 2 ms an image 300 pictures took 40 CPU-seconds, most of them for drawing.

    A model decides what is found: import only what you trust. A TorchScript file is a program that runs on this machine
    as you; it needs the train extra.
    """
    from workers.encoders.importing import CARD_TEMPLATE

    if card_template:
        print(json.dumps(CARD_TEMPLATE, indent=1))
        return
    if file is None or card is None:
        raise UsageError("encoder import needs FILE and --card CARD.json (print one with --card-template)")
    _import(session_of(context), file, card, name, images, pictures)


def _import(session: Session, file: Path, card_path: Path, name: str, images: Path | None, pictures: int) -> None:
    from workers.encoders import importing as encoder_import
    from workers.encoders.files import IMPORTED, list_encoders
    from workers.training.imported import calibrate_version

    card = encoder_import.read_card(card_path)
    folder = session.settings().data_dir / IMPORTED
    version = encoder_import.version_name(name or card.name, folder, [shipped.id for shipped in list_encoders()])
    original = _read(file)
    data = _from_torchscript(file, card.side) if _is_torchscript(file, original) else original
    model = encoder_import.convert(data, card)
    session.note(f"checked; calibrating with {pictures} pictures…")
    started = time.monotonic()
    try:
        facts = encoder_import.write_version(
            model,
            card,
            folder / version,
            original=file.name,
            original_sha256=hashlib.sha256(original).hexdigest(),
            calibrate=lambda part: calibrate_version(part, images, pictures),
        )
    except (OSError, ValueError) as error:
        raise UsageError(f"cannot import {file.name}: {error}") from error
    seconds = time.monotonic() - started
    session.row(
        {"encoder": version, "sha256": facts["sha256"], "dimension": card.dimension, "normalised": model.normalised},
        f"imported {version} ({card.dimension} dimensions, calibrated in {seconds:.0f} s);"
        f" to use it: worker.encoder: {version}",
    )


def _read(file: Path) -> bytes:
    from workers.encoders.onnx_file import SIZE_LIMIT

    if file.stat().st_size > SIZE_LIMIT:
        raise UsageError(f"a model of more than {SIZE_LIMIT >> 20} MiB is not imported")
    return file.read_bytes()


def _is_torchscript(file: Path, content: bytes) -> bool:
    return file.suffix.lower() in TORCHSCRIPT or content[:4] == b"PK\x03\x04"  # torch.jit.save writes a ZIP archive


def _from_torchscript(file: Path, side: int) -> bytes:
    try:
        from workers.training.torchscript import to_onnx
    except ModuleNotFoundError as error:
        raise UsageError(f"TorchScript is converted by torch; {TRAIN_HINT.partition(': ')[2]}") from error
    try:
        return to_onnx(file, side)
    except ValueError as error:
        raise UsageError(str(error)) from error


def _start(session: Session, name: str) -> Path:
    """The ONNX file of a version's name or of a path."""
    from workers.encoders.files import IMPORTED, list_encoders

    cards = list_encoders(imported=session.settings().data_dir / IMPORTED)
    versions = {card.id: card.files["fp32"].path for card in cards}
    path = versions.get(name, Path(name))
    if not path.is_file():
        raise UsageError(f"--from: there is no encoder and no file {name!r}; known: {', '.join(versions)}")
    return path
