"""Image sets: which images are protected.  Commands work on the store alone, with or without workers running."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Final, Literal, Protocol

from shared.core.matching import MIN_PDQ_QUALITY
from shared.errors import DecodeError, SafelightError, UsageError
from shared.ports import Store
from shared.sealing import Sealer
from shared.types import (
    SET_NAME,
    ImageInfo,
    IndexEvent,
    Reference,
    ReferenceAdded,
    ReferenceRemoved,
    SetCreated,
    SetDeleted,
)
from workers.index_log import IndexFollower, IndexLog, IndexStaleError
from workers.index_state import Change, IndexState, SetState

DEFAULT_THRESHOLD: Final = 85.0
REFERENCE_DIGITS: Final = 20
"""A reference's id: this much of its SHA-256, so that adding an image twice, or replaying it, is one reference."""
NAME_LIMIT: Final = 255
LOW_INFORMATION: Final = "low_information"

_logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Fingerprint:
    """What is known of an image that is to be protected; all but the plane is kept as in ``Reference``.

    ``vectors`` holds the whole picture's embedding, L2-normalised float32 in little-endian bytes; ``views`` the other
    views' signs, 1 bit a dimension.  ``plane`` is the grey picture, ``plane_size`` = (width, height), that a thumbnail
    is made from; empty where the image shows too little.
    """

    sha256: str
    info: ImageInfo
    pdq: tuple[str, ...]
    pdq_quality: int
    vectors: tuple[bytes, ...]
    encoder: str
    views: bytes = b""
    local: bytes = b""
    sketch: bytes = b""
    plane: bytes = b""
    plane_size: tuple[int, int] = (0, 0)


class Fingerprinter(Protocol):
    """Looks at an image the way the worker does."""

    async def fingerprint(self, data: bytes) -> Fingerprint:
        """Return an image's fingerprint; raises DecodeError."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class AddResult:
    """What became of one image; ``error`` is a code (a verdict's, or ``low_information``), empty unless rejected."""

    set: str
    name: str
    reference: str
    sha256: str
    status: Literal["added", "duplicate", "rejected"]
    error: str = ""
    message: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class RemoveResult:
    """References that were withdrawn, and those the set did not have."""

    removed: tuple[str, ...]
    unknown: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class SetSummary:
    """One row of ``list``; ``size`` in references."""

    name: str
    threshold: float
    relation: Literal["copy", "any"]
    size: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SetContents:
    """A set and its references, in order of arrival."""

    summary: SetSummary
    references: tuple[Reference, ...]


class SetCatalogue:
    """The index's state as a command sees it: of every encoder, as of the last refresh."""

    def __init__(self, store: Store, sealer: Sealer) -> None:
        self._log = IndexLog(store, sealer)
        self._follower: IndexFollower | None = None

    async def refresh(self) -> IndexState:
        """Return the state at the end of the log; raises StoreError, IntegrityError."""
        await self._advance()
        assert self._follower is not None  # noqa: S101 - set by _advance
        return self._follower.state

    async def append(self, event: IndexEvent) -> Change:
        """Write an event durably and return what it changed, given all that was written before it."""
        await self.refresh()
        position = await self._log.append(event)
        # A compaction may have swallowed the entry already: then it was applied, and by nobody else.
        return (await self._advance()).get(position, Change(fresh=True))

    async def _advance(self) -> dict[int, Change]:
        changed: dict[int, Change] = {}
        try:
            while self._follower is not None and (changes := await self._follower.advance()):
                changed.update(changes)
        except IndexStaleError:
            self._follower = None
        if self._follower is None:
            self._follower = await IndexFollower.load(self._log, encoder=None, refused=_say)
        return changed


def _say(error: SafelightError) -> None:
    _logger.warning("an entry of the index log was passed over: %s", error)


class ImageSets:
    """Use cases on image sets.  All raise StoreError where the store is down; what they wrote is durable."""

    def __init__(self, store: Store, sealer: Sealer) -> None:
        self._catalogue = SetCatalogue(store, sealer)

    async def create(
        self, name: str, threshold: float = DEFAULT_THRESHOLD, relation: Literal["copy", "any"] = "copy"
    ) -> SetSummary:
        """Make an empty set; raises UsageError for a name that is taken or impossible, or a threshold off 0..100."""
        if not SET_NAME.fullmatch(name):
            raise UsageError(
                f"{name!r} is no name for an image set: lower-case letters, digits, '.', '_' and '-', at most 63"
            )
        if not 0.0 <= threshold <= 100.0:
            raise UsageError(f"a threshold lies between 0 and 100, not at {threshold}")
        taken = name in (await self._catalogue.refresh()).sets
        created = SetCreated(name=name, threshold=float(threshold), relation=relation)
        if taken or not (await self._catalogue.append(created)).fresh:
            raise UsageError(f"there is an image set {name} already")
        return _summary(SetState(created))

    async def delete(self, name: str) -> SetSummary:
        """Delete a set with all its references; raises UsageError for an unknown one."""
        summary = _summary(_find(await self._catalogue.refresh(), name))
        await self._catalogue.append(SetDeleted(name=name))
        return summary

    async def list(self) -> tuple[SetSummary, ...]:
        """Return all sets by name."""
        sets = (await self._catalogue.refresh()).sets
        return tuple(_summary(sets[name]) for name in sorted(sets))

    async def show(self, name: str) -> SetContents:
        """Return a set; raises UsageError for an unknown one."""
        found = _find(await self._catalogue.refresh(), name)
        return SetContents(summary=_summary(found), references=tuple(found.references.values()))

    async def remove(self, set_name: str, references: Sequence[str]) -> RemoveResult:
        """Withdraw references; unknown ones are named and hinder nothing.  Raises UsageError for an unknown set."""
        _find(await self._catalogue.refresh(), set_name)
        removed: list[str] = []
        unknown: list[str] = []
        for reference in dict.fromkeys(references):
            change = await self._catalogue.append(ReferenceRemoved(set=set_name, reference=reference))
            (removed if change.fresh else unknown).append(reference)
        return RemoveResult(removed=tuple(removed), unknown=tuple(unknown))

    async def add(self, set_name: str, name: str, data: bytes, fingerprinter: Fingerprinter) -> AddResult:
        """Protect one image.  Once this returns ``added`` every worker will find it, whatever crashes.

        An image that does not decode is rejected with the decoder's code; one with next to no information (blank,
        tiny) too, because it would match every other such image.  Raises UsageError for an unknown set.
        """
        digest = sha256(data).hexdigest()
        reference, name = digest[:REFERENCE_DIGITS], _clean(name)

        def result(status: Literal["added", "duplicate", "rejected"], error: str = "", message: str = "") -> AddResult:
            return AddResult(
                set=set_name, name=name, reference=reference, sha256=digest, status=status, error=error, message=message
            )

        if reference in _find(await self._catalogue.refresh(), set_name).references:
            return result("duplicate")
        try:
            fingerprint = await fingerprinter.fingerprint(data)
        except DecodeError as error:
            return result("rejected", error.code.value, str(error))
        if fingerprint.info.low_information:
            return result("rejected", LOW_INFORMATION, "the image is almost empty: it would match every other such one")
        change = await self._catalogue.append(ReferenceAdded(reference=_reference(result("added"), fingerprint)))
        if not change.fresh:
            # Somebody added the same image meanwhile, or deleted the set.
            _find(await self._catalogue.refresh(), set_name)
            return result("duplicate")
        return result("added")


def _reference(added: AddResult, fingerprint: Fingerprint) -> Reference:
    usable = fingerprint.pdq_quality >= MIN_PDQ_QUALITY and fingerprint.pdq
    return Reference(
        set=added.set,
        reference=added.reference,
        name=added.name,
        sha256=added.sha256,
        pdq=fingerprint.pdq[0] if usable else "",
        pdq_quality=fingerprint.pdq_quality,
        encoder=fingerprint.encoder,
        vectors=fingerprint.vectors,
        views=fingerprint.views,
        local=fingerprint.local,
        sketch=fingerprint.sketch,
    )


def _clean(name: str) -> str:
    # File names may hold bytes that are no UTF-8; they arrive as lone surrogates, which no wire format takes.
    return name.encode("utf-8", "replace").decode()[-NAME_LIMIT:]


def _find(state: IndexState, name: str) -> SetState:
    found = state.sets.get(name)
    if found is None:
        raise UsageError(f"there is no image set {name}")
    return found


def _summary(found: SetState) -> SetSummary:
    created = found.created
    return SetSummary(
        name=created.name, threshold=created.threshold, relation=created.relation, size=len(found.references)
    )
