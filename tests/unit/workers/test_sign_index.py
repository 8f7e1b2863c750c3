"""The signs of views: the nearest view's distance, whatever the number of views, and lengths that fit."""

import numpy as np
import pytest

from shared.errors import IntegrityError
from tests.index_factories import DIMENSION, make_vector
from workers.sign_index import CHUNK_CODES, SignIndex, signs


def codes(*seeds: int) -> bytes:
    return b"".join(signs(make_vector(seed)) for seed in seeds)


def test_each_reference_answers_with_its_nearest_view() -> None:
    index = SignIndex.build([codes(1, 2, 3), b"", codes(4)], DIMENSION)
    bits = index.nearest(make_vector(2))
    assert bits[0] == 0
    assert bits[1] == index.unknown == DIMENSION + 1
    assert bits[2] == int(((make_vector(2) > 0) != (make_vector(4) > 0)).sum())


def test_many_codes_are_all_looked_at() -> None:
    rng = np.random.default_rng(0)
    vectors = rng.standard_normal((CHUNK_CODES + 3, DIMENSION)).astype(np.float32)
    index = SignIndex.build([signs(vectors[:CHUNK_CODES]), signs(vectors[CHUNK_CODES:])], DIMENSION)
    assert index.nearest(vectors[-1])[1] == 0
    expected = ((vectors[:CHUNK_CODES] > 0) != (vectors[-1] > 0)).sum(axis=1).min()
    assert index.nearest(vectors[-1])[0] == expected


def test_without_views_everything_is_unknown() -> None:
    index = SignIndex.build([b"", b""], 0)
    assert index.nearest(make_vector(0)).tolist() == [index.unknown] * 2
    assert SignIndex.build([], DIMENSION).nearest(make_vector(0)).shape == (0,)


def test_the_angle_is_the_share_of_signs() -> None:
    one, other = (make_vector(seed, dimension=8192) for seed in (1, 2))
    between = (one + other) / np.linalg.norm(one + other)
    bits = SignIndex.build([signs(one)], 8192).nearest(between.astype(np.float32))
    assert np.cos(np.pi * bits[0] / 8192) == pytest.approx(float(one @ between), abs=0.03)


@pytest.mark.parametrize(("code", "bits"), [(bytes(7), DIMENSION), (bytes(8), 0), (bytes(5), 40)])
def test_codes_that_do_not_fit_are_refused(code: bytes, bits: int) -> None:
    with pytest.raises(IntegrityError, match="codes"):
        SignIndex.build([code], bits)
