"""``safelight classifier negatives``: what of recent traffic a classifier may learn as no label."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Final

import typer

from console.cli.session import Session, session_of, with_store
from shared.adapters.role import SystemClock
from shared.config import Settings
from shared.core.policy_conditions import OTHER
from shared.errors import UsageError
from shared.ports import Store
from shared.sealing import Sealer

if TYPE_CHECKING:
    from workers.classifying.hard_negatives import Candidate
    from workers.classifying.model import Classifier
    from workers.classifying.revisions import ClassifierBook

COLUMNS: Final = ("sha256", "label", "score", "threshold", "seen")
OFF: Final = "workers keep no candidates: set worker.hard_negatives to have them suggested"


def register(app: typer.Typer) -> None:
    """Add the command."""

    @app.command()
    def negatives(
        context: typer.Context,
        name: Annotated[str, typer.Argument(help="The classifier's name.")],
        add: Annotated[
            list[str] | None, typer.Option(help="SHA-256, or its beginning, of a candidate that shows no label.")
        ] = None,
        forget_all: Annotated[bool, typer.Option("--forget", help="Forget the candidates of all classifiers.")] = False,
    ) -> None:
        """List images of the last week that came near a label, the nearest first, or add them as negatives.

        Workers keep what they compare of such images, never a picture, while worker.hard_negatives is set. Which of
        them show no label is yours to say: alerts have their SHA-256 too.
        """
        session = session_of(context)

        async def run(settings: Settings, store: Store, sealer: Sealer) -> None:
            from console.deployment import classifier_book
            from workers.classifying.hard_negatives import candidates_of, forget

            book = await classifier_book(settings, store, sealer)
            revision, classifier = await book.show(name)
            found = await candidates_of(store, sealer, classifier, SystemClock().wall())
            if add:
                chosen = _chosen(found, add)
                await _teach(session, settings, store, book, classifier, revision.number, chosen)
            elif not forget_all:
                _list(session, settings, found)
            if forget_all:
                await forget(store)
                session.row({"forgotten": True}, "the candidates of all classifiers are forgotten")

        with_store(session, run)


def _list(session: Session, settings: Settings, found: Sequence[Candidate]) -> None:
    if not found and not settings.worker.hard_negatives:
        session.note(OFF)
    session.table(
        COLUMNS,
        [
            {
                "sha256": each.sha256,
                "label": each.label,
                "score": each.score,
                "threshold": each.threshold,
                "seen": datetime.fromtimestamp(each.at, UTC).isoformat(timespec="seconds"),
            }
            for each in found
        ],
    )


def _chosen(found: Sequence[Candidate], wanted: Sequence[str]) -> list[Candidate]:
    chosen = []
    for start in wanted:
        fitting = [each for each in found if each.sha256.startswith(start.lower())]
        if len(fitting) != 1:
            raise UsageError(f"{len(fitting)} candidates have a SHA-256 that begins with {start!r}; one is needed")
        chosen += fitting
    return chosen


async def _teach(
    session: Session,
    settings: Settings,
    store: Store,
    book: ClassifierBook,
    classifier: Classifier,
    base: int,
    chosen: Sequence[Candidate],
) -> None:
    from console.cli.classifier_fitting import bank_of, fit_and_publish
    from workers.classifying.fitting import Recipe
    from workers.classifying.teaching import merge
    from workers.classifying.vectors import space_of
    from workers.encoders.in_force import in_force

    encoder = (await in_force(settings, store)).encoder
    space = space_of(encoder.id)
    if classifier.space != space:
        raise UsageError(
            f"{classifier.name} was trained with {classifier.space}, this is {space}: it learns again once the change"
            " of the encoder is over (safelight index migrate --finish)"
        )
    merged = merge(classifier.examples, [each.example(OTHER) for each in chosen], "relabel")
    thresholds = dict(zip(classifier.labels, classifier.thresholds, strict=True))
    recipe = Recipe(name=classifier.name, thresholds=thresholds, mode=classifier.mode)
    bank = await asyncio.to_thread(bank_of, settings, encoder)
    await fit_and_publish(session, book, bank, space, recipe, merged, base, note_on=OTHER)
