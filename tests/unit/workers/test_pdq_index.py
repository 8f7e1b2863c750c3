import numpy as np
import pytest

from tests.index_factories import make_pdq
from workers.pdq_index import UNKNOWN, PdqIndex


def hamming(one: str, other: str) -> int:
    return (int(one, 16) ^ int(other, 16)).bit_count()


@pytest.mark.parametrize("count", [1, 2, 100])
def test_distances_are_hamming_distances(count: int) -> None:
    hashes = [make_pdq(seed) for seed in range(count)]
    variants = [make_pdq(1000 + seed) for seed in range(8)]
    index, rows = PdqIndex.build(hashes), np.arange(count)
    upright, nearest = index.distances(variants, rows)
    expected = [min(hamming(variant, each) for variant in variants) for each in hashes]
    assert upright.tolist() == [hamming(variants[0], each) for each in hashes]
    assert nearest.tolist() == expected
    assert index.distances(variants, rows[-1:])[1].tolist() == expected[-1:]
    for limit in (-1, 108, 115, 256):
        assert index.near(variants, limit).tolist() == [row for row in rows if expected[row] <= limit]


def test_a_reference_without_a_hash_is_near_nothing() -> None:
    index = PdqIndex.build(["", make_pdq(1)])
    upright, nearest = index.distances(["0" * 64], np.arange(2))
    assert upright[0] == nearest[0] == UNKNOWN
    assert upright[1] < UNKNOWN
    assert index.near(["0" * 64], 256).tolist() == [1]


def test_an_empty_index_has_no_distances() -> None:
    nothing = np.empty(0, np.intp)
    assert [each.tolist() for each in PdqIndex.build([]).distances([make_pdq(1)], nothing)] == [[], []]
    assert PdqIndex.build([]).near([make_pdq(1)], 256).tolist() == []
