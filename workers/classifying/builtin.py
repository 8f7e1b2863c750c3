"""Classifiers that ship: documents and screens, fitted by `workers.training.builtin_classifiers`, no image needed.

They are classifiers like a user's, one file for each precision of an encoder, beside its bank.  A revision in the log
by the same name goes before: whoever teaches one another label has a copy of their own, and has what ships again when
that is deleted.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import Final

from shared.config import Settings
from shared.errors import IntegrityError
from workers.classifying.model import Classifier, unpack
from workers.classifying.vectors import space_of
from workers.encoders.files import EncoderCard, Precision
from workers.encoders.names import EncoderName, card_of

FOLDER: Final = "builtin"
PREFIX: Final = "builtin-"
SUFFIX: Final = ".classifier"


def builtin_path(card: EncoderCard, precision: Precision, name: str) -> Path:
    """Return where a classifier for an encoder's precision is."""
    return card.folder / FOLDER / f"{name}.{card.files[precision].calibrated_as}{SUFFIX}"


def builtin_classifiers(card: EncoderCard, precision: Precision) -> Mapping[str, Classifier]:
    """Return the classifiers that ship for an encoder, by name; none for an encoder of a user's own.

    Raises IntegrityError for a broken file.
    """
    space = space_of(card.files[precision].index_id)
    found = {}
    for path in sorted(builtin_path(card, precision, "").parent.glob(builtin_path(card, precision, "*").name)):
        try:
            classifier = unpack(path.read_bytes())
        except (OSError, IntegrityError) as error:
            raise IntegrityError(f"{path} is not the classifier that ships: {error}") from error
        found[classifier.name] = replace(classifier, space=space)
    return MappingProxyType(found)


def builtins_of(settings: Settings, encoder: EncoderName) -> Mapping[str, Classifier]:
    """Return those for an encoder; raises as `card_of` and `builtin_classifiers`."""
    return builtin_classifiers(card_of(settings, encoder), encoder.precision)
