import numpy as np

from tests.index_factories import ENCODER, make_reference
from workers.references.held_references import HeldReferences
from workers.references.kept_bytes import total_bytes
from workers.references.reference_table import ReferenceTable

KEPT = [make_reference(seed) for seed in range(3)]


def held() -> HeldReferences:
    table = ReferenceTable.of([*KEPT, make_reference(9, set="another")])
    return HeldReferences("designs", table, np.ones(len(table), dtype=np.bool_))


def test_rows_and_what_came_since_are_one_mapping() -> None:
    references = held()
    assert references.add(make_reference(5))
    assert list(references) == ["r0", "r1", "r2", "r5"]
    assert list(references.each()) == [*KEPT, make_reference(5)]
    assert (references["r1"], references["r5"], len(references)) == (KEPT[1], make_reference(5), 4)
    assert "r9" not in references
    assert references.get("r9") is None
    assert references.since() == ("r5",)


def test_what_is_replaced_is_there_once_and_what_is_removed_is_not() -> None:
    references = held()
    again = make_reference(1, name="again.png")
    assert not references.add(again)
    assert (len(references), references["r1"], list(references)) == (3, again, ["r0", "r2", "r1"])
    assert [references.remove(each) for each in ("r1", "r1", "r0", "r9")] == [True, False, True, False]
    assert (list(references), len(references)) == (["r2"], 1)


def test_cleared_it_holds_what_comes_then() -> None:
    references = held()
    references.add(make_reference(5))
    references.clear()
    assert (list(references), len(references)) == ([], 0)
    assert references.add(make_reference(1))
    assert list(references) == ["r1"]


def test_bytes_and_encoders_are_those_of_what_is_there() -> None:
    references = held()
    references.remove("r0")
    references.add(make_reference(5, encoder="another"))
    assert references.bytes_kept() == total_bytes(list(references.each()))
    assert references.encoders() == {ENCODER: 2, "another": 1}
