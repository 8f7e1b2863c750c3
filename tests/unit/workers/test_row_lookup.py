import numpy as np

from workers.row_lookup import RowLookup


def test_every_row_of_a_key_is_found_in_order() -> None:
    lookup = RowLookup.build(["a", "b", "a", "c", "a"])
    assert [lookup.candidates(key) for key in ("a", "b", "c", "d")] == [[0, 2, 4], [1], [3], []]
    assert RowLookup.build([]).candidates("a") == []


def test_keys_of_one_hash_are_all_candidates() -> None:
    largest = np.iinfo(np.int64).max
    lookup = RowLookup(np.array([7, 7, largest]), np.array([2, 5, 0], dtype=np.int32))
    assert lookup.candidates(7) == [2, 5]
