import numpy as np
import pytest

from workers.search.hamming import CHUNK_ROWS, FEW_ROWS, WORDS_A_BYTE, hamming, hamming_each, within


@pytest.mark.parametrize("words", [1, 2, 3, 4, 8])
@pytest.mark.parametrize("rows", [0, 1, CHUNK_ROWS + 1])
def test_bits_that_differ_are_counted(words: int, rows: int) -> None:
    rng = np.random.default_rng(words)
    packed = rng.integers(0, 1 << 64, (words, rows), dtype=np.uint64)
    query = rng.integers(0, 1 << 64, words, dtype=np.uint64)
    expected = [sum(int(a ^ b).bit_count() for a, b in zip(column, query, strict=True)) for column in packed.T]
    assert hamming(packed, query).tolist() == expected


def test_all_bits_can_differ() -> None:
    assert hamming(np.zeros((8, 1), np.uint64), ~np.zeros(8, np.uint64)).tolist() == [512]


@pytest.mark.parametrize("rows", [0, 1, FEW_ROWS, FEW_ROWS + 1])
def test_several_queries_are_compared_as_each_alone(rows: int) -> None:
    rng = np.random.default_rng(rows)
    packed = rng.integers(0, 1 << 64, (4, rows), dtype=np.uint64)
    queries = rng.integers(0, 1 << 64, (8, 4), dtype=np.uint64)
    assert hamming_each(packed, queries).tolist() == [hamming(packed, query).tolist() for query in queries]


@pytest.mark.parametrize("words", [1, WORDS_A_BYTE])
def test_rows_in_which_fewer_bits_differ_are_within(words: int) -> None:
    rng = np.random.default_rng(words)
    packed = rng.integers(0, 1 << 64, (words, CHUNK_ROWS + 500), dtype=np.uint64)
    query = packed[:, -1].copy()
    limits = np.asarray(rng.integers(0, 64 * words, packed.shape[1]), np.uint8)
    bits = hamming(packed, query)
    assert within(packed, query, limits).tolist() == np.flatnonzero(bits < limits).tolist()
    for limit in (0, 1, 30 * words, 256):
        assert within(packed, query, limit).tolist() == np.flatnonzero(bits < limit).tolist()


def test_of_no_rows_none_is_within() -> None:
    assert within(np.empty((2, 0), np.uint64), np.zeros(2, np.uint64), 200).tolist() == []
