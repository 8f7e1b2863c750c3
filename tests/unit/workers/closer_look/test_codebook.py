import io

import numpy as np
import pytest

from shared.errors import IntegrityError
from tests.local_feature_factories import plane
from workers.closer_look.codebook import CELLS, DIMENSION, SIGNS, read_codebook, shipped_codebook
from workers.closer_look.local_features import extract


def file_of(**tables: object) -> bytes:
    stream = io.BytesIO()
    np.savez(stream, **tables)  # type: ignore[arg-type]
    return stream.getvalue()


def shipped_tables() -> dict[str, object]:
    codebook = shipped_codebook()
    return {key: getattr(codebook, key).astype(np.float16) for key in ("centroids", "words", "rotation")}


def test_a_descriptor_survives_its_code() -> None:
    codebook = shipped_codebook()
    descriptors = extract(plane("poster", 1)).descriptors
    codes = codebook.encode(descriptors)
    decoded = codebook.decode(codes)
    assert codes.shape == (len(descriptors), CELLS)
    assert decoded.shape == (len(descriptors), DIMENSION)
    # Unrelated descriptors of this picture are 1.0 apart in the median (squared).
    assert float(np.median(((decoded - descriptors) ** 2).sum(1))) < 0.25


def test_codes_name_the_nearest_centroids() -> None:
    codebook = shipped_codebook()
    numbers = np.arange(256).repeat(CELLS).reshape(256, CELLS).astype(np.uint8)
    again = codebook.decode(codebook.encode(codebook.decode(numbers)))
    assert np.allclose(again, codebook.decode(numbers), atol=1e-2)


def test_word_distances_order_as_squared_distances_do() -> None:
    codebook = shipped_codebook()
    descriptors = np.random.default_rng(1).random((5, DIMENSION)).astype(np.float32)
    distances = codebook.word_distances(descriptors)
    assert distances.shape == (2, 5, 256)
    halves = descriptors.reshape(5, 2, -1)
    for half in range(2):
        exact = ((halves[:, half, None] - codebook.words[half][None]) ** 2).sum(2)
        assert distances[half].argmin(1).tolist() == exact.argmin(1).tolist()


def test_rotating_a_sum_of_words_is_summing_rotated_words() -> None:
    codebook = shipped_codebook()
    rotated = codebook.rotated_words()
    whole = np.concatenate((codebook.words[0][7], codebook.words[1][200])) @ codebook.rotation
    assert rotated.shape == (2, 256, SIGNS)
    assert np.allclose(rotated[0, 7] + rotated[1, 200], whole, atol=1e-4)


def test_a_codebook_is_named_by_its_bytes() -> None:
    tables = shipped_tables()
    changed = {**tables, "words": -tables["words"]}  # type: ignore[operator]
    assert read_codebook(file_of(**tables)).name != read_codebook(file_of(**changed)).name


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"PK\x03\x04 not really",
        b"\x93NUMPY" + bytes(100),
        bytes(1_000_001),
        file_of(words=np.zeros(3, np.float16)),
        file_of(**(shipped_tables() | {"words": np.zeros((2, 256, 63), np.float16)})),
        file_of(**(shipped_tables() | {"words": np.full((2, 256, 64), np.nan, np.float16)})),
        file_of(**(shipped_tables() | {"words": np.array([{}], dtype=object)})),
    ],
    ids=["empty", "cut zip", "npy", "long", "tables missing", "wrong shape", "not finite", "pickled"],
)
def test_other_bytes_are_no_codebook(payload: bytes) -> None:
    with pytest.raises(IntegrityError):
        read_codebook(payload)
