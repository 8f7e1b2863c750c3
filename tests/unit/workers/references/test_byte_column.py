import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.errors import IntegrityError
from workers.references.byte_column import ByteColumn

values = st.lists(st.binary(max_size=4), max_size=8) | st.lists(st.binary(min_size=3, max_size=3), max_size=8)


def rows(*numbers: int) -> np.ndarray[tuple[int], np.dtype[np.intp]]:
    return np.array(numbers, dtype=np.intp)


@given(values)
def test_every_row_comes_back(strings: list[bytes]) -> None:
    column = ByteColumn.of(strings)
    assert [column[row] for row in range(len(column))] == strings
    assert column.lengths().tolist() == [len(each) for each in strings]


@given(values, values, st.data())
def test_rows_of_several_columns_are_gathered_in_order(
    one: list[bytes], other: list[bytes], data: st.DataObject
) -> None:
    columns = [one, other]
    chosen = [
        (place, data.draw(st.lists(st.integers(0, len(columns[place]) - 1), max_size=6)) if columns[place] else [])
        for place in (0, 1, 0)
    ]
    gathered = ByteColumn.gathered([(ByteColumn.of(columns[place]), rows(*numbers)) for place, numbers in chosen])
    expected = [columns[place][number] for place, numbers in chosen for number in numbers]
    assert [gathered[row] for row in range(len(gathered))] == expected


def test_equally_long_rows_need_no_starts_and_are_a_matrix() -> None:
    column = ByteColumn.of([b"ab", b"cd", b"ef"])
    assert column.starts is None
    assert column.matrix().tolist() == [[97, 98], [99, 100], [101, 102]]
    with pytest.raises(ValueError, match="equally long"):
        ByteColumn.of([b"ab", b"c"]).matrix()


def test_a_column_does_not_change() -> None:
    with pytest.raises(ValueError, match="read-only"):
        ByteColumn.of([b"ab"]).data[0] = 1


def test_what_lies_beyond_is_an_error() -> None:
    for row in (2, -1):
        with pytest.raises(IndexError):
            ByteColumn.of([b"ab", b"c"])[row]


@pytest.mark.parametrize("lengths", [[1, 2], [4, 0], [2, -2, 3]])
def test_lengths_that_do_not_add_up_are_refused(lengths: list[int]) -> None:
    with pytest.raises(IntegrityError, match="column"):
        ByteColumn.laid_out(np.zeros(5, np.uint8), np.array(lengths))
    with pytest.raises(IntegrityError, match="column"):
        ByteColumn.equal(np.zeros(5, np.uint8), 2, 2)
