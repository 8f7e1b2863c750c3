from shared.types import ReferenceRemoved, SetDeleted
from tests.index_factories import added, make_reference, make_set
from workers.index_state import Change, IndexState


def test_a_set_is_made_once() -> None:
    state = IndexState()
    assert state.apply(make_set(threshold=70.0)) == Change(fresh=True)
    assert state.apply(make_set(threshold=10.0)) == Change(fresh=False)
    assert [created.threshold for created in state.created()] == [70.0]


def test_adding_twice_replaces() -> None:
    state = IndexState([make_set()])
    assert state.apply(added(1)) == Change(fresh=True, keys=(("designs", "r1"),))
    assert state.apply(added(1, name="again.png")) == Change(fresh=False, keys=(("designs", "r1"),))
    assert [reference.name for reference in state.references()] == ["again.png"]


def test_a_reference_of_no_set_is_passed_over() -> None:
    state = IndexState()
    assert state.apply(added(1)) == Change(fresh=False)
    assert len(state) == 0


def test_remove_then_add_again() -> None:
    state = IndexState([make_set()], [make_reference(1)])
    removed = ReferenceRemoved(set="designs", reference="r1")
    assert state.apply(removed) == Change(fresh=True, keys=(("designs", "r1"),))
    assert state.apply(removed) == Change(fresh=False)
    assert state.get(("designs", "r1")) is None
    assert state.apply(added(1)).fresh


def test_a_deleted_set_takes_its_references_along() -> None:
    state = IndexState([make_set()], [make_reference(1), make_reference(2)])
    assert state.apply(SetDeleted(name="designs")).keys == (("designs", "r1"), ("designs", "r2"))
    assert state.apply(SetDeleted(name="designs")) == Change(fresh=False)
    assert state.apply(ReferenceRemoved(set="designs", reference="r1")) == Change(fresh=False)
    assert state.get(("designs", "r1")) is None
    assert state.apply(make_set()).fresh
    assert len(state) == 0
