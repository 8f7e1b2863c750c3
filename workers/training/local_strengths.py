"""How strongly local features of unrelated pictures agree: every specimen against all that play references.

Only what an inverted file votes for can verify at all, so the eight references with the most votes stand for all of
them; any other pair of a picture that was looked at counts as one where nothing verified.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from workers.closer_look.block_sketch import make_sketch
from workers.closer_look.codebook import shipped_codebook
from workers.closer_look.evidence import Sight, examine
from workers.closer_look.feature_index import FeatureIndex
from workers.closer_look.local_features import REFERENCE_FEATURES, extract, pack
from workers.training.specimens import Specimens

VOTED: Final = 8
EVERY: Final = 3
"""One picture in so many is looked at: 50 ms each."""

type Strengths = NDArray[np.float32]


@dataclass(frozen=True, slots=True, kw_only=True)
class Verified:
    """The verified pairs of N queries and ``references`` references: row, number, strength as copy and as layout."""

    references: int
    rows: NDArray[np.int64]
    numbers: NDArray[np.int64]
    local: Strengths
    layout: Strengths

    def strengths(self, rows: slice) -> tuple[Strengths, Strengths]:
        """A x R strengths as a copy and as the same layout, 0 where nothing verified, NaN where nobody looked."""
        inside = (self.rows >= rows.start) & (self.rows < rows.stop)
        places = (self.rows[inside] - rows.start, self.numbers[inside])
        local = np.zeros((rows.stop - rows.start, self.references), np.float32)
        local[np.arange(rows.start, rows.stop) % EVERY != 0] = np.nan
        layout = local.copy()
        local[places], layout[places] = self.local[inside], self.layout[inside]
        return local, layout


def verified_pairs(specimens: Specimens) -> tuple[Verified, Verified]:
    """What verifies of the clean pictures, and of the edited ones."""
    codebook = shipped_codebook()
    planes = [specimens.plane(int(row)) for row in specimens.rows]
    packed = [pack(extract(plane, limit=REFERENCE_FEATURES), codebook) for plane in planes]
    sketches = [make_sketch(plane) for plane in planes]
    index = FeatureIndex.build(packed, codebook)
    count = len(specimens.group)

    def look(first: int) -> Verified:
        found: list[tuple[int, int, float, float]] = []
        for row in range(0, count, EVERY):
            sight = Sight(specimens.plane(first + row), (1, 1), lambda: 0.0)
            for candidate in index.candidates(sight.features, VOTED):
                finding = examine(sight, packed[candidate.number], sketches[candidate.number])
                if finding.geometry is not None:
                    found.append((row, candidate.number, finding.strength * finding.sameness, finding.strength))
        columns = np.array(found, np.float64).reshape(-1, 4).T
        return Verified(
            references=len(packed),
            rows=columns[0].astype(np.int64),
            numbers=columns[1].astype(np.int64),
            local=columns[2].astype(np.float32),
            layout=columns[3].astype(np.float32),
        )

    return look(0), look(count)


__all__ = ["Verified", "verified_pairs"]
