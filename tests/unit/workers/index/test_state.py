from shared.types import IndexEvent, ReferenceRemoved, SetDeleted
from tests.index_factories import added, make_reference, make_set
from workers.index.state import Change, IndexState
from workers.references.reference_table import ReferenceTable


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
    assert state.apply(SetDeleted(name="designs")) == Change(fresh=True, gone="designs")
    assert state.apply(SetDeleted(name="designs")) == Change(fresh=False)
    assert state.apply(ReferenceRemoved(set="designs", reference="r1")) == Change(fresh=False)
    assert state.get(("designs", "r1")) is None
    assert state.apply(make_set()).fresh
    assert len(state) == 0


def test_a_newer_table_takes_over_but_for_what_changed_meanwhile() -> None:
    state = IndexState([make_set(), make_set("b"), make_set("c")], [make_reference(1), make_reference(2)])
    for came in (added(3), added(4), added(1, set="b"), added(1, set="c")):
        state.apply(came)
    table = ReferenceTable.of(state.references())
    later: list[IndexEvent] = [
        added(2, name="new.png"),
        ReferenceRemoved(set="designs", reference="r3"),
        SetDeleted(name="c"),
    ]
    for event in [*later, SetDeleted(name="b"), make_set("b"), added(7, set="b")]:
        state.apply(event)
    before = list(state.references())
    state.rebase(table, {("designs", "r2"), ("designs", "r3"), ("b", "r7")}, {"b", "c"})
    assert sorted(state.references(), key=lambda each: (each.set, each.reference)) == sorted(
        before, key=lambda each: (each.set, each.reference)
    )
    assert set(state.since()) == {("designs", "r2"), ("b", "r7")}
    assert (len(state), state.table is table) == (len(before), True)
