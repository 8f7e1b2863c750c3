"""Small stand-ins for the parts of the inspection that need processes or models; each does one thing, no patching."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from shared.core.matching import SetFacts
from shared.types import DecodedImage, ReferenceMatch
from tests.factories import make_frame, make_image_info, make_match
from workers.classifying.labelling import Labellers
from workers.closer_look.evidence import Sight
from workers.search.live_segment import Probe

SIDE = 2
DIMENSION = 4


class StillClock:
    """Stands still until it is moved."""

    def __init__(self, monotonic: float = 100.0, wall: float = 1_800_000_000.0) -> None:
        self.now = monotonic
        self.today = wall

    def monotonic(self) -> float:
        return self.now

    def wall(self) -> float:
        return self.today


class KnownDecoder:
    """Decodes any bytes to the same picture, or raises what it was given."""

    def __init__(self, error: Exception | None = None, *, low_information: bool = False) -> None:
        self.error = error
        self.decoded: list[bytes] = []
        self.deadlines: list[float | None] = []
        self.planes: list[bool] = []
        self._low_information = low_information

    async def decode(
        self, data: bytes, *, deadline: float | None = None, views: bool = False, planes: bool = True
    ) -> DecodedImage:
        self.decoded.append(data)
        self.deadlines.append(deadline)
        self.planes.append(planes)
        if self.error is not None:
            raise self.error
        info = make_image_info(low_information=self._low_information)
        pixels = bytes(SIDE * SIDE * 3)
        others = (pixels,) * 3 if views else ()
        frame = make_frame(pixels=pixels, views=others, low_information=self._low_information)
        return DecodedImage(info=info, side=SIDE, frames=(frame,))


class KnownEncoder:
    """Gives every picture the same vector, or raises what it was given."""

    id = "encoder-1"

    def __init__(self, error: Exception | None = None) -> None:
        self.error = error
        self.batches: list[int] = []

    def embed(self, pixels: Sequence[bytes]) -> NDArray[np.float32]:
        self.batches.append(len(pixels))
        if self.error is not None:
            raise self.error
        return np.full((len(pixels), DIMENSION), 0.5, dtype=np.float32)


class KnownIndex:
    """Is its own view, and finds one match for everything."""

    revision = "rev-1"

    def __init__(self, *, size: int = 1, matched: bool = True) -> None:
        self.sets: Mapping[str, SetFacts] = {"designs": SetFacts(name="designs", threshold=85.0, size=size)}
        self.size = size
        self.asked: list[Probe] = []
        self._matched = matched

    def current(self) -> KnownIndex:
        return self

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
        return Probe(sha256=sha256, vector=None if low_information else vector, pdq=pdq, sight=sight)

    def search(self, probes: Sequence[Probe]) -> list[tuple[ReferenceMatch, ...]]:
        self.asked += probes
        return [(make_match(matched=self._matched),)] * len(probes)


def digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


class KnownClassifiers:
    """Classifiers that stand at a position of their log; none, where nothing else is said."""

    def __init__(self, position: int = 0, **revisions: int) -> None:
        self.move(position, **revisions)

    def move(self, position: int, **revisions: int) -> None:
        """Stand there from now on."""
        self._labellers = Labellers(position=position, revisions=revisions)

    def current(self) -> Labellers:
        """Return them."""
        return self._labellers


__all__ = ["DIMENSION", "KnownClassifiers", "KnownDecoder", "KnownEncoder", "KnownIndex", "StillClock", "digest"]
