import numpy as np

from tests.index_factories import DIMENSION, make_vector
from workers.encoders.embeddings import dimension_of, from_bytes, is_finite, to_bytes


def test_a_vector_is_kept_to_three_digits() -> None:
    vectors = [make_vector(seed, dimension=512) for seed in range(50)]
    kept = from_bytes([to_bytes(vector) for vector in vectors])
    assert kept.dtype == np.float32
    assert dimension_of(to_bytes(make_vector(0))) == DIMENSION
    exact = np.stack(vectors)
    assert np.abs(kept @ exact.T - exact @ exact.T).max() < 1e-4
    assert from_bytes([]).shape == (0, 0)


def test_every_number_of_sixteen_bits_is_told_from_what_is_none() -> None:
    numbers = np.arange(1 << 16, dtype="<u2")
    told = [is_finite(number.tobytes()) for number in numbers]
    assert told == np.isfinite(numbers.view("<f2")).tolist()
    assert is_finite(b"")
