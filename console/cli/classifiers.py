"""``safelight classifier``: classifiers that users train themselves."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from console.cli import hard_negatives, revisions
from console.cli.classifier_training import Choice, teach
from console.cli.session import session_of, with_store
from shared.config import Settings
from shared.core.policy_conditions import OTHER
from shared.errors import UsageError
from shared.ports import Store
from shared.sealing import Sealer

if TYPE_CHECKING:
    from workers.classifying.revisions import ClassifierBook

app = typer.Typer(help="Classifiers that you train yourself, with 20 to 100 images a label.", no_args_is_help=True)
NameArgument = Annotated[str, typer.Argument(help="The classifier's name.")]


@app.command()
def train(
    context: typer.Context,
    name: NameArgument,
    label: Annotated[str, typer.Option(help="What the images show.")],
    images: Annotated[Path, typer.Option(exists=True, file_okay=False, help="Folder of images that show it.")],
    negatives: Annotated[
        Path | None, typer.Option(exists=True, file_okay=False, help="Folder of images that show no label.")
    ] = None,
    threshold: Annotated[
        float | None,
        typer.Option(min=0, max=100, help="Score at which the label is given (default: as before, or 85)."),
    ] = None,
    on_duplicate: Annotated[
        Literal["relabel", "add"], typer.Option(help="What becomes of an image that has another label already.")
    ] = "relabel",
    labels: Annotated[
        Literal["best", "all"] | None, typer.Option(help="Give an image its best label, or all that are reached.")
    ] = None,
) -> None:
    """Teach a classifier a label, new or known; in force in every worker within a second."""
    session = session_of(context)
    files = [(path, label) for path in _files(images)]
    files += [(path, OTHER) for path in (_files(negatives) if negatives else ())]
    choice = Choice(
        name=name,
        label=label,
        files=tuple(files),
        threshold=threshold,
        mode=labels,
        on_duplicate=on_duplicate,
    )

    async def run(settings: Settings, store: Store, sealer: Sealer) -> int:
        return await teach(session, settings, store, sealer, choice)

    if with_store(session, run):
        raise typer.Exit(1)


def _files(folder: Path) -> list[Path]:
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    if not files:
        raise UsageError(f"{folder} holds no files")
    return files


@app.command("list")
def list_(context: typer.Context) -> None:
    """List the classifiers."""
    session = session_of(context)

    async def run(settings: Settings, store: Store, sealer: Sealer) -> None:
        from console import classifier_reports

        book = await _book(settings, store, sealer)
        rows = [classifier_reports.summary_row(*await book.show(name)) for name in await book.names()]
        session.table(("classifier", "revision", "labels", "mode", "examples", "negatives"), rows)

    with_store(session, run)


@app.command()
def show(
    context: typer.Context,
    name: NameArgument,
    report: Annotated[
        Path | None, typer.Option(dir_okay=False, help="Write rates and their plot as one HTML page.")
    ] = None,
) -> None:
    """Show a classifier's labels, and how good they are with images that it had not seen."""
    session = session_of(context)

    async def run(settings: Settings, store: Store, sealer: Sealer) -> None:
        from console import classifier_reports

        revision, classifier = await (await _book(settings, store, sealer)).show(name)
        values = classifier_reports.details(revision, classifier)
        if report is not None:
            _write(report, classifier_reports.page(revision, classifier))
            values |= {"report": str(report)}
        session.row(values, classifier_reports.sentences(revision, classifier))

    with_store(session, run)


async def _book(settings: Settings, store: Store, sealer: Sealer) -> ClassifierBook:
    from console.deployment import classifier_book

    return await classifier_book(settings, store, sealer)


def _write(path: Path, text: str) -> None:
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise UsageError(f"cannot write {path}: {error.strerror}") from error


hard_negatives.register(app)
revisions.register(app, "classifier", _book)
