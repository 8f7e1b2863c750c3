"""What the index keeps of an image that is to be protected, and what knows it."""

from __future__ import annotations

import time
from dataclasses import dataclass, field, replace
from typing import Protocol

from shared.core.matching import MIN_PDQ_QUALITY
from shared.types import DecodedFrame, ImageInfo, Reference
from workers.closer_look.block_sketch import make_sketch
from workers.closer_look.codebook import shipped_codebook
from workers.closer_look.evidence import Sight
from workers.closer_look.local_features import LocalFeatures, extract, pack
from workers.decoding.pixels import plane_of


@dataclass(frozen=True, slots=True, kw_only=True)
class Fingerprint:
    """What is known of an image that is to be protected; all but the plane is kept as in ``Reference``.

    ``vectors`` holds the whole picture's embedding, L2-normalised, as
    ``workers/encoders/embeddings.py`` keeps it; ``views`` the other
    views' signs, 1 bit a dimension.  ``plane`` is the grey picture, ``plane_size`` = (width, height), that a thumbnail
    is made from; empty where the image shows too little.  ``features``: the plane's, where somebody looked for them.
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
    features: LocalFeatures | None = field(default=None, compare=False, repr=False)

    def as_reference(self, reference: str, *, set_name: str, name: str = "") -> Reference:
        """Return what is kept of the image as this reference of a set."""
        kept = Reference(
            set=set_name,
            reference=reference,
            name=name or reference,
            sha256=self.sha256,
            pdq="",
            pdq_quality=self.pdq_quality,
            encoder=self.encoder,
            vectors=(),
        )
        if self.info.low_information:
            return kept  # by its bytes only: any measure of it would fit every other empty picture
        usable = self.pdq_quality >= MIN_PDQ_QUALITY and self.pdq
        return replace(
            kept,
            pdq=self.pdq[0] if usable else "",
            vectors=self.vectors,
            views=self.views,
            local=self.local,
            sketch=self.sketch,
        )

    def sight(self) -> Sight | None:
        """Return the image as it is looked for among others; None where it shows too little."""
        if not self.plane:
            return None
        plane = plane_of(self)
        return Sight(plane, (self.info.width, self.info.height), time.monotonic, features=self.features)


class Fingerprinter(Protocol):
    """Looks at an image the way the worker does."""

    async def fingerprint(self, data: bytes) -> Fingerprint:
        """Return an image's fingerprint; raises DecodeError."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """A reference's packed local features and its sketch, empty where it shows too little, and all its features."""

    local: bytes = b""
    sketch: bytes = b""
    features: LocalFeatures | None = None


def look(frame: DecodedFrame) -> Look:
    """Return what local features and block sketches say of a picture; takes 25 ms, so it is called in a thread."""
    if not frame.plane:
        return Look()
    plane = plane_of(frame)
    # As many as of an image that is searched for: what stands near the reference is looked for by them.
    features = extract(plane)
    return Look(local=pack(features, shipped_codebook()), sketch=make_sketch(plane), features=features)


__all__ = ["Fingerprint", "Fingerprinter", "Look", "look"]
