import pytest

from shared.errors import IntegrityError
from shared.types import ReferenceRemoved, SetDeleted
from tests.index_factories import added, make_reference, make_set, make_vector
from tests.index_views import make_builder, play, rebase
from workers.encoders.embeddings import to_bytes
from workers.index.snapshot import Snapshot
from workers.index.state import IndexState
from workers.index.view_builder import DELTA_LIMIT, FRESH_LIMIT, ViewBuilder
from workers.references.reference_table import ReferenceTable
from workers.search.ann_index import EXACT_LIMIT
from workers.search.view import IndexView


def best(view: IndexView, seed: int) -> str | None:
    """Return the reference that the random picture matches."""
    (found,) = view.search([view.probe("f" * 64, make_vector(seed))])
    return next((match.reference for match in found if match.matched), None)


def view_of(builder: ViewBuilder, state: IndexState) -> IndexView:
    return builder.build(builder.inputs(state, 1))


def test_what_came_since_is_found_beside_the_base() -> None:
    builder, state = make_builder(), IndexState()
    play(builder, state, [make_set(), added(1)])
    rebase(builder, state)
    play(builder, state, [added(2)])
    view = view_of(builder, state)
    assert (best(view, 1), best(view, 2), view.sets["designs"].size) == ("r1", "r2", 2)


def test_delete_then_add_again_is_found() -> None:
    builder, state = make_builder(), IndexState()
    play(builder, state, [make_set(), added(1), added(2)])
    rebase(builder, state)
    play(builder, state, [ReferenceRemoved(set="designs", reference="r1")])
    assert best(view_of(builder, state), 1) is None
    play(builder, state, [added(1)])
    view = view_of(builder, state)
    assert best(view, 1) == "r1"
    assert view.sets["designs"].size == 2
    assert len(view.references("designs")) == 2


@pytest.mark.parametrize("exact_limit", [EXACT_LIMIT, 10])
def test_an_index_of_which_everything_was_deleted_finds_nothing_until_something_is_added(exact_limit: int) -> None:
    # A graph of hnswlib raises where fewer nodes than asked for are left (hnswlib#444).
    builder, state = make_builder(exact_limit=exact_limit), IndexState()
    play(builder, state, [make_set(), *(added(seed) for seed in range(30))])
    rebase(builder, state)
    play(builder, state, [ReferenceRemoved(set="designs", reference=f"r{seed}") for seed in range(30)])
    view = view_of(builder, state)
    assert [best(view, seed) for seed in range(30)] == [None] * 30
    rebase(builder, state)
    play(builder, state, [added(7)])
    view = view_of(builder, state)
    assert [seed for seed in range(30) if best(view, seed)] == [7]


def test_a_replaced_reference_is_found_as_it_is_now() -> None:
    builder, state = make_builder(), IndexState()
    play(builder, state, [make_set(), added(1)])
    rebase(builder, state)
    play(builder, state, [added(1, vectors=(to_bytes(make_vector(50)),))])
    view = view_of(builder, state)
    assert (best(view, 50), best(view, 1)) == ("r1", None)


def test_a_deleted_set_is_gone_from_base_and_delta() -> None:
    builder, state = make_builder(), IndexState()
    play(builder, state, [make_set(), added(1)])
    rebase(builder, state)
    play(builder, state, [added(2), SetDeleted(name="designs")])
    view = view_of(builder, state)
    assert (best(view, 1), best(view, 2), dict(view.sets)) == (None, None, {})
    play(builder, state, [make_set(), added(2)])
    view = view_of(builder, state)
    assert (best(view, 1), best(view, 2), view.sets["designs"].size) == (None, "r2", 1)


def test_what_changed_while_a_base_was_built_is_kept() -> None:
    builder, state = make_builder(), IndexState()
    play(builder, state, [make_set(), added(1), added(2)])
    job = builder.begin()
    play(builder, state, [added(3), ReferenceRemoved(set="designs", reference="r1")])
    builder.adopt(job, builder.build_segment(job, lambda: False))
    view = view_of(builder, state)
    assert (best(view, 1), best(view, 2), best(view, 3)) == (None, "r2", "r3")


def test_the_base_wears_out_by_deletions_and_by_additions() -> None:
    builder, state = make_builder(), IndexState()
    play(builder, state, [make_set(), *(added(seed) for seed in range(30))])
    rebase(builder, state)
    assert not builder.worn()
    play(builder, state, [ReferenceRemoved(set="designs", reference=f"r{seed}") for seed in range(3)])
    assert not builder.worn()
    play(builder, state, [ReferenceRemoved(set="designs", reference="r3")])
    assert builder.worn()
    rebase(builder, state)
    assert not builder.worn()
    play(builder, state, [added(seed) for seed in range(100, 101 + DELTA_LIMIT)])
    assert builder.worn()


def test_every_exact_duplicate_is_found_after_many_deletions_behind_codes() -> None:
    builder, state = make_builder(exact_limit=50), IndexState()
    play(builder, state, [make_set(), *(added(seed) for seed in range(300))])
    rebase(builder, state)
    play(builder, state, [ReferenceRemoved(set="designs", reference=f"r{seed}") for seed in range(0, 300, 3)])
    view = view_of(builder, state)
    assert [best(view, seed) for seed in range(300)] == [f"r{seed}" if seed % 3 else None for seed in range(300)]
    play(builder, state, [ReferenceRemoved(set="designs", reference=f"r{seed}") for seed in range(300)])
    assert best(view_of(builder, state), 1) is None


def test_another_encoders_references_are_counted_and_never_searched() -> None:
    refused: list[IntegrityError] = []
    builder, state = make_builder(refused=refused), IndexState()
    play(builder, state, [make_set(), added(1), added(2, encoder="another")])
    view = view_of(builder, state)
    assert (best(view, 1), best(view, 2), view.sets["designs"].size) == ("r1", None, 1)
    assert builder.unsearchable == {("designs", "r2")}
    assert len(refused) == 1
    rebase(builder, state)
    assert len(view_of(builder, state).references("designs")) == 1
    play(builder, state, [added(2)])
    assert best(view_of(builder, state), 2) == "r2"
    assert not builder.unsearchable


def test_the_first_vector_fixes_the_dimension() -> None:
    refused: list[IntegrityError] = []
    builder, state = make_builder(refused=refused), IndexState()
    play(builder, state, [make_set(), added(1), added(2, vectors=(to_bytes(make_vector(2, dimension=8)),))])
    assert best(view_of(builder, state), 1) == "r1"
    assert len(refused) == 1


def test_a_snapshots_codes_serve_with_what_came_since() -> None:
    references = [make_reference(seed) for seed in range(60)]
    first, before = make_builder(exact_limit=10), IndexState([make_set()], references)
    first.restore(before)
    base = first.build_segment(first.begin(), lambda: False)
    snapshot = Snapshot(
        encoder="encoder-1",
        position=1,
        sets=(make_set(),),
        references=base.references,
        codes=base.ann.code_image(),
    )
    state = IndexState(snapshot.sets, snapshot.references)
    for event in (added(99), ReferenceRemoved(set="designs", reference="r5")):
        state.apply(event)
    builder = make_builder(exact_limit=10)
    builder.restore(state, snapshot)
    assert not builder.worn()
    assert builder.tombstones == 1
    view = view_of(builder, state)
    assert (best(view, 7), best(view, 99), best(view, 5)) == ("r7", "r99", None)


def test_a_snapshot_of_mixed_encoders_is_looked_through() -> None:
    references = ReferenceTable.of([make_reference(1), make_reference(2, encoder="another"), make_reference(3)])
    snapshot = Snapshot(encoder="encoder-1", position=1, sets=(make_set(),), references=references)
    refused: list[IntegrityError] = []
    builder, state = make_builder(refused=refused), IndexState(snapshot.sets, references)
    builder.restore(state, snapshot)
    assert builder.unsearchable == {("designs", "r2")}
    view = view_of(builder, state)
    assert (best(view, 1), best(view, 2), best(view, 3), len(refused)) == ("r1", None, "r3", 1)


def test_much_that_came_since_a_snapshot_is_a_segment_at_once() -> None:
    state = IndexState([make_set()], [make_reference(1)])
    for seed in range(2, FRESH_LIMIT + 3):
        state.apply(added(seed))
    builder = make_builder()
    builder.restore(state, Snapshot(encoder="encoder-1", position=1, sets=(make_set(),), references=state.table))
    assert not builder.crowded()
    view = view_of(builder, state)
    assert (best(view, 1), best(view, FRESH_LIMIT)) == ("r1", f"r{FRESH_LIMIT}")
    assert view.sets["designs"].size == FRESH_LIMIT + 2


def test_a_set_that_goes_and_comes_while_a_base_is_built_holds_what_came_after() -> None:
    builder, state = make_builder(), IndexState()
    play(builder, state, [make_set(), added(1), added(2)])
    job = builder.begin()
    play(builder, state, [added(3), SetDeleted(name="designs"), make_set(), added(2)])
    segment = builder.build_segment(job, lambda: False)
    builder.adopt(job, segment)
    state.rebase(segment.references, job.since, job.gone)
    view = view_of(builder, state)
    assert [best(view, seed) for seed in (1, 2, 3)] == [None, "r2", None]
    assert [reference.reference for reference in state.references()] == ["r2"]


def test_without_codes_a_large_index_serves_exactly_and_asks_for_them() -> None:
    state = IndexState([make_set()], [make_reference(seed) for seed in range(60)])
    builder = make_builder(exact_limit=10)
    builder.restore(state)
    assert best(view_of(builder, state), 7) == "r7"
    assert builder.worn()


def test_what_came_since_becomes_segments_that_double() -> None:
    builder, state = make_builder(), IndexState()
    play(builder, state, [make_set(), *(added(seed) for seed in range(FRESH_LIMIT * 2))])
    rebase(builder, state)
    sizes = []
    for seed in range(FRESH_LIMIT * 2, FRESH_LIMIT * 7 + 10):
        play(builder, state, [added(seed)])
        if builder.crowded():
            job = builder.begin_merge()
            play(builder, state, [ReferenceRemoved(set="designs", reference=f"r{seed}"), added(5000 + seed)])
            segment = builder.build_segment(job, lambda: False)
            builder.adopt(job, segment)
            sizes.append(len(segment.references))
            assert len(builder.inputs(state, 1).fresh) == 1
    assert sizes == [FRESH_LIMIT * n + 1 for n in (1, 2, 3, 1, 5)]
    view = view_of(builder, state)
    assert view.sets["designs"].size == len(state) == FRESH_LIMIT * 7 + 10
    assert all(best(view, seed) == f"r{seed}" for seed in (0, 200, 300, 400, 5000 + 192))
    assert builder.tombstones > 0
    rebase(builder, state)
    assert builder.tombstones == 0


def test_a_view_is_not_changed_by_what_comes_later() -> None:
    builder, state = make_builder(), IndexState()
    play(builder, state, [make_set(), added(1), added(2)])
    rebase(builder, state)
    before = view_of(builder, state)
    play(builder, state, [ReferenceRemoved(set="designs", reference="r1"), added(3)])
    assert (best(before, 1), best(before, 3), before.sets["designs"].size) == ("r1", None, 2)
    assert (best(view_of(builder, state), 1), best(view_of(builder, state), 3)) == (None, "r3")


def test_a_job_that_was_abandoned_leaves_everything_as_it_is() -> None:
    builder, state = make_builder(), IndexState()
    play(builder, state, [make_set(), added(1)])
    builder.begin()
    builder.abandon()
    play(builder, state, [added(2)])
    assert [best(view_of(builder, state), seed) for seed in (1, 2)] == ["r1", "r2"]
