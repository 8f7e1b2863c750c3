"""Views of made-up indexes, without a store."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from shared.errors import IntegrityError
from shared.types import IndexEvent, Reference, SetCreated
from tests.index_factories import CALIBRATION, ENCODER, make_set
from workers.index.state import IndexState
from workers.index.view_builder import ViewBuilder
from workers.search.ann_index import EXACT_LIMIT
from workers.search.view import IndexView


def make_builder(*, exact_limit: int = EXACT_LIMIT, refused: list[IntegrityError] | None = None) -> ViewBuilder:
    """Return a builder that collects what it refuses."""
    return ViewBuilder(ENCODER, CALIBRATION, (refused if refused is not None else []).append, exact_limit=exact_limit)


def play(builder: ViewBuilder, state: IndexState, events: Iterable[IndexEvent]) -> None:
    """Apply events to a state and tell the builder."""
    for event in events:
        builder.note(state, state.apply(event))


def rebase(builder: ViewBuilder, state: IndexState) -> None:
    """Build the base anew, and let the state stand on it."""
    job = builder.begin()
    segment = builder.build_segment(job, lambda: False)
    builder.adopt(job, segment)
    state.rebase(segment.references, {*job.since, *builder.unsearchable}, job.gone)


def make_view(
    references: Sequence[Reference], *, sets: Sequence[SetCreated] = (), exact_limit: int = EXACT_LIMIT
) -> IndexView:
    """Return a view whose base holds the references."""
    builder = make_builder(exact_limit=exact_limit)
    state = IndexState(sets or [make_set()], references)
    builder.restore(state)
    rebase(builder, state)
    return builder.build(builder.inputs(state, 1))
