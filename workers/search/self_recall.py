"""Does the index still find what is in it?  A sample of the kept vectors, each searched for as an image would be.

An index can lose what it holds without a word: by codes that are not its vectors', by broken memory.  Every worker has
one of its own, so every worker asks its own.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Final

import numpy as np

from workers.search.live_segment import LiveSegment, Probe
from workers.search.view import IndexView

SAMPLE: Final = 200
"""Vectors that are searched for: 0.1 s of a worker, once a day."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SelfRecall:
    """Of ``tried`` kept vectors ``found`` were found by their embedding alone."""

    tried: int
    found: int

    @property
    def share(self) -> float:
        """0..1; 1 where there was nothing to try."""
        return self.found / self.tried if self.tried else 1.0


def self_recall(view: IndexView, *, sample: int = SAMPLE, seed: int = 0) -> SelfRecall:
    """Search for a sample of the view's living references; takes a millisecond each: call it in a thread."""
    living = [
        (live, np.flatnonzero(live.alive & (live.segment.references.vector_counts > 0))) for live in view.segments
    ]
    edges = np.cumsum([0, *(len(numbers) for _, numbers in living)])
    chosen = random.Random(seed).sample(range(edges[-1]), min(sample, int(edges[-1])))  # noqa: S311 - no secret
    found = 0
    for place in chosen:
        segment = int(np.searchsorted(edges, place, "right")) - 1
        live, numbers = living[segment]
        found += _finds_itself(live, int(numbers[place - edges[segment]]))
    return SelfRecall(tried=len(chosen), found=found)


def _finds_itself(live: LiveSegment, number: int) -> bool:
    vector = live.segment.ann.stored[live.segment.starts[number]].astype(np.float32)
    (rows,) = live.rows([Probe(sha256="", vector=vector)])
    return bool((live.segment.owner[rows] == number).any())


__all__ = ["SAMPLE", "SelfRecall", "self_recall"]
