"""Label spaces in the store: the network's card and its file, sealed together."""

from __future__ import annotations

import json
import struct
from dataclasses import asdict, dataclass
from typing import Final

from shared.errors import IntegrityError
from shared.ports import Clock, Store
from shared.sealing import Sealer
from workers.classifying.revision_log import Kind, RevisionBook
from workers.labels.network import LabelCard, card_of

_LENGTH: Final = struct.Struct("<I")


@dataclass(frozen=True, slots=True, kw_only=True)
class PublishedSpace:
    """A label network as it is kept: its card, and its ONNX file."""

    card: LabelCard
    model: bytes


def pack(space: PublishedSpace) -> bytes:
    """Return a label space's bytes: the card as JSON, length-prefixed, and the file."""
    card = json.dumps(asdict(space.card)).encode()
    return _LENGTH.pack(len(card)) + card + space.model


def unpack(data: bytes) -> PublishedSpace:
    """Return the label space; raises IntegrityError for other bytes."""
    try:
        (size,) = _LENGTH.unpack_from(data)
        start = _LENGTH.size + size
        return PublishedSpace(card=card_of(data[_LENGTH.size : start]), model=data[start:])
    except (struct.error, ValueError) as error:
        raise IntegrityError(f"a stored label space cannot be read: {error!r}") from error


LABEL_SPACES: Final = Kind(name="label space", pack=pack, unpack=unpack)


class LabelSpaceBook(RevisionBook[PublishedSpace]):
    """Reads and writes label spaces, for commands and the API."""

    def __init__(self, store: Store, sealer: Sealer, clock: Clock) -> None:
        super().__init__(store, sealer, clock, LABEL_SPACES)
