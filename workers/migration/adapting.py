"""What another encoder made, as one encoder's: references and classifiers that were stored before it was in force.

Two precisions of one version need no converter: the least cosine between their vectors of one picture is .995
in what ships (its card says so), less than a JPEG of quality 75 moves them, so a reference is taken as it is.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import groupby
from operator import attrgetter
from typing import Protocol

from shared.adapters.role import SystemClock
from shared.config import Settings
from shared.errors import EncoderUnavailableError, IntegrityError
from shared.types import Reference
from workers.classifying.bank import Bank, bank_path, load_bank
from workers.classifying.fitting import Recipe, fit
from workers.classifying.model import Classifier
from workers.classifying.vectors import Space, shipped_features
from workers.encoders.generations import Generation
from workers.encoders.names import EncoderName, card_of
from workers.migration.conversion import (
    CONVERTERS,
    Converter,
    converted_classifier,
    converted_references,
    load_converter,
)

_logger = logging.getLogger(__name__)


class Pair(Protocol):
    """From the index version ``source`` to ``target``; computes, so it is called in a thread."""

    @property
    def source(self) -> str:
        """What it takes."""
        ...

    @property
    def target(self) -> str:
        """What it makes."""
        ...

    def references(self, references: Sequence[Reference]) -> list[Reference]:
        """Return references of the source as the target's; raises IntegrityError."""
        ...

    def classifier(self, classifier: Classifier, bank: Bank, now: float) -> Classifier:
        """Return a classifier of the source as the target's; raises IntegrityError, UsageError."""
        ...


class Converted:
    """By a trained converter."""

    def __init__(self, converter: Converter) -> None:
        self._converter = converter
        self.source = converter.source
        self.target = converter.target

    def references(self, references: Sequence[Reference]) -> list[Reference]:
        """Return references of the source as the target's; raises IntegrityError."""
        return converted_references(references, self._converter)

    def classifier(self, classifier: Classifier, bank: Bank, now: float) -> Classifier:
        """Return a classifier of the source as the target's; raises IntegrityError, UsageError."""
        return converted_classifier(classifier, self._converter, bank, now)


class TakenAsIs:
    """Between two precisions of one version."""

    def __init__(self, source: str, target: str) -> None:
        self.source = source
        self.target = target

    def references(self, references: Sequence[Reference]) -> list[Reference]:
        """Return references of the source as the target's."""
        return [replace(each, encoder=self.target, converted_from=self.source) for each in references]

    def classifier(self, classifier: Classifier, bank: Bank, now: float) -> Classifier:
        """Return a classifier of the source as the target's, fitted and calibrated anew; raises UsageError."""
        recipe = Recipe(
            name=classifier.name,
            thresholds=dict(zip(classifier.labels, classifier.thresholds, strict=True)),
            mode=classifier.mode,
        )
        space = Space(encoder=self.target, features=classifier.space.features)
        return fit(recipe, classifier.examples, bank, space, now)


class Adapter:
    """Makes what ``pair.source`` made its target's; everything else stays as it is, for others to refuse.

    ``bank`` loads the target's bank of other pictures, which classifiers are fitted with.
    """

    def __init__(self, pair: Pair, bank: Callable[[], Bank], wall: Callable[[], float]) -> None:
        self._pair = pair
        self._bank = bank
        self._wall = wall

    def references(self, references: Sequence[Reference]) -> list[Reference]:
        """Return references in their order."""
        found: list[Reference] = []
        for encoder, group in groupby(references, key=attrgetter("encoder")):
            run = list(group)
            found += self._converted(run) if encoder == self._pair.source else run
        return found

    def classifier(self, classifier: Classifier) -> Classifier:
        """Return a classifier as the target's; takes a second.  Raises IntegrityError, EncoderUnavailableError.

        UsageError where a label has too few examples.
        """
        if classifier.space.encoder != self._pair.source:
            return classifier
        return self._pair.classifier(classifier, self._bank(), self._wall())

    def _converted(self, references: list[Reference]) -> list[Reference]:
        try:
            return self._pair.references(references)
        except IntegrityError as error:
            if len(references) == 1:  # refused by the index, which counts it
                _logger.warning("reference %s is not converted: %s", references[0].reference, error)
                return references
        middle = len(references) // 2
        return self._converted(references[:middle]) + self._converted(references[middle:])


def load_adapter(settings: Settings, target: EncoderName, source: EncoderName) -> Adapter:
    """Return what makes the source's references the target's; raises EncoderUnavailableError, saying how to get it."""
    pair: Pair = TakenAsIs(source.id, target.id)
    if source.version != target.version:
        pair = Converted(load_converter(settings.data_dir / CONVERTERS, source.id, target.id))

    def bank() -> Bank:
        return load_bank(bank_path(card_of(settings, target), target.precision), shipped_features())

    return Adapter(pair, bank, SystemClock().wall)


def adapter_if_any(settings: Settings, generation: Generation) -> Adapter | None:
    """Return what makes the other encoder's references those of the one in force.

    None where there is no other, or, told in a warning, no converter on this host: then what the other enrolled is
    refused.
    """
    if generation.other is None:
        return None
    try:
        return load_adapter(settings, generation.encoder, generation.other)
    except EncoderUnavailableError as error:
        _logger.warning("what %s enrolled, or enrols, is not found here: %s", generation.other.id, error)
        return None


__all__ = ["Adapter", "Converted", "Pair", "TakenAsIs", "adapter_if_any", "load_adapter"]
