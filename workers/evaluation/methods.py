"""Ways to find the copy, each behind the same two questions: enrol a picture, rank the references for a query.

Baselines and single measures compute what they need of a picture themselves, so that the time of a query is theirs.
What the product does as a whole is in `workers/evaluation/product.py`.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Final, Protocol

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from shared.core.matching import Calibration
from workers.decoding.pdq import pdq
from workers.decoding.pixels import canonical, squash
from workers.decoding.reference_views import reference_views
from workers.evaluation.figures import NONE
from workers.search.pdq_index import PdqIndex

CANDIDATES: Final = 10
"""References that a method names for one query."""
UPRIGHT: Final = 1

type Vectors = NDArray[np.float32]


class Embeds(Protocol):
    """What an encoder is here, such as `workers.encoders.encoder.Encoder`."""

    @property
    def side(self) -> int:
        """Of its square input, in pixels."""
        ...

    @property
    def dimension(self) -> int:
        """Of its vectors."""
        ...

    @property
    def calibration(self) -> Calibration:
        """Its background bank is what vectors are normalised by."""
        ...

    def embed(self, pixels: Sequence[bytes]) -> Vectors:
        """Return n x dimension, L2 = 1."""
        ...


class Sample:
    """One picture of an evaluation: its RGB pixels, and the file of it that the product is handed."""

    def __init__(self, image: Image.Image) -> None:
        self.image: Final = image

    @cached_property
    def data(self) -> bytes:
        """A bitmap: no pixel changes and next to no time passes in writing or reading it."""
        stream = io.BytesIO()
        self.image.save(stream, "BMP")
        return stream.getvalue()


@dataclass(frozen=True, slots=True, eq=False)
class Ranking:
    """The best references for one query, best first: numbers in order of enrolment, and scores, larger is closer."""

    numbers: NDArray[np.int64]
    scores: NDArray[np.float64]


class Method(Protocol):
    """One configuration of one way to find copies; `mode` says when it does its work."""

    name: str
    mode: str

    def enrol(self, sample: Sample) -> None:
        """Take in the next reference."""
        ...

    def ready(self) -> None:
        """Build what queries are answered from; called once, after the last reference."""
        ...

    def query(self, sample: Sample) -> Ranking:
        """Rank the references."""
        ...


def best_of(similarities: NDArray[np.floating], limit: int = CANDIDATES) -> Ranking:
    """The `limit` largest of one similarity a reference, equal ones in order of enrolment."""
    best = np.argsort(-similarities, kind="stable")[:limit]
    return Ranking(best.astype(np.int64), similarities[best].astype(np.float64))


def stacked(rankings: Sequence[Ranking]) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Q x CANDIDATES numbers (NONE where a method named fewer) and scores (-inf there).

    Raises ValueError where a reference stands twice in a ranking: it would be counted twice.
    """
    numbers = np.full((len(rankings), CANDIDATES), NONE, np.int64)
    scores = np.full((len(rankings), CANDIDATES), -np.inf)
    for row, ranking in enumerate(rankings):
        count = min(CANDIDATES, len(ranking.numbers))
        if len(set(ranking.numbers[:count].tolist())) < count:
            raise ValueError("a reference stands twice in a ranking")
        numbers[row, :count], scores[row, :count] = ranking.numbers[:count], ranking.scores[:count]
    return numbers, scores


class PHash:
    """64 bits: low frequencies of a 32 x 32 cosine transform against their median (the usual perceptual hash)."""

    name = "pHash"
    mode = "always"

    def __init__(self) -> None:
        self._hashes: list[np.uint64] = []
        steps = np.arange(32)
        self._basis: Final = np.cos(np.pi * np.outer(np.arange(8), 2 * steps + 1) / 64)
        self._index = np.empty(0, np.uint64)

    def enrol(self, sample: Sample) -> None:
        """Take in the next reference."""
        self._hashes.append(self._hash(sample.image))

    def ready(self) -> None:
        """Build the index."""
        self._index = np.array(self._hashes, np.uint64)

    def query(self, sample: Sample) -> Ranking:
        """Rank by minus the Hamming distance."""
        return best_of(-np.bitwise_count(self._index ^ self._hash(sample.image)).astype(np.float64))

    def _hash(self, image: Image.Image) -> np.uint64:
        pixels = np.asarray(image.convert("L").resize((32, 32), Image.Resampling.LANCZOS), np.float64)
        low = (self._basis @ pixels @ self._basis.T).ravel()
        return np.uint64(np.packbits(low > np.median(low)).view(np.uint64)[0])


class Pdq:
    """The product's PDQ hash of the picture as it is, or of its eight turns and mirrors."""

    mode = "always"

    def __init__(self, *, turns: bool) -> None:
        self.name = "PDQ x 8" if turns else "PDQ"
        self._turns = turns
        self._hashes: list[str] = []
        self._index = PdqIndex.build(())

    def enrol(self, sample: Sample) -> None:
        """Take in the next reference."""
        self._hashes.append(_pdq_variants(sample.image)[0])

    def ready(self) -> None:
        """Build the index."""
        self._index = PdqIndex.build(self._hashes)

    def query(self, sample: Sample) -> Ranking:
        """Rank by minus the Hamming distance."""
        upright, nearest = self._index.distances(_pdq_variants(sample.image), np.arange(len(self._hashes)))
        return best_of(-(nearest if self._turns else upright).astype(np.float64))


def _pdq_variants(image: Image.Image) -> tuple[str, ...]:
    return pdq(np.asarray(canonical(image, UPRIGHT).convert("L"))).variants


class Embedding:
    """Cosines of the encoder's vectors: one a reference, or one for each of its enrolled views.

    `normalised`: less the discount of pictures that lie near everything (shared/core/matching.py).
    """

    mode = "always"

    def __init__(self, name: str, encoder: Embeds, *, normalised: bool = False, views: bool = False) -> None:
        self.name = name
        self._encoder = encoder
        self._normalised = normalised
        self._views = views
        self._rows: list[Vectors] = []
        self._index: Vectors = np.empty((0, encoder.dimension), np.float32)

    def enrol(self, sample: Sample) -> None:
        """Take in the next reference."""
        views = reference_views(canonical(sample.image, UPRIGHT)) if self._views else [sample.image]
        self._rows.append(self._embed(views))

    def ready(self) -> None:
        """Build the index."""
        self._index = np.concatenate(self._rows)

    def query(self, sample: Sample) -> Ranking:
        """Rank by the best cosine of a reference's vectors."""
        (vector,) = self._embed([sample.image])
        # vecdot stays on one thread; a matrix product would wake BLAS's others.
        cosines = np.vecdot(self._index, vector).reshape(len(self._rows), -1).max(axis=1)
        return best_of(cosines - (self._encoder.calibration.discount(vector) if self._normalised else 0.0))

    def _embed(self, images: Sequence[Image.Image]) -> Vectors:
        side = self._encoder.side
        return self._encoder.embed([squash(image, side, UPRIGHT).tobytes() for image in images])
