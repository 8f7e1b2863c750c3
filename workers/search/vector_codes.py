"""Which of many vectors are near a query, by 512 bits of each: every one is looked at, none is out of reach.

A bit says on which side of a plane through the origin a vector lies.  Of random planes two vectors lie on different
sides of as large a share as the angle between them is of pi (Charikar, "Similarity estimation techniques from rounding
algorithms", STOC 2002), whatever the vectors are; planes at right angles to each other spread less around it (Ji et
al., "Super-Bit Locality-Sensitive Hashing", NIPS 2012).  So how many vectors that are near enough are passed over is
known beforehand, however many there are and however they lie: one in 370 of those just at the floor (``SURE`` standard
deviations, twice), of nearer ones next to none.

A query is compared with one to three words of all codes, at 1.2 ns a word, then with the whole codes of what is left;
the caller compares the vectors themselves of what remains.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from shared.errors import IntegrityError
from workers.encoders.embeddings import Stored, Vectors
from workers.references.byte_column import Bytes
from workers.search.hamming import CHUNK_ROWS, Rows, Words, within

BITS: Final = 512
CODE_BYTES: Final = BITS // 8
WORD_BITS: Final = 64
SCANNED: Final = 3
"""Words of a code that are laid out to be looked at for all vectors."""
SURE: Final = 3.0
COMPARED: Final = 8192
"""Vectors that are left to compare at most, the nearest by their codes: 8 ms.

An image near more than that (a page of text, of which a million references hold thousands) is compared with those.
"""
BUILD_CHUNK: Final = 4096
"""Vectors between two looks at the stop sign: some 50 ms, so that a worker can leave in time."""
SEED: Final = 2002
WORD_NS: Final = 1.2
LOOK_NS: Final = 30.0
"""What a word of one code costs, and the look at a whole one."""
USUAL_COSINE: Final = 0.2
"""Of unrelated images: between one and two of three are less alike."""

Limits = npt.NDArray[np.int16]


class BuildStoppedError(Exception):
    """The builder was told to stop before it was done."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CodeImage:
    """Codes as they are stored: the planes' directions (512 x dimension, float32), and the codes one after another."""

    planes: Bytes
    codes: Bytes


@dataclass(frozen=True, slots=True)
class VectorCodes:
    """``planes`` (512 x dimension), the whole ``codes`` (n x 8 words), and the first words of them as columns."""

    planes: Vectors
    codes: Words
    columns: Words

    @classmethod
    def build(cls, stored: Stored, stopped: Callable[[], bool] = lambda: False) -> VectorCodes:
        """Make the codes of kept vectors; raises BuildStoppedError."""
        planes = random_planes(stored.shape[1])
        across = np.ascontiguousarray(planes.T)
        codes = np.empty((len(stored), CODE_BYTES), np.uint8)
        for first in range(0, len(stored), BUILD_CHUNK):
            if stopped():
                raise BuildStoppedError
            rows = slice(first, first + BUILD_CHUNK)
            codes[rows] = np.packbits(stored[rows].astype(np.float32) @ across > 0, axis=1)
        return cls._of(planes, codes)

    @classmethod
    def read(cls, image: CodeImage, count: int, dimension: int) -> VectorCodes:
        """Restore what ``image`` gave for ``count`` vectors; raises IntegrityError for another's."""
        if len(image.planes) != 4 * BITS * dimension or len(image.codes) != count * CODE_BYTES:
            raise IntegrityError("the codes in the snapshot are not those of its vectors")
        planes = image.planes.view("<f4").reshape(BITS, dimension)
        if not np.isfinite(planes).all():
            raise IntegrityError("the planes of the codes in the snapshot are not finite")
        return cls._of(planes, image.codes.reshape(count, CODE_BYTES))

    @classmethod
    def _of(cls, planes: Vectors, codes: Bytes) -> VectorCodes:
        words = codes.view(np.uint64)
        columns = np.empty((SCANNED, len(words)), np.uint64)
        for first in range(0, len(words), CHUNK_ROWS):
            columns[:, first : first + CHUNK_ROWS] = words[first : first + CHUNK_ROWS, :SCANNED].T
        return cls(planes, words, columns)

    def chosen(self, rows: Rows) -> VectorCodes:
        """Return the codes of some rows alone."""
        return self._of(self.planes, self.codes[rows].view(np.uint8).reshape(len(rows), CODE_BYTES))

    def image(self) -> CodeImage:
        """Return the planes and the codes."""
        planes = np.ascontiguousarray(self.planes, "<f4").view(np.uint8).reshape(-1)
        return CodeImage(planes=planes, codes=self.codes.view(np.uint8).reshape(-1))

    def near(self, query: Vectors, floors: Vectors, group_of: npt.NDArray[np.int32]) -> Rows:
        """Return the rows, ascending, that may reach their group's floor (a cosine; inf: none does): all but a few."""
        code = np.packbits(np.vecdot(self.planes, query) > 0).view(np.uint64)
        used = scanned_words(float(floors.min()))
        first = np.clip(farthest(floors, used * WORD_BITS) + 1, 0, 255).astype(np.uint8)
        same = bool((first == first[0]).all())
        rows = within(self.columns[:used], code[:used], int(first[0]) if same else first[group_of])
        distances = np.bitwise_count(self.codes[rows] ^ code).sum(axis=1, dtype=np.int16)
        close = distances <= farthest(floors, BITS)[group_of[rows]]
        rows, distances = rows[close], distances[close]
        if len(rows) > COMPARED:
            rows = np.sort(rows[np.argpartition(distances, COMPARED)[:COMPARED]])
        return rows


def farthest(floors: Vectors, bits: int) -> Limits:
    """Return in how many of so many bits a vector at each floor differs at most, but for `SURE`; -1 for none."""
    share = np.arccos(np.clip(floors, -1.0, 1.0)) / math.pi
    limits = np.ceil(bits * share + SURE * np.sqrt(bits * share * (1.0 - share)))
    return np.where(floors > 1.0, -1, np.minimum(limits, bits)).astype(np.int16)


def scanned_words(floor: float) -> int:
    """Return how many words of a code are best looked at for all vectors, where the lowest floor is this."""
    return min(range(1, SCANNED + 1), key=lambda words: words * WORD_NS + LOOK_NS * _let_through(floor, words))


def _let_through(floor: float, words: int) -> float:
    """Return the share of unrelated vectors that so many words do not rule out, by the normal distribution."""
    bits = words * WORD_BITS
    share = math.acos(USUAL_COSINE) / math.pi
    limit = float(farthest(np.array([floor], np.float32), bits)[0])
    deviation = (limit + 0.5 - bits * share) / math.sqrt(bits * share * (1.0 - share))
    return 0.5 * (1.0 + math.erf(deviation / math.sqrt(2.0)))


def random_planes(dimension: int) -> Vectors:
    """Return 512 directions, as many as there are dimensions at right angles to each other, those of the next again."""
    rng = np.random.default_rng(SEED)
    bases = [np.linalg.qr(rng.standard_normal((dimension, dimension)))[0] for _ in range(-(-BITS // dimension))]
    return np.ascontiguousarray(np.concatenate(bases)[:BITS], dtype=np.float32)


__all__ = ["BITS", "COMPARED", "BuildStoppedError", "CodeImage", "VectorCodes"]
