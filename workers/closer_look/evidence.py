"""The closer look: does the inside of an image lie on a reference as one transform would put it, and is it the same?

Local features of the image are matched with those kept of a reference and verified by one transform; then the blocks
inside the match are compared through that transform.  What is found is evidence for an analyst and a measure for the
score; finding nothing, where both have features enough, is evidence against.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from threading import Lock
from typing import Final

import numpy as np
from numpy.typing import NDArray

from shared.types import Evidence
from workers.closer_look.block_sketch import Agreement, compare
from workers.closer_look.codebook import shipped_codebook
from workers.closer_look.exactness import exactness
from workers.closer_look.geometry import Geometry, verify
from workers.closer_look.local_features import LocalFeatures, extract, unpack
from workers.closer_look.relation import copy_probability

FEATURES_THAT_TELL: Final = 60
"""Of an image and of a reference: with as many on both sides, one that verifies with none is rare."""

SURELY_OTHER: Final = 0.2
SURELY_COPY: Final = 0.4
"""Probabilities of a copy below which a match is none at all, and above which it is one wholly."""
WHITE: Final = 225
MOSTLY: Final = 0.4
UNCOMPARED: Final = 0.25
"""Of a match whose inside nobody compared: the same layout, until it is shown to be a copy."""
UPRIGHT_SKEW: Final = 0.02
WHOLE_COVERAGE: Final = 0.95
SPARE_THREADS: Final = 2
"""For the features of an image that is looked at because there is time: 23 ms instead of 27.  Under load they would
only be taken from others."""
PLAINLY: Final = 25
"""Inliers from which on the mirror image is not tried as well."""


class PictureNeededError(Exception):
    """There is something to look at, and the picture is not at hand."""


class Sight:
    """An image as local features see it; they are extracted once, when first asked for.

    ``plane``: height x width grey; ``image_size``: the image's own width and height; ``until``: the reading of
    ``clock`` after which no further reference is looked at.  ``spare``: there is time for a look that no set insists on
    and nothing hints at.  ``features``: what was extracted before.
    """

    def __init__(
        self,
        plane: NDArray[np.uint8],
        image_size: tuple[int, int],
        clock: Callable[[], float],
        until: float = math.inf,
        *,
        spare: bool = True,
        features: LocalFeatures | None = None,
    ) -> None:
        self._plane = plane
        self._features = features
        self._one_looks = Lock()
        self.image_size: Final = image_size
        self._clock = clock
        self._until = until
        self.spare: Final = spare
        self.looked = False
        """Whether somebody asked for the features."""
        self.cut_short = False
        """Whether a look was due and was not made, or not to its end."""

    @property
    def plane(self) -> NDArray[np.uint8]:
        """The grey picture, height x width."""
        return self._plane

    @property
    def plane_size(self) -> tuple[int, int]:
        """The plane's width and height."""
        height, width = self.plane.shape
        return width, height

    def look(self) -> None:
        """Have the features at hand; call it in a thread."""
        _ = self.features

    @property
    def features(self) -> LocalFeatures:
        """Takes 20 to 30 ms of processor time; where another thread is at it, waits for that."""
        with self._one_looks:
            self.looked = True
            if self._features is None:
                self._features = extract(self.plane, threads=SPARE_THREADS if self.spare else 1)
            return self._features

    @cached_property
    def paper(self) -> bool:
        """Tell whether the picture is mostly white: a page, a form, a chart."""
        return bool((self.plane >= WHITE).mean() >= MOSTLY)

    def in_time(self) -> bool:
        """Tell whether there is time to look further; asked only where there is further to look."""
        if self._clock() < self._until:
            return True
        self.cut_short = True
        return False


class UnseenSight(Sight):
    """An image whose plane was not decoded: most are never looked at, and it would cost every one of them 1 ms."""

    def __init__(
        self, image_size: tuple[int, int], clock: Callable[[], float], until: float = math.inf, *, spare: bool = True
    ) -> None:
        super().__init__(np.empty((0, 0), np.uint8), image_size, clock, until, spare=spare)

    @property
    def plane(self) -> NDArray[np.uint8]:
        """Raises PictureNeededError."""
        raise PictureNeededError


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """What a closer look at one reference gave.

    ``geometry`` None: no transform; ``told``: there were features enough for that to mean something.  ``copy``: how
    probable it is that a verified match is a copy and not the same layout with other content, 0..1.  ``exact``: the log
    likelihood ratio that nothing in it was changed, None where it is not shown whole and upright.
    """

    geometry: Geometry | None = None
    agreement: Agreement | None = None
    copy: float = 0.0
    exact: float | None = None
    told: bool = False

    @property
    def strength(self) -> float:
        """How strongly the geometry holds, whatever is inside: log(1 + rarity-weighted inliers), 0 for nothing."""
        return 0.0 if self.geometry is None else math.log1p(self.geometry.weight)

    @property
    def sameness(self) -> float:
        """How far a verified match counts as a copy, 0..1: the probability of one, sharpened around one half."""
        return min(1.0, max(0.0, (self.copy - SURELY_OTHER) / (SURELY_COPY - SURELY_OTHER)))

    def evidence(self, image_size: tuple[int, int], plane_size: tuple[int, int]) -> Evidence | None:
        """Return what an analyst is shown; None where nothing was verified."""
        if self.geometry is None:
            return None
        left, top, right, bottom = self.geometry.image_region
        across, down = image_size[0] / plane_size[0], image_size[1] / plane_size[1]
        compared = self.agreement is not None and self.agreement.comparable > 0
        return Evidence(
            inliers=self.geometry.inliers,
            region=(round(left * across), round(top * down), round(right * across), round(bottom * down)),
            transform=self.geometry.words(),
            reference_region=self.geometry.reference_region,
            agreement=round(self.agreement.share, 3) if self.agreement is not None and compared else None,
        )


def examine(sight: Sight, local: bytes, sketch: bytes) -> Finding:
    """Look for the reference with these packed features and this sketch in the image, and compare what is inside."""
    found = place(sight, local)
    return compare_inside(sight, sketch, found) if found.geometry is not None else found


def place(sight: Sight, local: bytes) -> Finding:
    """Look for the reference with these packed features in the image, as it is and mirrored; 0.5 ms a look.

    The inside of what is found is not compared: no copy is claimed.
    """
    codebook = shipped_codebook()
    geometry = verify(sight.features, local, codebook, mirror=False)
    if geometry is None or geometry.inliers < PLAINLY:
        # What is nearly its own mirror image (a shirt, a logo) verifies both ways, but not equally well.
        other = verify(sight.features, local, codebook, mirror=True)
        geometry = max((geometry, other), key=lambda found: 0 if found is None else found.inliers)
    if geometry is None:
        # Of a page with next to nothing on it the encoder sees a white page, like any other.
        tells = sight.paper or min(len(sight.features), len(unpack(local, codebook))) >= FEATURES_THAT_TELL
        return Finding(told=tells)
    return Finding(geometry=geometry, copy=UNCOMPARED, told=True)


def compare_inside(sight: Sight, sketch: bytes, found: Finding) -> Finding:
    """Compare the blocks inside a match that was placed; 3 ms for a copy, 20 where another content is searched for."""
    geometry = found.geometry
    if geometry is None:
        return found
    agreement = compare(sight.plane, sketch, geometry.matrix) if sketch else None
    return replace(
        found,
        agreement=agreement,
        copy=copy_probability(geometry, agreement),
        exact=exactness(sight.plane, sketch) if sketch and _whole_and_upright(geometry) else None,
    )


def _whole_and_upright(geometry: Geometry) -> bool:
    """Tell whether the image shows all of the reference, as it is and nothing turned: 1 degree is an edit."""
    matrix = geometry.matrix
    skew = max(abs(matrix[0, 1]), abs(matrix[1, 0])) / max(abs(matrix[0, 0]), 1e-9)
    return not geometry.mirrored and matrix[0, 0] > 0 and skew < UPRIGHT_SKEW and geometry.coverage > WHOLE_COVERAGE
