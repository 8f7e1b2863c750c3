"""The last step of all that teaches a classifier: fit it on its examples, put it in force, say how good it is."""

from __future__ import annotations

import asyncio

from console import classifier_reports
from console.cli.session import Session
from shared.adapters.role import SystemClock
from shared.config import Settings
from workers.classifying.bank import Bank, bank_path, load_bank
from workers.classifying.fitting import Recipe, fit
from workers.classifying.revisions import ClassifierBook
from workers.classifying.teaching import Merged, advice_on
from workers.classifying.vectors import Space, shipped_features
from workers.encoders.names import EncoderName, card_of


def bank_of(settings: Settings, encoder: EncoderName) -> Bank:
    """Return an encoder's bank of other pictures; raises EncoderUnavailableError where it has none."""
    return load_bank(bank_path(card_of(settings, encoder), encoder.precision), shipped_features())


async def fit_and_publish(
    session: Session,
    book: ClassifierBook,
    bank: Bank,
    space: Space,
    recipe: Recipe,
    merged: Merged,
    base: int,
    *,
    note_on: str,
) -> None:
    """Put the classifier of the merged examples in force in place of revision ``base``, and report it."""
    classifier = await asyncio.to_thread(fit, recipe, merged.examples, bank, space, SystemClock().wall())
    negatives = f" ({merged.negatives} of them negatives)" if merged.negatives else ""
    note = f"{note_on}: {merged.added} added{negatives}, {merged.relabelled} re-labelled"
    revision = await book.publish(recipe.name, classifier, base, note)
    counts = {"added": merged.added, "relabelled": merged.relabelled, "known": merged.known}
    session.row(
        classifier_reports.details(revision, classifier) | counts,
        f"{note}, {merged.known} known already\n{classifier_reports.sentences(revision, classifier)}",
    )
    for advice in advice_on(classifier.rates):
        session.note(f"advice: {advice}")
