"""``safelight classifier``: classifiers that users train themselves."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Final, Literal

import typer
from rich.progress import Progress

from console import classifier_reports
from console.cli import hard_negatives, revisions
from console.cli.classifier_fitting import bank_of, fit_and_publish
from console.cli.inspection import Inspection, open_inspection, read_image
from console.cli.session import Session, session_of, with_store
from console.deployment import classifier_book
from shared.config import Settings
from shared.core.policy_conditions import OTHER
from shared.errors import DecodeError, UsageError
from shared.ports import Store
from shared.sealing import Sealer
from workers.classifying.calibration import NAMED_SCORE
from workers.classifying.fitting import Recipe
from workers.classifying.model import Classifier, Example, Mode
from workers.classifying.revisions import ClassifierBook
from workers.classifying.teaching import OnDuplicate, check_label, merge, to_example, warnings_about
from workers.classifying.vectors import shipped_features, space_of
from workers.encoder_in_force import settle

AT_ONCE: Final = 8
"""Images under way: one is decoded while others are encoded and described."""

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
    threshold: Annotated[float, typer.Option(min=0, max=100, help="Score at which the label is given.")] = NAMED_SCORE,
    on_duplicate: Annotated[
        Literal["relabel", "add"], typer.Option(help="What becomes of an image that has another label already.")
    ] = "relabel",
    labels: Annotated[
        Literal["best", "all"] | None, typer.Option(help="Give an image its best label, or all that are reached.")
    ] = None,
) -> None:
    """Teach a classifier a label, new or known; in force in every worker within a second."""
    session = session_of(context)
    check_label(label)
    files = [(path, label) for path in _files(images)]
    files += [(path, OTHER) for path in (_files(negatives) if negatives else ())]

    async def run(settings: Settings, store: Store, sealer: Sealer) -> int:
        book = await classifier_book(settings, store, sealer)
        async with open_inspection(settings, store, sealer) as inspection:
            examples, rejected = await _examples(session, inspection, files, settings.proxy.max_object)
            choice = _Choice(name, label, threshold, labels, on_duplicate)
            await settle(store, inspection.name)
            await _train(session, settings, book, inspection, choice, examples)
        return rejected

    if with_store(session, run):
        raise typer.Exit(1)


class _Choice:
    """What the options say."""

    def __init__(self, name: str, label: str, threshold: float, mode: Mode | None, on_duplicate: OnDuplicate) -> None:
        self.name, self.label, self.threshold = name, label, threshold
        self.mode, self.on_duplicate = mode, on_duplicate

    def recipe(self, before: Classifier | None) -> Recipe:
        """What is fitted: the thresholds and the mode of before, where nothing else was said."""
        thresholds = dict(zip(before.labels, before.thresholds, strict=True)) if before else {}
        mode = self.mode or (before.mode if before else "best")
        return Recipe(name=self.name, thresholds=thresholds | {self.label: self.threshold}, mode=mode)


async def _train(
    session: Session,
    settings: Settings,
    book: ClassifierBook,
    inspection: Inspection,
    choice: _Choice,
    examples: Sequence[Example],
) -> None:
    space = space_of(inspection.encoder.id)
    found = await book.find(choice.name)
    base, before = (found[0].number, await asyncio.to_thread(inspection.adapted, found[1])) if found else (0, None)
    if before is not None and before.space != space:
        raise UsageError(
            f"{choice.name} was trained with {before.space}, this is {space}: their vectors say nothing of one another;"
            " delete it and train it again"
        )
    merged = merge(before.examples if before else (), examples, choice.on_duplicate)
    count = sum(example.label == choice.label for example in merged.examples)
    for warning in warnings_about(choice.label, count):
        session.note(f"warning: {warning}")
    bank = await asyncio.to_thread(bank_of, settings, inspection.name)
    await fit_and_publish(session, book, bank, space, choice.recipe(before), merged, base, note_on=choice.label)


async def _examples(
    session: Session, inspection: Inspection, files: Sequence[tuple[Path, str]], limit: int
) -> tuple[list[Example], int]:
    """Return the examples in the order of the files, and how many files were rejected."""
    model, side = shipped_features(), inspection.encoder.side
    gate = asyncio.Semaphore(AT_ONCE)

    async def one(path: Path, label: str) -> Example | str:
        async with gate:
            try:
                data = read_image(path, limit)
                return await to_example(inspection.inspector, model, side, path.name, data, label)
            except (DecodeError, OSError) as error:
                return str(error)
            finally:
                progress.advance(task)

    with Progress(transient=True, disable=session.json or len(files) < 2) as progress:
        task = progress.add_task("looking", total=len(files))
        found = await asyncio.gather(*(one(path, label) for path, label in files))
    for (path, label), outcome in zip(files, found, strict=True):
        if isinstance(outcome, str):
            session.row(
                {"path": str(path), "label": label, "status": "rejected", "message": outcome},
                f"rejected {path}: {outcome}",
            )
    examples = [outcome for outcome in found if isinstance(outcome, Example)]
    return examples, len(found) - len(examples)


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
        book = await classifier_book(settings, store, sealer)
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
        revision, classifier = await (await classifier_book(settings, store, sealer)).show(name)
        values = classifier_reports.details(revision, classifier)
        if report is not None:
            _write(report, classifier_reports.page(revision, classifier))
            values |= {"report": str(report)}
        session.row(values, classifier_reports.sentences(revision, classifier))

    with_store(session, run)


def _write(path: Path, text: str) -> None:
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise UsageError(f"cannot write {path}: {error.strerror}") from error


hard_negatives.register(app)
revisions.register(app, "classifier", classifier_book)
