"""The value of the key that says where the index's snapshots are: one entry for each encoder that is in use."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any

from shared.errors import IntegrityError


@dataclass(frozen=True, slots=True, kw_only=True)
class Pointer:
    """Where an encoder's newest snapshot is; ``previous`` is the blob before this one.

    ``at`` is when it was made (seconds since 1970), ``bytes`` its size, ``parts`` the number of its blobs.
    """

    encoder: str
    blob: str
    position: int
    at: float
    bytes: int
    parts: int
    previous: str = ""
    previous_parts: int = 0


def read_pointers(value: bytes) -> tuple[Pointer, ...]:
    """Return what a value says; raises IntegrityError where it makes no sense."""
    try:
        return tuple(map(_pointer, json.loads(value)))
    except (ValueError, KeyError, TypeError) as error:
        raise IntegrityError(f"the pointer to the index snapshot cannot be read: {error!r}") from error


def write_pointers(pointers: Iterable[Pointer]) -> bytes:
    """Return the value that says this."""
    return json.dumps([asdict(each) for each in pointers]).encode()


def _pointer(values: dict[str, Any]) -> Pointer:
    return Pointer(
        encoder=str(values["encoder"]),
        blob=str(values["blob"]),
        position=int(values["position"]),
        at=float(values["at"]),
        bytes=int(values["bytes"]),
        parts=int(values["parts"]),
        previous=str(values["previous"]),
        previous_parts=int(values["previous_parts"]),
    )


__all__ = ["Pointer", "read_pointers", "write_pointers"]
