"""``safelight encoder converter``: trains what takes references from one encoder to another, both ways."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from console.cli.encoders import TRAIN_HINT
from console.cli.evaluation import write_report
from console.cli.session import Session, session_of
from shared.errors import ConfigError, UsageError

if TYPE_CHECKING:
    from workers.evaluation.conversion_path import PathFigures
    from workers.training.conversion import End, Trained

ADVISED = 400


def register(app: typer.Typer) -> None:
    """Add the command to those on encoders."""
    app.command()(converter)


def converter(  # noqa: PLR0913, PLR0917 - the options of a command
    context: typer.Context,
    source: Annotated[str, typer.Option("--from", help="Encoder that references have: a version, or an index id.")],
    target: Annotated[str, typer.Option("--to", help="Encoder that they are to have.")],
    images: Annotated[
        Path | None, typer.Option(exists=True, file_okay=False, help="Folder of pictures like the protected ones.")
    ] = None,
    data: Annotated[Path | None, typer.Option(help="Folder of image archives, beside or instead of it.")] = None,
    pictures: Annotated[int, typer.Option(min=40, max=20_000, help="Pictures to train on.")] = 1200,
    out: Annotated[
        Path | None, typer.Option(file_okay=False, help="Folder of converters (default: where workers look).")
    ] = None,
    report: Annotated[
        Path | None, typer.Option(file_okay=False, help="Folder for report.html and report.json.")
    ] = None,
    copies: Annotated[
        int, typer.Option(min=0, max=400, help="Pictures whose edited copies go through the whole inspection too.")
    ] = 0,
    seed: Annotated[int, typer.Option(help="Fixes everything.")] = 0,
) -> None:
    """Train a converter between two encoders, and the one back: no picture that was enrolled is needed.

    The pictures are ordinary ones, seen by both encoders; without any, the project's drawings. More of them convert
    better. A new encoder without a bank of other pictures, which classifiers need, is given the old one's, converted.
    """
    try:
        from workers.training.conversion import complete_bank, complete_classifiers, make_converter, see_pictures
        from workers.training.converter import Recipe
    except ModuleNotFoundError as error:
        raise UsageError(TRAIN_HINT) from error
    from workers.migration.conversion import CONVERTERS

    session = session_of(context)
    if pictures < ADVISED:
        session.note(f"from fewer than {ADVISED} pictures little can be told of how rare false matches are")
    ends = _end(session, source), _end(session, target)
    folder = out or session.settings().data_dir / CONVERTERS
    try:
        trained, unseen = see_pictures(*ends, data, images, pictures, seed, session.note)
        session.note("training…")
        there = make_converter(folder, *ends, trained, unseen, Recipe(seed=seed))
        back = make_converter(folder, *ends[::-1], trained.swapped(), unseen.swapped(), Recipe(seed=seed))
        for made, old, new in ((there, *ends), (back, *ends[::-1])):
            if bank := complete_bank(made.converter, old, new):
                session.note(f"wrote {bank}, the bank of other pictures that classifiers need")
            for file in complete_classifiers(made.converter, old, new):
                session.note(f"wrote {file}, a classifier that ships, converted")
    except (OSError, ValueError) as error:
        raise UsageError(f"no converter from {source} to {target}: {error}") from error
    for made in (there, back):
        _print(session, made)
    path = _path(session, there, ends, images, data, copies)
    if report is not None:
        from workers.evaluation.conversion import conversion_report

        write_report(conversion_report(there.converter.card, there.agreement, path), report)
        session.note(f"wrote {report / 'report.html'} and report.json")


def _end(session: Session, name: str) -> End:
    """The encoder of a version's name, in the precision that this deployment's workers run, or of an index id."""
    from workers.encoders.files import IMPORTED, list_encoders
    from workers.training.conversion import End

    settings = session.settings()
    cards = list_encoders(imported=settings.data_dir / IMPORTED)
    for card in cards:
        if card.id == name:
            return End.load(card, card.choose(settings.worker.precision, settings.worker.provider))
        for precision, file in card.files.items():
            if file.index_id == name:
                return End.load(card, precision)
    raise ConfigError(f"there is no encoder {name!r}; known: {', '.join(card.id for card in cards)}")


def _path(
    session: Session, made: Trained, ends: tuple[End, End], images: Path | None, data: Path | None, copies: int
) -> tuple[PathFigures, ...]:
    from workers.evaluation.conversion_path import measure_path
    from workers.training.conversion_pictures import held_out_items

    if not copies:
        return ()
    session.note("sending copies through the whole inspection…")
    pictures = [item.image for item in held_out_items(data, images, copies)]
    figures = measure_path(ends[0].encoder, ends[1].encoder, made.converter, pictures)
    for each in figures:
        session.row(
            {"from": made.converter.source, "to": made.converter.target, **asdict(each)},
            f"{each.mode}: of {each.copies} copies {each.converted:.1%} match their picture with converted references,"
            f" {each.native:.1%} with native ones, {each.old:.1%} with the old encoder; {each.others[0]} match"
            f" another's, {each.others[1]} with native ones",
        )
    return figures


def _print(session: Session, made: Trained) -> None:
    card = made.converter.card
    found = card.report
    views = "left out" if found.bits is None else f"{found.bits:.1%} of their signs agree"
    session.row(
        {"from": card.source, "to": card.target, "file": str(made.path), "scale": card.scale, **asdict(found)},
        f"wrote {made.path}: {card.source} to {card.target}, from {found.trained_on} pictures."
        f" On {found.queries} copies of {found.held_out} others: R@1 {found.converted:.3f} (native {found.native:.3f},"
        f" old {found.old:.3f}); score 85 without local features {found.found_converted:.3f}"
        f" (native {found.found_native:.3f}, old {found.found_old:.3f}), unrelated pairs {found.false_converted:.1e}"
        f" (native {found.false_native:.1e}); cosine {found.cosine:.3f}; views: {views}",
    )
