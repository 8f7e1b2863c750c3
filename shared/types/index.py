"""What the index log holds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

INDEX_LOG: Final = "index"
"""The store's log of all that happens to sets and references."""
GENERATION_KEY: Final = "index/generation"
"""The store's key that says which encoder is in force."""
CLASSIFIER_LOG: Final = "classifiers"
"""The store's log of the classifiers' revisions: which is in force, and which are deleted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reference:
    """A protected image as the index keeps it: never the picture.

    ``reference`` is unique in its set.  ``vectors`` are L2-normalised embeddings in little-endian half precision, the
    whole picture's first; ``views`` the signs of the other views' embeddings, 1 bit a dimension, one after the other;
    ``pdq`` is the upright hash (empty where the quality is too low to use).  ``local`` are its local features and
    ``sketch`` the signature of its blocks, packed (``local_features.py`` and ``block_sketch.py`` of
    ``workers/closer_look``); empty where there are none.  ``thumbnail`` is a sealed JPEG, only where the set keeps
    them.  ``converted_from`` is the encoder whose embeddings were converted to ``encoder``'s
    (``workers/migration/conversion.py``), empty where they are its own;
    a converted vector is as long as makes its cosines as rare as native ones.
    """

    set: str
    reference: str
    name: str
    sha256: str
    pdq: str
    pdq_quality: int
    encoder: str
    vectors: tuple[bytes, ...]
    views: bytes = b""
    local: bytes = b""
    sketch: bytes = b""
    thumbnail: bytes = b""
    converted_from: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class SetCreated:
    """An image set came into being.

    ``thorough``: local features are searched for every image (True), or only where another matcher hints at a reference
    (False); None: for every image while the set is small and the worker has time.
    ``prior``: how many of the images that are inspected show one of the set's, which the likelihoods start from.
    ``keep_thumbnail``: a small encrypted picture of each reference is kept for the analyst.
    """

    name: str
    threshold: float
    relation: Literal["copy", "any"] = "copy"
    thorough: bool | None = None
    prior: float = 0.01
    keep_thumbnail: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class SetThreshold:
    """A set's threshold was moved, by calibration or by hand, from ``previous``."""

    name: str
    threshold: float
    previous: float


@dataclass(frozen=True, slots=True, kw_only=True)
class SetDeleted:
    """A set and all its references are gone; ``kept``: the blob that holds them for a while, empty for none."""

    name: str
    kept: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReferenceAdded:
    """A reference was enrolled; the same (set, reference) again replaces it."""

    reference: Reference


@dataclass(frozen=True, slots=True, kw_only=True)
class ReferenceRemoved:
    """A reference was withdrawn; ``kept``: the blob that holds it for a while, empty for none."""

    set: str
    reference: str
    kept: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class SetRolledBack:
    """The events before this one put a set back to what it was at ``revision``, a position of the log."""

    name: str
    revision: int


IndexEvent = SetCreated | SetThreshold | SetDeleted | ReferenceAdded | ReferenceRemoved | SetRolledBack
"""What the index log holds.  Replaying it in order gives the same index everywhere."""
