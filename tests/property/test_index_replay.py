"""However a replica got to a position (snapshots, rebuilds, batches, in any order), it searches the same index."""

from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.errors import IntegrityError
from shared.types import IndexEvent, Reference, ReferenceMatch, ReferenceRemoved, SetDeleted
from tests.index_factories import ENCODER, SEALER, added, make_pdq, make_set, make_vector
from tests.index_snapshots import pack, unpack
from tests.index_views import make_builder, play, rebase
from workers.encoders.embeddings import to_bytes
from workers.index.snapshot import Snapshot
from workers.index.state import IndexState
from workers.references.reference_table import ReferenceTable
from workers.search.view import IndexView

SEEDS = range(8)
SETS = ("a", "b")
names = st.sampled_from(SETS)
seeds = st.sampled_from(SEEDS)
events: st.SearchStrategy[IndexEvent] = st.one_of(
    st.builds(make_set, names, threshold=st.sampled_from([0.0, 60.0, 85.0])),
    st.builds(SetDeleted, name=names),
    st.builds(lambda seed, name: added(seed, set=name), seeds, names),
    st.builds(lambda seed, other: added(seed, set="a", vectors=(to_bytes(make_vector(other)),)), seeds, seeds),
    st.builds(lambda seed, name: ReferenceRemoved(set=name, reference=f"r{seed}"), seeds, names),
)
histories = st.lists(events, max_size=30).map(lambda tail: [make_set("a"), make_set("b"), *tail])


def answers(view: IndexView) -> list[tuple[ReferenceMatch, ...]]:
    """Everything that can be asked of the pictures there are."""
    return [
        view.search([probe])[0]
        for seed in SEEDS
        for probe in (view.probe("f" * 64, make_vector(seed)), view.probe("f" * 64, None, (make_pdq(seed),) * 8))
    ]


def straight(history: Sequence[IndexEvent]) -> tuple[IndexView, IndexState]:
    builder, state = make_builder(), IndexState()
    play(builder, state, history)
    rebase(builder, state)
    return builder.build(builder.inputs(state, len(history))), state


def in_order(state: IndexState) -> list[Reference]:
    return sorted(state.references(), key=lambda each: (each.set, each.reference))


def close(one: list[tuple[ReferenceMatch, ...]], other: list[tuple[ReferenceMatch, ...]]) -> bool:
    """Same references with the same scores, but for the last bits of a product taken in another order."""
    return [[(m.set, m.reference, m.matched, round(m.score, 4)) for m in found] for found in one] == [
        [(m.set, m.reference, m.matched, round(m.score, 4)) for m in found] for found in other
    ]


@settings(max_examples=60, deadline=None)
@given(histories, st.sets(st.integers(0, 31)))
def test_rebuilding_at_any_time_changes_nothing(history: list[IndexEvent], rebuilds: set[int]) -> None:
    builder, state = make_builder(), IndexState()
    for number, event in enumerate(history):
        play(builder, state, [event])
        if number in rebuilds:
            rebase(builder, state)
    view, _ = straight(history)
    assert close(answers(builder.build(builder.inputs(state, len(history)))), answers(view))


@settings(max_examples=60, deadline=None)
@given(histories, st.integers(0, 32))
def test_a_snapshot_and_the_rest_of_the_log_are_the_whole_log(history: list[IndexEvent], cut: int) -> None:
    _, before = straight(history[:cut])
    snapshot = Snapshot(
        encoder=ENCODER, position=cut, sets=before.created(), references=ReferenceTable.of(before.references())
    )
    snapshot = unpack(pack(snapshot, SEALER), SEALER, encoder=ENCODER)
    state = IndexState(snapshot.sets, snapshot.references)
    for event in history[cut:]:
        state.apply(event)
    builder = make_builder()
    builder.restore(state, snapshot)
    view, whole = straight(history)
    assert in_order(state) == in_order(whole)
    assert state.created() == whole.created()
    assert close(answers(builder.build(builder.inputs(state, len(history)))), answers(view))


@given(st.binary(max_size=200), st.integers(0, 400), st.integers(1, 255))
def test_no_snapshot_but_the_real_one_is_read(junk: bytes, place: int, flip: int) -> None:
    whole = pack(Snapshot(encoder=ENCODER, position=1, sets=(make_set(),)), SEALER)
    for number, piece in enumerate(whole):
        changed, at = bytearray(piece), place % len(piece)
        changed[at] ^= flip
        for spoiled in (junk, bytes(changed), piece[:at]):
            with pytest.raises(IntegrityError):
                unpack([*whole[:number], spoiled, *whole[number + 1 :]], SEALER)
