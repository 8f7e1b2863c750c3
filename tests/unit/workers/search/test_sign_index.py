"""The signs of views: which references have one near, and how near it is; lengths that fit."""

import numpy as np
import pytest

from shared.errors import IntegrityError
from tests.index_factories import DIMENSION, make_vector
from workers.references.byte_column import ByteColumn
from workers.search.sign_index import BUILD_CHUNK, SignIndex, signs


def codes(*seeds: int) -> bytes:
    return b"".join(signs(make_vector(seed)) for seed in seeds)


def distance(one: bytes, other: bytes) -> int:
    """Bits in which two codes differ."""
    return (int.from_bytes(one) ^ int.from_bytes(other)).bit_count()


def build(views: list[bytes], bits: int = DIMENSION) -> SignIndex:
    return SignIndex.build(ByteColumn.of(views), bits, np.array([0, len(views)]))


def near(index: SignIndex, wanted: bytes, *limits: int) -> list[int]:
    return [int(row) for row in index.near(wanted, np.array(limits))]


def test_the_nearest_code_counts() -> None:
    wanted = signs(make_vector(2))
    index = build([codes(1, 2, 3), b"", codes(4), codes(5, 6)])
    far = min(distance(codes(seed), wanted) for seed in (5, 6))
    assert index.nearest(np.array([0, 1, 2, 3]), wanted) == [0, None, distance(codes(4), wanted), far]
    assert index.nearest(np.array([3, 1]), wanted) == [far, None]
    assert index.nearest(np.array([1]), wanted) == [None]
    assert index.nearest(np.empty(0, np.intp), wanted) == []
    assert build([b"", b""]).nearest(np.array([0, 1]), wanted) == [None, None]


def test_references_with_a_view_within_the_limit_are_near() -> None:
    index = build([codes(1, 2, 3), b"", codes(4)])
    wanted = signs(make_vector(2))
    far = distance(codes(4), wanted)
    assert near(index, wanted, 0) == [0]
    assert near(index, wanted, far - 1) == [0]
    assert near(index, wanted, far) == [0, 2]
    assert near(index, wanted, -1) == []


def test_every_set_has_a_limit_of_its_own() -> None:
    views = ByteColumn.of([codes(1), codes(2), codes(3), b"", codes(4, 5)])
    index = SignIndex.build(views, DIMENSION, np.array([0, 1, 3, 3, 5]))
    wanted = signs(make_vector(9))
    assert near(index, wanted, 64, -1, 64, -1) == [0]
    assert near(index, wanted, -1, 64, 64, 64) == [1, 2, 4]
    assert near(index, signs(make_vector(5)), 0, 0, 0, 0) == [4]


def test_past_the_largest_number_the_smallest_sets_are_searched() -> None:
    views = ByteColumn.of([codes(1, 2, 3), codes(4), codes(5), codes(6)])
    index = SignIndex.build(views, DIMENSION, np.array([0, 1, 2, 4]), largest=4)
    assert index.unsearched == 3
    assert near(index, signs(make_vector(9)), 64, 64, 64) == [1, 2, 3]
    assert near(index, signs(make_vector(6)), 0, 0, 0) == [3]
    everything = SignIndex.build(views, DIMENSION, np.array([0, 1, 2, 4]))
    assert (everything.unsearched, near(everything, signs(make_vector(2)), 0, 0, 0)) == (0, [0])
    assert build([b""]).unsearched == 0


def test_many_codes_are_all_looked_at() -> None:
    rng = np.random.default_rng(0)
    vectors = rng.standard_normal((BUILD_CHUNK + 3, DIMENSION)).astype(np.float32)
    index = build([signs(vector) for vector in vectors])
    assert [near(index, signs(vectors[row]), 0) for row in (0, BUILD_CHUNK + 2)] == [[0], [BUILD_CHUNK + 2]]


def test_a_sample_of_the_signs_lets_the_near_ones_through_and_few_others() -> None:
    rng = np.random.default_rng(0)
    views = rng.standard_normal((5000, 512)).astype(np.float32)
    index = build([signs(view) for view in views], 512)
    assert len(index.words) == 2
    kept, others = 0, 0
    for row in range(0, 5000, 10):
        query = signs(views[row] + 0.95 * rng.standard_normal(512).astype(np.float32))
        found = near(index, query, distance(signs(views[row]), query))
        kept += row in found
        others += len(found) - 1
    assert kept == 500
    assert others < 500 * 5000 * 0.01


def test_without_views_nothing_is_near() -> None:
    assert near(build([b"", b""], 0), signs(make_vector(0)), 512) == []
    assert near(build([]), signs(make_vector(0)), 512) == []


def test_the_angle_is_the_share_of_signs() -> None:
    one, other = (make_vector(seed, dimension=8192) for seed in (1, 2))
    between = (one + other) / np.linalg.norm(one + other)
    bits = distance(signs(one), signs(between))
    assert np.cos(np.pi * bits / 8192) == pytest.approx(float(one @ between), abs=0.03)


@pytest.mark.parametrize(("code", "bits"), [(bytes(7), DIMENSION), (bytes(8), 0), (bytes(5), 40)])
def test_codes_that_do_not_fit_are_refused(code: bytes, bits: int) -> None:
    with pytest.raises(IntegrityError, match="codes"):
        build([code], bits)
