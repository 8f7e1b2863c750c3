"""Image sets: which images are protected.  Commands work on the store alone, with or without workers running."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from hashlib import sha256
from typing import Final, Literal

from shared.adapters.role import SystemClock
from shared.core.policy_yaml import nearest
from shared.errors import DecodeError, UsageError
from shared.ports import Clock, Store
from shared.sealing import Sealer
from shared.types import (
    SET_NAME,
    Reference,
    ReferenceAdded,
    ReferenceRemoved,
    SetCreated,
    SetDeleted,
    SetThreshold,
)
from workers.encoders.embeddings import from_bytes
from workers.image_sets.collisions import Candidate, Neighbourhood, Surroundings, look_around
from workers.image_sets.fingerprint import Fingerprint, Fingerprinter
from workers.image_sets.rollback import Withdrawn
from workers.image_sets.thumbnails import open_thumbnail, seal_thumbnail
from workers.index.catalogue import SetCatalogue
from workers.index.set_history import KEEP_DAYS
from workers.index.state import IndexState, SetState
from workers.search.frame_matches import unprotected

DEFAULT_THRESHOLD: Final = 85.0
DEFAULT_PRIOR: Final = 0.01
REFERENCE_DIGITS: Final = 20
"""A reference's id: this much of its SHA-256, so that adding an image twice, or replaying it, is one reference."""
NAME_LIMIT: Final = 255
LEAST_SIDE: Final = 32
"""Pixels of the short side: below, an icon or a bullet that half of all pages show."""
THOROUGH_LIMIT: Final = 10_000
"""References of a thorough set: a search of the local features of more takes longer than an image may wait."""
LOW_INFORMATION: Final = "low_information"
TINY: Final = "tiny"
GENERIC: Final = "generic"
FULL: Final = "thorough_limit"


@dataclass(frozen=True, slots=True, kw_only=True)
class AddResult:
    """What became of one image.

    ``error`` is a code (a verdict's, or one of this module's), empty unless rejected.  ``warnings`` are sentences that
    start with a code and a colon: what stands near the image, and what it was rejected for but for ``force``.
    """

    set: str
    name: str
    reference: str
    sha256: str
    status: Literal["added", "duplicate", "rejected"]
    error: str = ""
    message: str = ""
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class RemoveResult:
    """References that were withdrawn, and those the set did not have."""

    removed: tuple[str, ...]
    unknown: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class SetSummary:
    """One row of ``list``; ``size`` in references, the rest as in ``SetCreated``."""

    name: str
    threshold: float
    relation: Literal["copy", "any"]
    size: int
    thorough: bool | None = None
    prior: float = DEFAULT_PRIOR
    keep_thumbnail: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class SetContents:
    """A set and its references, in order of arrival."""

    summary: SetSummary
    references: tuple[Reference, ...]


class ImageSets:
    """Use cases on image sets.  All raise StoreError where the store is down; what they wrote is durable."""

    def __init__(
        self,
        store: Store,
        sealer: Sealer,
        *,
        clock: Clock | None = None,
        keep_days: float = KEEP_DAYS,
        thorough_limit: int = THOROUGH_LIMIT,
    ) -> None:
        self._catalogue = SetCatalogue(store, sealer, clock or SystemClock())
        self._withdrawn = Withdrawn(store, sealer, keep_days=keep_days)
        self._sealer = sealer
        self._thorough_limit = thorough_limit

    async def create(
        self,
        name: str,
        threshold: float = DEFAULT_THRESHOLD,
        relation: Literal["copy", "any"] = "copy",
        *,
        thorough: bool | None = None,
        prior: float = DEFAULT_PRIOR,
        keep_thumbnail: bool = False,
    ) -> SetSummary:
        """Make an empty set; what the options mean says ``SetCreated``.

        Raises UsageError for a name that is taken or impossible, a threshold off 0..100, or a prior that is not
        between 0 and 1.
        """
        if not SET_NAME.fullmatch(name):
            raise UsageError(
                f"{name!r} is no name for an image set: lower-case letters, digits, '.', '_' and '-', at most 63"
            )
        _check_threshold(threshold)
        if not 0.0 < prior < 1.0:
            raise UsageError(f"a prior is a share of all images, over 0 and under 1, not {prior}")
        taken = name in (await self._catalogue.refresh()).sets
        created = SetCreated(
            name=name,
            threshold=float(threshold),
            relation=relation,
            thorough=thorough,
            prior=prior,
            keep_thumbnail=keep_thumbnail,
        )
        if taken or not (await self._catalogue.append(created)).fresh:
            raise UsageError(f"there is an image set {name} already")
        return _summary(IndexState([created]).sets[name])

    async def move_threshold(self, name: str, threshold: float) -> SetSummary:
        """Move a set's threshold; every worker takes it within a second.

        Raises UsageError for an unknown set or a threshold off 0..100.
        """
        _check_threshold(threshold)
        previous = _find(await self._catalogue.refresh(), name).created.threshold
        await self._catalogue.append(SetThreshold(name=name, threshold=float(threshold), previous=previous))
        return _summary(_find(await self._catalogue.refresh(), name))

    async def thumbnail(self, set_name: str, reference: str) -> bytes:
        """Return a reference's small picture, a JPEG; empty where the set keeps none.

        Raises UsageError for an unknown set or reference, IntegrityError for one that does not open.
        """
        found = _find(await self._catalogue.refresh(), set_name).references.get(reference)
        if found is None:
            raise UsageError(f"{set_name} has no {reference}")
        return open_thumbnail(found, self._sealer)

    async def delete(self, name: str, *, purge: bool = False) -> SetSummary:
        """Delete a set with all its references; raises UsageError for an unknown one.

        It can be brought back for ``keep_days``, but for ``purge``: then nothing is kept of it, nor of what was removed
        from it before.
        """
        found = _find(await self._catalogue.refresh(), name)
        summary = _summary(found)
        kept = "" if purge else await self._withdrawn.keep(found.created, list(found.references.each()))
        await self._catalogue.append(SetDeleted(name=name, kept=kept))
        if purge:
            await self._withdrawn.purge(name)
        return summary

    async def list(self) -> tuple[SetSummary, ...]:
        """Return all sets by name."""
        sets = (await self._catalogue.refresh()).sets
        return tuple(_summary(sets[name]) for name in sorted(sets))

    async def show(self, name: str) -> SetContents:
        """Return a set; raises UsageError for an unknown one."""
        found = _find(await self._catalogue.refresh(), name)
        return SetContents(summary=_summary(found), references=tuple(found.references.each()))

    async def remove(self, set_name: str, references: Sequence[str], *, purge: bool = False) -> RemoveResult:
        """Withdraw references; unknown ones are named and hinder nothing.  Raises UsageError for an unknown set.

        They can be brought back for ``keep_days``, but for ``purge``: then nothing that was withdrawn with them, now or
        before, is kept.
        """
        found = _find(await self._catalogue.refresh(), set_name)
        known = [found.references[each] for each in dict.fromkeys(references) if each in found.references]
        kept = "" if purge or not known else await self._withdrawn.keep(found.created, known)
        removed: list[str] = []
        for reference in known:
            event = ReferenceRemoved(set=set_name, reference=reference.reference, kept=kept)
            if (await self._catalogue.append(event)).fresh:
                removed.append(reference.reference)
        if purge:
            await self._withdrawn.purge(set_name, references)
        unknown = [reference for reference in dict.fromkeys(references) if reference not in removed]
        return RemoveResult(removed=tuple(removed), unknown=tuple(unknown))

    async def add(
        self,
        set_name: str,
        name: str,
        data: bytes,
        fingerprinter: Fingerprinter,
        neighbourhood: Neighbourhood | None = None,
        *,
        force: bool = False,
    ) -> AddResult:
        """Protect one image.  Once this returns ``added`` every worker will find it, whatever crashes.

        An image that does not decode is rejected with the decoder's code, and any into a thorough set that is full;
        one that would match images in general (blank, tiny, generic) too, but for ``force``.  What stands near it is
        told where there is a ``neighbourhood``.  Raises UsageError for an unknown set.
        """
        digest = sha256(data).hexdigest()
        result = AddResult(
            set=set_name, name=_clean(name), reference=digest[:REFERENCE_DIGITS], sha256=digest, status="added"
        )
        found = _find(await self._catalogue.refresh(), set_name)
        if result.reference in found.references:
            return replace(result, status="duplicate")
        if found.created.thorough and len(found.references) >= self._thorough_limit:
            return _rejected(result, FULL, _full(self._thorough_limit))
        try:
            fingerprint = await fingerprinter.fingerprint(data)
        except DecodeError as error:
            return _rejected(result, error.code.value, str(error))
        around = await _around(set_name, fingerprint, neighbourhood)
        objection = _objection(fingerprint, around)
        forced = () if objection is None else (": ".join(objection),)
        result = replace(result, warnings=(*forced, *unprotected(fingerprint.info), *around.warnings()))
        if objection is not None and not force:
            code, sentence = objection
            return _rejected(replace(result, warnings=around.warnings()), code, f"{sentence}; --force adds it")
        change = await self._catalogue.append(
            ReferenceAdded(reference=self._reference(result, fingerprint, keep_thumbnail=found.created.keep_thumbnail))
        )
        if not change.fresh:
            # Somebody added the same image meanwhile, or deleted the set.
            _find(await self._catalogue.refresh(), set_name)
            return replace(result, status="duplicate")
        return result

    def holds(self, set_name: str, data: bytes) -> bool:
        """Tell whether a set has an image, as of the last look into the store."""
        found = self._catalogue.seen().get(set_name)
        return found is not None and sha256(data).hexdigest()[:REFERENCE_DIGITS] in found.references

    def _reference(self, added: AddResult, fingerprint: Fingerprint, *, keep_thumbnail: bool) -> Reference:
        reference = fingerprint.as_reference(added.reference, set_name=added.set, name=added.name)
        if not keep_thumbnail:
            return reference
        sealed = seal_thumbnail(
            fingerprint.plane, fingerprint.plane_size, self._sealer, set_name=added.set, reference=added.reference
        )
        return replace(reference, thumbnail=sealed)


_ALONE: Final = Surroundings(duplicates=(), collisions=())


async def _around(set_name: str, fingerprint: Fingerprint, neighbourhood: Neighbourhood | None) -> Surroundings:
    if neighbourhood is None or fingerprint.info.low_information or not fingerprint.vectors:
        return _ALONE
    candidate = Candidate(
        set=set_name,
        sha256=fingerprint.sha256,
        vector=from_bytes(fingerprint.vectors)[0],
        pdq=fingerprint.pdq,
        pdq_quality=fingerprint.pdq_quality,
        sight=fingerprint.sight(),
    )
    return await asyncio.to_thread(look_around, await neighbourhood.catch_up(), candidate)


def _objection(fingerprint: Fingerprint, around: Surroundings) -> tuple[str, str] | None:
    """Return (code, sentence) of what speaks against protecting an image, None for nothing."""
    info = fingerprint.info
    if info.low_information:
        return LOW_INFORMATION, "the image is almost empty: it can match by identical bytes only"
    if min(info.width, info.height) < LEAST_SIDE:
        size = f"{info.width} x {info.height} pixels"
        return TINY, f"{size}: a picture of less than {LEAST_SIDE} is part of many others"
    return (GENERIC, around.generic) if around.generic else None


def _full(limit: int) -> str:
    return (
        f"a thorough set holds at most {limit:,} references: put further ones into another set,"
        " or into one without --thorough, whose size has no such limit"
    )


def _rejected(result: AddResult, error: str, message: str) -> AddResult:
    return replace(result, status="rejected", error=error, message=message)


def _check_threshold(threshold: float) -> None:
    if math.isnan(threshold) or not 0.0 <= threshold <= 100.0:
        raise UsageError(f"a threshold lies between 0 and 100, not at {threshold}")


def _clean(name: str) -> str:
    # File names may hold bytes that are no UTF-8; they arrive as lone surrogates, which no wire format takes.
    return name.encode("utf-8", "replace").decode()[-NAME_LIMIT:]


def _find(state: IndexState, name: str) -> SetState:
    found = state.sets.get(name)
    if found is None:
        raise UsageError(f"there is no image set {name}; {nearest(name, state.sets)}")
    return found


def _summary(found: SetState) -> SetSummary:
    created = found.created
    return SetSummary(
        name=created.name,
        threshold=created.threshold,
        relation=created.relation,
        size=len(found.references),
        thorough=created.thorough,
        prior=created.prior,
        keep_thumbnail=created.keep_thumbnail,
    )
