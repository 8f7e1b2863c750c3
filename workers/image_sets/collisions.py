"""What stands near an image that is about to be protected: references it would be taken for, and pictures in general.

An image that the index already matches *collides*: with a reference of its own set it is a near-duplicate, with one of
another set an image of either will be reported for both.  An image that lies near everything (a white label, a
gradient, noise) protects nothing and alarms for ever: the encoder's background bank tells, and so do the references of
other sets that match it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Protocol

import numpy as np
from numpy.typing import NDArray

from shared.types import ReferenceMatch
from workers.closer_look.evidence import Sight
from workers.search.live_segment import Probe

GENERIC_DISCOUNT: Final = 0.35
"""Of the cosine, by the background bank.  Of the 1,912 ordinary and plain pictures of f1-128-v2's, each against the
others, it reaches 97 % of noise, all pages of nothing but text, 91 % of labels, half of clouds and gradients, no
photograph, product, screen or drawing of 13 families, and a third of the documents."""
FEW_FEATURES: Final = 20
"""Local features with which a picture that the encoder cannot tell apart is recognised none the less: pages of text."""
GENERIC_MATCHES: Final = 5
"""Different pictures of other sets that match: a picture that is protected twice on purpose has one or two."""
NAMED: Final = 3
"""Collisions that are told one by one."""


class Neighbours(Protocol):
    """The index at one revision, such as an IndexView."""

    def probe(
        self,
        sha256: str,
        vector: NDArray[np.float32] | None,
        pdq: tuple[str, ...] = (),
        *,
        pdq_quality: int = 100,
        low_information: bool = False,
        sight: Sight | None = None,
    ) -> Probe:
        """Return an image as it is searched for."""
        ...

    def search(self, probes: Sequence[Probe]) -> list[tuple[ReferenceMatch, ...]]:
        """Return each image's matches, best first."""
        ...


class Neighbourhood(Protocol):
    """What knows the newest view, such as an IndexReplica that catches up."""

    async def catch_up(self) -> Neighbours:
        """Return the view at the end of the log; raises StoreError, IntegrityError."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """An image that is about to join ``set``; ``vector`` is the whole picture's, ``sight`` what local features see."""

    set: str
    sha256: str
    vector: NDArray[np.float32]
    pdq: tuple[str, ...]
    pdq_quality: int
    sight: Sight | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """``collisions``: references that the image matches, best first, those of its own set in ``duplicates``.

    ``generic`` says in words why the image would match everything; empty where it would not.  ``ordinary`` is a lesser
    warning of that kind.
    """

    duplicates: tuple[ReferenceMatch, ...]
    collisions: tuple[ReferenceMatch, ...]
    generic: str = ""
    ordinary: str = ""

    def warnings(self) -> tuple[str, ...]:
        """Return a sentence for each thing to know, the strongest matches by name; each starts with its code."""
        kept = [f"near_duplicate: {_named(m)} of this set shows nearly the same" for m in self.duplicates[:NAMED]]
        kept += [f"collision: {m.set}/{_named(m)} matches it too" for m in self.collisions[:NAMED]]
        if more := len(self.duplicates[NAMED:]) + len(self.collisions[NAMED:]):
            kept.append(f"collision: {more} further references match it")
        return (*kept, f"ordinary: {self.ordinary}") if self.ordinary else tuple(kept)


def _named(match: ReferenceMatch) -> str:
    return f"{match.reference} ({match.name}, score {match.score:.1f})"


def look_around(view: Neighbours, candidate: Candidate) -> Surroundings:
    """Return what stands near; one search of the index and, where something does, a closer look: up to 50 ms."""
    sight = candidate.sight
    probe = view.probe(
        candidate.sha256, candidate.vector, candidate.pdq, pdq_quality=candidate.pdq_quality, sight=sight
    )
    (matches,) = view.search([probe])
    matched = [match for match in matches if match.matched]
    collisions = tuple(match for match in matched if match.set != candidate.set)
    generic, ordinary = _resemblance(probe.discount, sight)
    different = len({match.reference for match in collisions})
    if different >= GENERIC_MATCHES:
        generic = f"{different} different pictures of other sets match it"
    return Surroundings(
        duplicates=tuple(match for match in matched if match.set == candidate.set),
        collisions=collisions,
        generic=generic,
        ordinary=ordinary,
    )


def _resemblance(discount: float, sight: Sight | None) -> tuple[str, str]:
    """Return why the picture is generic, and the lesser warning, by its discount against the background bank."""
    if discount < GENERIC_DISCOUNT:
        return "", ""
    features = 0 if sight is None else len(sight.features)
    if features < FEW_FEATURES:
        return f"it resembles pictures of every kind, and has {features} local features to be told apart by", ""
    return "", "it resembles many pictures (a page of text?), so that only its hash and local features tell it apart"
