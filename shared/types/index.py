"""What the index log holds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True, kw_only=True)
class Reference:
    """A protected image as the index keeps it: never the picture.

    ``reference`` is unique in its set.  ``vectors`` are L2-normalised float32 embeddings in little-endian bytes, the
    whole picture's first; ``pdq`` is the upright hash (empty where the quality is too low to use).
    """

    set: str
    reference: str
    name: str
    sha256: str
    pdq: str
    pdq_quality: int
    encoder: str
    vectors: tuple[bytes, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class SetCreated:
    """An image set came into being."""

    name: str
    threshold: float
    relation: Literal["copy", "any"] = "copy"


@dataclass(frozen=True, slots=True, kw_only=True)
class SetDeleted:
    """A set and all its references are gone."""

    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ReferenceAdded:
    """A reference was enrolled; the same (set, reference) again replaces it."""

    reference: Reference


@dataclass(frozen=True, slots=True, kw_only=True)
class ReferenceRemoved:
    """A reference was withdrawn."""

    set: str
    reference: str


IndexEvent = SetCreated | SetDeleted | ReferenceAdded | ReferenceRemoved
"""What the index log holds.  Replaying it in order gives the same index everywhere."""
