import numpy as np

from workers.references.row_lookup import RowLookup, rows_of_each


def test_every_row_of_a_hash_is_found_in_order() -> None:
    lookup = RowLookup.build(np.array([5, -3, 5, 9, 5]))
    assert [lookup.candidates(wanted) for wanted in (5, -3, 9, 7)] == [[0, 2, 4], [1], [3], []]
    assert RowLookup.build(np.empty(0, np.int64)).candidates(5) == []


def test_the_ends_of_the_range_are_hashes_too() -> None:
    ends = np.iinfo(np.int64)
    lookup = RowLookup.build(np.array([ends.max, ends.min, ends.max]))
    assert [lookup.candidates(wanted) for wanted in (ends.min, ends.max)] == [[1], [0, 2]]


def test_the_rows_of_each_follow_one_another() -> None:
    starts = np.array([0, 2, 2, 5, 6], np.int32)
    rows, counts = rows_of_each(starts, np.array([2, 0, 1, 2]))
    assert (rows.tolist(), counts.tolist()) == ([2, 3, 4, 0, 1, 2, 3, 4], [3, 2, 0, 3])
    rows, counts = rows_of_each(starts, np.empty(0, np.intp))
    assert (rows.tolist(), counts.tolist()) == ([], [])
