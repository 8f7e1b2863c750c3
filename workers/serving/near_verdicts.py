"""Verdicts that may be told of a picture that looks the same by its PDQ hash, where all policies that ask allow it.

A picture that is saved or scaled again is 4 bits of 256 away or less; so is one that differs in what PDQ does not see,
such as a line of small print.  That is why a policy has to allow it, why the answer says of whom it was said before,
and why nobody keeps it as the picture's own.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Final, Protocol

import numpy as np

from shared.core.matching import MIN_PDQ_QUALITY
from shared.types import DecodedImage, NearVerdict, ReferenceMatch, Verdict
from workers.search.hamming import Words, hamming
from workers.search.live_segment import Probe

CAPACITY: Final = 4096
"""Verdicts, 3 KB each; the oldest goes first."""
MAX_DISTANCE: Final = 4


class View(Protocol):
    """The index at one revision, such as an IndexView."""

    @property
    def revision(self) -> str:
        """Names the state that is searched."""
        ...

    def probe(self, sha256: str, vector: None) -> Probe:
        """Return an image as it is searched for by its bytes alone."""
        ...

    def search(self, probes: Sequence[Probe]) -> list[tuple[ReferenceMatch, ...]]:
        """Return what each matches."""
        ...


class NearVerdicts:
    """The last ``capacity`` whole verdicts on still pictures, at one revision of the index."""

    def __init__(self, *, capacity: int = CAPACITY) -> None:
        self._capacity = capacity
        self._words: Words = np.zeros((4, capacity), np.uint64)
        self._verdicts: list[Verdict] = []
        self._oldest = 0
        self._revision = ""

    def answer(self, image: DecodedImage, sha256: str, view: View) -> Verdict | None:
        """Return what was said of a picture like it at this revision; None where its own bytes are protected."""
        if not self._verdicts or view.revision != self._revision or not _is_comparable(image):
            return None
        distances = hamming(self._words[:, : len(self._verdicts)], _words(image))
        place = int(distances.argmin())
        if distances[place] > MAX_DISTANCE or any(view.search([view.probe(sha256, None)])):
            return None
        known = self._verdicts[place]
        return replace(
            known,
            sha256=sha256,
            image=image.info,
            pdq=image.frames[0].pdq[0],
            pdq_quality=image.frames[0].pdq_quality,
            near=NearVerdict(sha256=known.sha256, distance=int(distances[place])),
        )

    def remember(self, image: DecodedImage, verdict: Verdict, view: View) -> None:
        """Keep the verdict of an inspection at this revision, without its labels."""
        if verdict.degraded or verdict.hurried or not _is_comparable(image) or verdict.index_revision != view.revision:
            return
        if view.revision != self._revision:
            self._revision, self._oldest = view.revision, 0
            self._verdicts.clear()
        kept = replace(verdict, labels=(), classifier_revision=0, timings_ms={})
        place = self._oldest
        if len(self._verdicts) < self._capacity:
            place = len(self._verdicts)
            self._verdicts.append(kept)
        else:
            self._verdicts[place] = kept
            self._oldest = (place + 1) % self._capacity
        self._words[:, place] = _words(image)


def _is_comparable(image: DecodedImage) -> bool:
    frame = image.frames[0]
    return image.info.frames == 1 and not frame.low_information and frame.pdq_quality >= MIN_PDQ_QUALITY


def _words(image: DecodedImage) -> Words:
    return np.frombuffer(bytes.fromhex(image.frames[0].pdq[0]), np.uint64)
