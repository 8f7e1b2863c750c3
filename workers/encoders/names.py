"""Which encoder is meant: a version on disk in one precision, and the name by which an index knows the two."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from shared.config import Settings
from shared.errors import EncoderUnavailableError, UsageError
from workers.encoders.files import IMPORTED, MODELS, EncoderCard, Precision, choose_encoder, list_encoders


@dataclass(frozen=True, slots=True, kw_only=True)
class EncoderName:
    """``version`` is a folder's name, ``id`` that of the index version: what every reference says it was made by."""

    id: str
    version: str
    precision: Precision


def configured_name(settings: Settings) -> EncoderName:
    """Return what the ``worker`` section of the configuration names; raises as ``choose_encoder`` and ``choose`` do."""
    worker = settings.worker
    card = choose_encoder(worker.encoder, MODELS, _imported(settings))
    return _name(card, card.choose(worker.precision, worker.provider))


def find_name(settings: Settings, text: str) -> EncoderName:
    """Return the encoder that a version's name, or an index version's, stands for.

    A version's alone means the precision that the configuration would run.  Raises UsageError for an unknown one.
    """
    cards = list_encoders(MODELS, _imported(settings))
    for card in cards:
        if card.id == text:
            return _name(card, card.choose(settings.worker.precision, settings.worker.provider))
    for card in cards:
        for precision, file in card.files.items():
            if file.index_id == text:
                return _name(card, precision)
    known = ", ".join(card.id for card in cards)
    raise UsageError(f"there is no encoder {text!r} here; known: {known}, each also with .int8, .fp16 or .fp32")


def card_of(settings: Settings, name: EncoderName) -> EncoderCard:
    """Return an encoder's card; raises EncoderUnavailableError where its files are not here, or other ones are."""
    for card in list_encoders(MODELS, _imported(settings)):
        if card.id == name.version:
            file = card.files.get(name.precision)
            if file is None or file.index_id != name.id:
                raise EncoderUnavailableError(f"the encoder {name.version} here is another than {name.id}")
            return card
    raise EncoderUnavailableError(
        f"the store's encoder is {name.id}, which is not here: copy the folder {name.version} into"
        f" {_imported(settings)} on this host"
    )


def _name(card: EncoderCard, precision: Precision) -> EncoderName:
    return EncoderName(id=card.files[precision].index_id, version=card.id, precision=precision)


def _imported(settings: Settings) -> Path:
    return settings.data_dir / IMPORTED
