import numpy as np
import pytest

from workers.hamming import CHUNK_ROWS, hamming


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
