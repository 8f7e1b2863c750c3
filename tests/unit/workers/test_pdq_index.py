import pytest

from tests.index_factories import make_pdq
from workers.pdq_index import UNKNOWN, PdqIndex


def hamming(one: str, other: str) -> int:
    return (int(one, 16) ^ int(other, 16)).bit_count()


@pytest.mark.parametrize("count", [1, 2, 100])
def test_distances_are_hamming_distances(count: int) -> None:
    hashes = [make_pdq(seed) for seed in range(count)]
    variants = [make_pdq(1000 + seed) for seed in range(8)]
    upright, nearest = PdqIndex.build(hashes).distances(variants)
    assert upright.tolist() == [hamming(variants[0], each) for each in hashes]
    assert nearest.tolist() == [min(hamming(variant, each) for variant in variants) for each in hashes]


def test_a_reference_without_a_hash_is_near_nothing() -> None:
    upright, nearest = PdqIndex.build(["", make_pdq(1)]).distances(["0" * 64])
    assert upright[0] == nearest[0] == UNKNOWN
    assert upright[1] < UNKNOWN


def test_an_empty_index_has_no_distances() -> None:
    assert [each.tolist() for each in PdqIndex.build([]).distances([make_pdq(1)])] == [[], []]
