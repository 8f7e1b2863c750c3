"""Turns the state of the index into views: a base segment that is built rarely, further ones for what came since.

What came since the last segment was made is kept as it is and indexed anew for every view: `FRESH_LIMIT` references at
most.  Above that it becomes a segment, together with the segments before it that are not more than twice its size, as
in a log-structured merge tree (O'Neil et al., Acta Informatica 33, 1996): a reference is indexed O(log n) times until
the base takes it in, however fast references arrive.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np
import numpy.typing as npt

from shared.core.matching import Calibration, SetFacts
from shared.errors import IntegrityError
from shared.types import Reference, SetCreated
from workers.ann_index import EXACT_LIMIT, AnnIndex
from workers.index_segment import Segment, check_reference
from workers.index_snapshot import Snapshot
from workers.index_state import IndexState, Key
from workers.index_view import IndexView
from workers.live_segment import LiveSegment

FRESH_LIMIT: Final = 64
"""References that are indexed for each view: 0.3 ms, 0.5 more for each that has local features; in a thread."""
DELTA_LIMIT: Final = 500
WORN_SHARE: Final = 0.1
"""Tombstones, or more than DELTA_LIMIT references outside the base, of this share of it: the base is built anew.

Deleted nodes cost an HNSW graph its recall (https://github.com/qdrant/qdrant/issues/10547).
"""
MERGE_RATIO: Final = 2


@dataclass(slots=True)
class _Part:
    """A segment and what of it is alive; the array is replaced, never written, once a view may have it."""

    segment: Segment
    alive: npt.NDArray[np.bool_]
    dead: Counter[int] = field(default_factory=Counter)
    """How many references are gone of each set, by its position."""
    shared: bool = False

    @classmethod
    def of(cls, segment: Segment) -> _Part:
        return cls(segment, np.ones(len(segment.references), dtype=np.bool_))

    @property
    def gone(self) -> int:
        return self.dead.total()

    @property
    def size(self) -> int:
        return len(self.alive) - self.gone

    def kill(self, key: Key) -> None:
        number = self.segment.number(key)
        if number is None or not self.alive[number]:
            return
        if self.shared:
            self.alive, self.shared = self.alive.copy(), False
        self.alive[number] = False
        self.dead[int(self.segment.set_of[number])] += 1

    def references(self) -> list[Reference]:
        return [self.segment.references[number] for number in np.flatnonzero(self.alive).tolist()]


@dataclass(slots=True, kw_only=True)
class Job:
    """A segment to build of ``references`` in place of the segments from ``first`` on; ``since``: what changed."""

    first: int
    references: tuple[Reference, ...]
    since: dict[Key, Reference | None] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Inputs:
    """All that a view is made of, never changed: a thread can build from it while the state moves on."""

    revision: str
    parts: tuple[tuple[Segment, npt.NDArray[np.bool_]], ...]
    fresh: tuple[Reference, ...]
    sets: tuple[SetFacts, ...]


class ViewBuilder:
    """Keeps the segments and what came since; belongs to one event loop."""

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
        self._parts = [_Part.of(Segment.build(()))]
        self._fresh: dict[Key, Reference] = {}
        self._job: Job | None = None
        self._dimension: int | None = None
        self.unsearchable: set[Key] = set()
        """References of the state that this encoder cannot be asked about."""

    def note(self, state: IndexState, keys: Iterable[Key]) -> None:
        """Take in that references changed."""
        for key in keys:
            reference = self._admitted(state, key)
            self._put(key, reference)
            if self._job is not None:
                self._job.since[key] = reference

    def _put(self, key: Key, reference: Reference | None) -> None:
        for part in self._parts:
            part.kill(key)
        self._fresh.pop(key, None)
        if reference is not None:
            self._fresh[key] = reference

    def _admitted(self, state: IndexState, key: Key) -> Reference | None:
        """Return the reference of the state where it can be searched."""
        self.unsearchable.discard(key)
        reference = state.get(key)
        if reference is None or self._fits(reference):
            return reference
        self.unsearchable.add(key)
        return None

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

    @property
    def tombstones(self) -> int:
        """How many references are still in segments, but gone."""
        return sum(part.gone for part in self._parts)

    def worn(self) -> bool:
        """Tell whether the base should be built anew."""
        base, *others = self._parts
        size = len(base.alive)
        outside = len(self._fresh) + sum(part.size for part in others)
        return (
            self.tombstones > WORN_SHARE * size
            or outside > max(DELTA_LIMIT, WORN_SHARE * size)
            or (len(base.segment.owner) > self._exact_limit and base.segment.ann.graph is None)
        )

    def crowded(self) -> bool:
        """Tell whether what came since should become a segment."""
        return len(self._fresh) > FRESH_LIMIT

    def restore(self, snapshot: Snapshot | None, state: IndexState, changed: set[Key]) -> None:
        """Start from ``state``, whose ``changed`` keys are newer than ``snapshot``; safe in a thread.

        A graph that is missing is left for later: exact search serves at once.  Raises IntegrityError for a graph
        that is not the snapshot's.
        """
        for reference in state.references():
            self._admitted(state, (reference.set, reference.reference))
        if snapshot is not None and snapshot.graph:
            graph = snapshot.graph
            base = Segment.build(snapshot.references, lambda stored, blocks: AnnIndex.from_graph(stored, blocks, graph))
            self._parts = [_Part.of(base)]
            self.note(state, sorted(changed))
        else:
            self._parts = [_Part.of(Segment.build(self.searchable(state), lambda stored, _: AnnIndex.exact(stored)))]

    def build_segment(self, references: Sequence[Reference], stopped: Callable[[], bool]) -> Segment:
        """Build a segment; safe in a thread.  Raises BuildStoppedError."""

        def make_ann(stored: Sequence[bytes], blocks: Sequence[tuple[int, int]]) -> AnnIndex:
            return AnnIndex.build(stored, blocks, exact_limit=self._exact_limit, stopped=stopped)

        return Segment.build(references, make_ann)

    def begin(self, state: IndexState) -> Job:
        """Start to replace all segments by one, and to remember what changes meanwhile; one job at a time."""
        self._job = Job(first=0, references=self.searchable(state))
        return self._job

    def begin_merge(self) -> Job:
        """Start to make a segment of what came since, with the segments before it that are not much larger."""
        first, size = len(self._parts), len(self._fresh)
        while first > 1 and self._parts[first - 1].size < MERGE_RATIO * size:
            first -= 1
            size += self._parts[first].size
        merged = [reference for part in self._parts[first:] for reference in part.references()]
        self._job = Job(first=first, references=(*merged, *self._fresh.values()))
        return self._job

    def adopt(self, job: Job, segment: Segment) -> None:
        """Put the segment that was built for ``job`` in its place."""
        self._parts[job.first :] = [_Part.of(segment)]
        self._fresh = {}
        self._job = None
        for key, reference in job.since.items():
            self._put(key, reference)

    def abandon(self) -> None:
        """Forget the job that was begun."""
        self._job = None

    def inputs(self, state: IndexState, position: int) -> Inputs:
        """Return what the next view is made of."""
        for part in self._parts:
            part.shared = True
        sizes: Counter[str] = Counter(key[0] for key in self._fresh)
        for part in self._parts:
            sizes.update(_sizes(part))
        return Inputs(
            revision=f"{self._encoder}:{position}",
            parts=tuple((part.segment, part.alive) for part in self._parts),
            fresh=tuple(self._fresh.values()),
            sets=tuple(_facts(created, sizes[created.name]) for created in state.created()),
        )

    def build(self, inputs: Inputs) -> IndexView:
        """Build a view; safe in a thread."""
        fresh = Segment.build(inputs.fresh, lambda stored, _: AnnIndex.exact(stored))
        parts = (*inputs.parts, (fresh, np.ones(len(inputs.fresh), dtype=np.bool_)))
        sets = {facts.name: facts for facts in inputs.sets}
        return IndexView(
            revision=inputs.revision,
            sets=sets,
            segments=tuple(LiveSegment.build(segment, alive, sets, self._calibration) for segment, alive in parts),
            calibration=self._calibration,
        )


def _sizes(part: _Part) -> Mapping[str, int]:
    names = part.segment.set_names
    return {
        name: size - part.dead[place]
        for place, (name, size) in enumerate(zip(names, part.segment.sizes.tolist(), strict=True))
    }


def _facts(created: SetCreated, size: int) -> SetFacts:
    return SetFacts(
        name=created.name,
        threshold=created.threshold,
        relation=created.relation,
        size=size,
        thorough=created.thorough,
        prior=created.prior,
    )
