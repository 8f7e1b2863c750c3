"""Turns the state of the index into views: a base segment that is built rarely, further ones for what came since.

What came since the last segment was made is kept as it is and indexed anew for every view: `FRESH_LIMIT` references at
most.  Above that it becomes a segment, together with the segments before it that are not more than twice its size, as
in a log-structured merge tree (O'Neil et al., Acta Informatica 33, 1996): a reference is indexed O(log n) times until
the base takes it in, however fast references arrive.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Final

import numpy as np
import numpy.typing as npt

from shared.core.matching import Calibration, SetFacts
from shared.errors import IntegrityError
from shared.types import Reference, SetCreated
from workers.encoders.embeddings import Stored
from workers.index.snapshot import Snapshot
from workers.index.state import Change, IndexState, Key
from workers.references.reference_table import ReferenceTable
from workers.search.ann_index import EXACT_LIMIT, AnnIndex
from workers.search.live_segment import LiveSegment
from workers.search.segment import Segment, check_reference
from workers.search.view import IndexView

FRESH_LIMIT: Final = 64
"""References that are indexed for each view: 3 ms, and 0.5 once for each that has local features; in a thread."""
DELTA_LIMIT: Final = 500
WORN_SHARE: Final = 0.1
"""Tombstones, or more than DELTA_LIMIT references outside the base, of this share of it: the base is built anew.

They cost time and memory; no recall, as they do where a graph leads over them
(https://github.com/qdrant/qdrant/issues/10547).
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
        return cls.alive_in(segment, np.ones(len(segment.references), dtype=np.bool_))

    @classmethod
    def alive_in(cls, segment: Segment, alive: npt.NDArray[np.bool_]) -> _Part:
        """Return the part of a segment some of which is gone."""
        dead = np.bincount(segment.set_of[~alive], minlength=len(segment.sizes)).tolist()
        return cls(segment, alive, Counter({place: gone for place, gone in enumerate(dead) if gone}))

    @property
    def gone(self) -> int:
        return self.dead.total()

    @property
    def size(self) -> int:
        return len(self.alive) - self.gone

    def kill(self, key: Key) -> None:
        number = self.segment.references.number(*key)
        if number is None or not self.alive[number]:
            return
        self._unshare()
        self.alive[number] = False
        self.dead[int(self.segment.set_of[number])] += 1

    def kill_set(self, name: str) -> None:
        rows = self.segment.references.sets.get(name)
        if rows is not None:
            self._unshare()
            self.alive[rows.start : rows.stop] = False
            self.dead[self.segment.set_names.index(name)] = len(rows)

    def _unshare(self) -> None:
        if self.shared:
            self.alive, self.shared = self.alive.copy(), False


@dataclass(slots=True, kw_only=True)
class Job:
    """A segment to build in place of those from ``first`` on, of what was alive in them and what came ``fresh``.

    ``base`` is the index of the base before, where this one replaces it: its graph serves on.  ``since``: the
    references that changed meanwhile, ``gone``: the sets that were deleted before those changed.
    """

    first: int
    pieces: tuple[tuple[ReferenceTable, npt.NDArray[np.bool_]], ...]
    fresh: tuple[Reference, ...]
    base: AnnIndex | None
    since: dict[Key, Reference | None] = field(default_factory=dict)
    gone: set[str] = field(default_factory=set)

    def references(self) -> ReferenceTable:
        """Return all of them; copies what is alive, so call it in a thread."""
        fresh = ReferenceTable.of(self.fresh)
        return ReferenceTable.gathered([*self.pieces, (fresh, np.ones(len(fresh), dtype=np.bool_))])


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

    def note(self, state: IndexState, change: Change) -> None:
        """Take in what an event changed."""
        if change.gone:
            self._drop(change.gone)
            if self._job is not None:
                self._job.since = {key: now for key, now in self._job.since.items() if key[0] != change.gone}
                self._job.gone.add(change.gone)
        for key in change.keys:
            reference = self._admitted(state, key)
            self._put(key, reference)
            if self._job is not None:
                self._job.since[key] = reference

    def _drop(self, name: str) -> None:
        for part in self._parts:
            part.kill_set(name)
        self._fresh = {key: reference for key, reference in self._fresh.items() if key[0] != name}
        self.unsearchable = {key for key in self.unsearchable if key[0] != name}

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

    def base_ann(self) -> AnnIndex:
        """Return the index of the base's vectors."""
        return self._parts[0].segment.ann

    def put_ann(self, before: AnnIndex, ann: AnnIndex) -> bool:
        """Have the base searched by another index of the same vectors; False where the base is no longer that one."""
        base = self._parts[0]
        if base.segment.ann is not before:
            return False
        base.segment = replace(base.segment, ann=ann)
        return True

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
            or (len(base.segment.owner) > self._exact_limit and base.segment.ann.codes is None)
        )

    def crowded(self) -> bool:
        """Tell whether what came since should become a segment."""
        return len(self._fresh) > FRESH_LIMIT

    def restore(self, state: IndexState, snapshot: Snapshot | None = None) -> None:
        """Start from ``state``, which stands on the references of ``snapshot``, if there is one; safe in a thread.

        What a snapshot holds was checked by who wrote it.  Codes that are missing are left for later: exact search
        serves at once.  Raises IntegrityError for codes that are not the snapshot's.
        """
        if snapshot is None or not _of_one_kind(state.table, self._encoder):
            self._parts = [_Part.of(Segment.build(self._searchable(state), AnnIndex.exact))]
            return
        make_ann = AnnIndex.exact if snapshot.codes is None else partial(AnnIndex.coded, image=snapshot.codes)
        base = Segment.build(state.table, make_ann)
        self._parts = [_Part.alive_in(base, state.alive())]
        self._dimension = base.ann.stored.shape[1] or None
        since = [(key, reference) for key in state.since() if (reference := self._admitted(state, key)) is not None]
        if len(since) <= FRESH_LIMIT:
            self._fresh = dict(since)
        else:
            self._parts.append(_Part.of(Segment.build((reference for _, reference in since), AnnIndex.exact)))

    def _searchable(self, state: IndexState) -> Iterator[Reference]:
        for reference in state.references():
            if self._fits(reference):
                yield reference
            else:
                self.unsearchable.add((reference.set, reference.reference))

    def build_segment(self, job: Job, stopped: Callable[[], bool]) -> Segment:
        """Build the job's segment; safe in a thread.  Raises BuildStoppedError."""

        def make_ann(stored: Stored) -> AnnIndex:
            ann = AnnIndex.build(stored, exact_limit=self._exact_limit, stopped=stopped)
            before = job.base.graph if job.base is not None else None
            return ann if before is None else ann.with_graph(before.graph, before.answered)

        return Segment.build(job.references(), make_ann)

    def begin(self) -> Job:
        """Start to replace all segments by one, and to remember what changes meanwhile; one job at a time."""
        return self._begin(0)

    def begin_merge(self) -> Job:
        """Start to make a segment of what came since, with the segments before it that are not much larger."""
        first, size = len(self._parts), len(self._fresh)
        while first > 1 and self._parts[first - 1].size < MERGE_RATIO * size:
            first -= 1
            size += self._parts[first].size
        return self._begin(first)

    def _begin(self, first: int) -> Job:
        for part in self._parts[first:]:
            part.shared = True
        pieces = tuple((part.segment.references, part.alive) for part in self._parts[first:])
        base = self._parts[0].segment.ann if first == 0 else None
        self._job = Job(first=first, pieces=pieces, fresh=tuple(self._fresh.values()), base=base)
        return self._job

    def adopt(self, job: Job, segment: Segment) -> None:
        """Put the segment that was built for ``job`` in its place."""
        self._parts[job.first :] = [_Part.of(segment)]
        self._fresh = {}
        self._job = None
        for name in job.gone:
            self._parts[-1].kill_set(name)
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
        parts = inputs.parts
        if inputs.fresh:  # an empty segment would cost every search 0.1 ms
            fresh = Segment.build(inputs.fresh, AnnIndex.exact)
            parts = (*parts, (fresh, np.ones(len(inputs.fresh), dtype=np.bool_)))
        sets = {facts.name: facts for facts in inputs.sets}
        return IndexView(
            revision=inputs.revision,
            sets=sets,
            segments=tuple(LiveSegment.build(segment, alive, sets, self._calibration) for segment, alive in parts),
            calibration=self._calibration,
        )


def _of_one_kind(table: ReferenceTable, encoder: str) -> bool:
    """Tell whether all vectors are this encoder's and equally long."""
    if len(table) == 0:
        return True
    lengths, counts = table.vectors.lengths(), table.vector_counts.astype(np.int64)
    longest = int(lengths.max()) // max(1, int(counts[lengths.argmax()]))
    return set(table.encoder_counts()) == {encoder} and bool((lengths == counts * longest).all())


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
