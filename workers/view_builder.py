"""Turns the state of the index into views: a base segment that is built rarely, a delta for what came since."""

from __future__ import annotations

import functools
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np

from shared.core.matching import Calibration, SetFacts
from shared.errors import IntegrityError
from shared.types import Reference, SetCreated
from workers.ann_index import EXACT_LIMIT, AnnIndex, Vectors
from workers.index_segment import Segment, check_reference
from workers.index_snapshot import Snapshot
from workers.index_state import IndexState, Key
from workers.index_view import IndexView
from workers.live_segment import LiveSegment, make_reach

DELTA_LIMIT: Final = 500
"""References.  A delta of this size is built anew in 0.6 ms, in a thread, at every change; ten vectors each: 5 ms."""
WORN_SHARE: Final = 0.1
"""Tombstones, or a delta past DELTA_LIMIT, of this share of the base: it is built anew.

Deleted nodes cost an HNSW graph its recall (https://github.com/qdrant/qdrant/issues/10547).
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Inputs:
    """All that a view is made of, copied: a thread can build from it while the state moves on."""

    revision: str
    base: Segment
    gone: tuple[int, ...]
    delta: tuple[Reference, ...]
    sets: tuple[SetCreated, ...]


class ViewBuilder:
    """Keeps the base and the keys that changed since; belongs to one event loop."""

    def __init__(
        self,
        encoder: str,
        calibration: Calibration,
        refused: Callable[[IntegrityError], None],
        *,
        exact_limit: int = EXACT_LIMIT,
    ) -> None:
        self._encoder = encoder
        self._calibration = calibration
        self._refused = refused
        self._exact_limit = exact_limit
        self._reach = functools.lru_cache(maxsize=4096)(make_reach(calibration))
        self._base = Segment.build(())
        self._dirty: set[Key] = set()
        self._since_begin: set[Key] | None = None
        self._dimension: int | None = None
        self.unsearchable: set[Key] = set()
        """References of the state that this encoder cannot be asked about."""

    def note(self, state: IndexState, keys: Iterable[Key]) -> None:
        """Take in that references changed."""
        for key in keys:
            self._dirty.add(key)
            if self._since_begin is not None:
                self._since_begin.add(key)
            self.unsearchable.discard(key)
            reference = state.get(key)
            if reference is not None and not self._fits(reference):
                self.unsearchable.add(key)

    def _fits(self, reference: Reference) -> bool:
        try:
            self._dimension = check_reference(reference, encoder=self._encoder, dimension=self._dimension)
        except IntegrityError as error:
            self._refused(error)
            return False
        return True

    def searchable(self, state: IndexState) -> tuple[Reference, ...]:
        """Return every reference that can be searched, set by set."""
        if not self.unsearchable:
            return tuple(state.references())
        return tuple(r for r in state.references() if (r.set, r.reference) not in self.unsearchable)

    def worn(self) -> bool:
        """Tell whether the base should be built anew."""
        size = len(self._base.references)
        gone = sum(key in self._base.number_of for key in self._dirty)
        return (
            gone > WORN_SHARE * size
            or len(self._dirty) > max(DELTA_LIMIT, WORN_SHARE * size)
            or (len(self._base.owner) > self._exact_limit and self._base.ann.graph is None)
        )

    def restore(self, snapshot: Snapshot | None, state: IndexState, changed: set[Key]) -> None:
        """Start from ``state``, whose ``changed`` keys are newer than ``snapshot``; safe in a thread.

        A graph that is missing is left for later: exact search serves at once.  Raises IntegrityError for a graph
        that is not the snapshot's.
        """
        keys = {(reference.set, reference.reference) for reference in state.references()}
        self.note(state, keys - changed)
        self.begin()
        self.note(state, changed)
        if snapshot is not None and snapshot.graph:
            base = Segment.build(snapshot.references, lambda vectors: AnnIndex.from_graph(vectors, snapshot.graph))
            self.adopt(base)
        else:
            self._since_begin = set()
            self.adopt(Segment.build(self.searchable(state), AnnIndex))

    def build_base(self, references: tuple[Reference, ...], stopped: Callable[[], bool]) -> Segment:
        """Build a base; safe in a thread.  Raises BuildStoppedError."""

        def make_ann(vectors: Vectors) -> AnnIndex:
            return AnnIndex.build(vectors, exact_limit=self._exact_limit, stopped=stopped)

        return Segment.build(references, make_ann)

    def begin(self) -> None:
        """Start to remember what changes while a base is being built."""
        self._since_begin = set()

    def adopt(self, base: Segment) -> None:
        """Put a base in the old one's place that was built from the state at ``begin``."""
        self._base = base
        self._dirty = self._since_begin or set()
        self._since_begin = None

    def inputs(self, state: IndexState, position: int) -> Inputs:
        """Return what the next view is made of."""
        changed = [(key, state.get(key)) for key in sorted(self._dirty)]
        return Inputs(
            revision=f"{self._encoder}:{position}",
            base=self._base,
            gone=tuple(self._base.number_of[key] for key in self._dirty if key in self._base.number_of),
            delta=tuple(r for key, r in changed if r is not None and key not in self.unsearchable),
            sets=state.created(),
        )

    def build(self, inputs: Inputs) -> IndexView:
        """Build a view; safe in a thread."""
        delta = Segment.build(inputs.delta, AnnIndex)
        parts: tuple[tuple[Segment, tuple[int, ...]], ...] = ((inputs.base, inputs.gone), (delta, ()))
        sets = _facts(inputs.sets, parts)
        return IndexView(
            revision=inputs.revision,
            sets=sets,
            segments=tuple(LiveSegment.build(segment, gone, sets, self._reach) for segment, gone in parts),
            calibration=self._calibration,
        )


def _facts(sets: tuple[SetCreated, ...], parts: tuple[tuple[Segment, tuple[int, ...]], ...]) -> Mapping[str, SetFacts]:
    sizes: Counter[str] = Counter()
    for segment, gone in parts:
        alive = np.ones(len(segment.references), dtype=np.bool_)
        alive[list(gone)] = False
        counts = np.bincount(segment.set_of[alive], minlength=len(segment.set_names)).tolist()
        sizes.update(dict(zip(segment.set_names, counts, strict=True)))
    return {
        s.name: SetFacts(
            name=s.name,
            threshold=s.threshold,
            relation=s.relation,
            size=sizes[s.name],
            thorough=s.thorough,
            prior=s.prior,
        )
        for s in sets
    }
