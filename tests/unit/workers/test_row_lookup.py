import numpy as np

from workers.row_lookup import RowLookup


def test_every_row_of_a_hash_is_found_in_order() -> None:
    lookup = RowLookup.build(np.array([5, -3, 5, 9, 5]))
    assert [lookup.candidates(wanted) for wanted in (5, -3, 9, 7)] == [[0, 2, 4], [1], [3], []]
    assert RowLookup.build(np.empty(0, np.int64)).candidates(5) == []


def test_the_ends_of_the_range_are_hashes_too() -> None:
    ends = np.iinfo(np.int64)
    lookup = RowLookup.build(np.array([ends.max, ends.min, ends.max]))
    assert [lookup.candidates(wanted) for wanted in (ends.min, ends.max)] == [[1], [0, 2]]
