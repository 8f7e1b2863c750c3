from collections.abc import Sequence

import numpy as np
import pytest

from tests.image_factories import make_picture
from tests.index_factories import make_pdq
from workers.decoding.pdq import pdq
from workers.search.hamming import FEW_ROWS
from workers.search.pdq_index import UNKNOWN, PdqIndex


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
        assert near(index, variants, limit) == [row for row in rows if expected[row] <= limit]


def test_a_reference_without_a_hash_is_near_nothing() -> None:
    index = PdqIndex.build(["", make_pdq(1)])
    upright, nearest = index.distances(["0" * 64], np.arange(2))
    assert upright[0] == nearest[0] == UNKNOWN
    assert upright[1] < UNKNOWN
    assert near(index, ["0" * 64], 256) == [1]


def test_an_empty_index_has_no_distances() -> None:
    nothing = np.empty(0, np.intp)
    assert [each.tolist() for each in PdqIndex.build([]).distances([make_pdq(1)], nothing)] == [[], []]
    assert near(PdqIndex.build([]), [make_pdq(1)], 256) == []


@pytest.fixture(scope="module")
def turned() -> tuple[str, ...]:
    """The eight hashes of a picture."""
    return pdq(np.asarray(make_picture().convert("L"))).variants


def spoiled(variant: str, bits: int, seed: int) -> str:
    """Return the hash with so many bits turned over."""
    turned_over = sum(1 << int(bit) for bit in np.random.default_rng(seed).choice(256, bits, replace=False))
    return f"{int(variant, 16) ^ turned_over:064x}"


@pytest.mark.parametrize("limit", [0, 12, 24, 31, 43, 57, 93, 120, 256])
def test_a_picture_in_all_its_turns_is_found_up_to_the_last_bit(turned: tuple[str, ...], limit: int) -> None:
    source = np.random.default_rng(limit)
    hashes = [spoiled(variant, bits, 9 * bits) for variant in turned for bits in range(140)]
    hashes += [source.bytes(32).hex() for _ in range(500)]
    for some in (hashes, hashes[-FEW_ROWS:]):
        expected = [min(hamming(variant, each) for variant in turned) for each in some]
        index = PdqIndex.build(some)
        assert near(index, turned, limit) == [row for row, bits in enumerate(expected) if bits <= limit]
        assert near(index, turned[3:4], limit) == [
            row for row, each in enumerate(some) if hamming(turned[3], each) <= limit
        ]


def test_every_set_has_a_limit_of_its_own(turned: tuple[str, ...]) -> None:
    hashes = [spoiled(turned[2], 30, seed) for seed in range(40)]
    groups = (np.arange(40) // 10).astype(np.int32)
    found = PdqIndex.build(hashes).near(turned, np.array([29, 30, -1, 90], np.int16), groups)
    assert found.tolist() == [*range(10, 20), *range(30, 40)]


def test_a_few_small_sets_do_not_hide_what_is_near_in_large_ones(turned: tuple[str, ...]) -> None:
    source = np.random.default_rng(1)
    hashes = [source.bytes(32).hex() for _ in range(5000)]
    hashes[100], hashes[4990] = spoiled(turned[1], 31, 2), spoiled(turned[5], 93, 3)
    groups = (np.arange(5000) >= 4980).astype(np.int32)
    limits = np.array([31, 93], np.int16)
    expected = [
        row
        for row, each in enumerate(hashes)
        if min(hamming(variant, each) for variant in turned) <= limits[groups[row]]
    ]
    assert {100, 4990} <= set(expected)
    assert PdqIndex.build(hashes).near(turned, limits, groups).tolist() == expected


def near(index: PdqIndex, variants: Sequence[str], limit: int) -> list[int]:
    """Return the rows near where all have one limit."""
    groups = np.zeros(len(index.known), np.int32)
    return [int(row) for row in index.near(variants, np.array([limit], np.int16), groups)]
