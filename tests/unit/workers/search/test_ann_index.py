import numpy as np
import pytest

from shared.errors import IntegrityError
from tests.index_factories import DIMENSION, make_vector
from tests.vector_factories import floors, kept, stack
from workers.search.ann_index import MOST, AnnIndex, Floors
from workers.search.vector_codes import BuildStoppedError, CodeImage

EXACT = 1_000_000
CODES = 0


@pytest.mark.parametrize("exact_limit", [EXACT, CODES])
@pytest.mark.parametrize("count", [1, 2, 3, 50, 300])
def test_every_vector_finds_itself(count: int, exact_limit: int) -> None:
    vectors = stack(count)
    index = AnnIndex.build(kept(vectors), exact_limit=exact_limit)
    assert (index.codes is None) == (exact_limit == EXACT)
    found = index.candidates(vectors, floors(count, 0.995))
    assert [rows.tolist() for rows in found] == [[row] for row in range(count)]


@pytest.mark.parametrize("exact_limit", [EXACT, CODES])
def test_an_empty_index_finds_nothing(exact_limit: int) -> None:
    found = AnnIndex.build(kept(stack(0)), exact_limit=exact_limit).candidates(stack(2), floors(0))
    assert [rows.tolist() for rows in found] == [[], []]


@pytest.mark.parametrize("exact_limit", [EXACT, CODES])
def test_rows_with_an_infinite_floor_are_never_found(exact_limit: int) -> None:
    vectors = stack(100)
    limits = Floors(np.array([0.9, np.inf], np.float32), (np.arange(100) == 7).astype(np.int32))
    index = AnnIndex.build(kept(vectors), exact_limit=exact_limit)
    assert index.candidates(vectors[7:8], limits)[0].tolist() == []
    assert index.candidates(vectors[8:9], limits)[0].tolist() == [8]
    assert index.candidates(vectors[7:8], floors(100, np.inf))[0].tolist() == []


def test_codes_find_what_exact_search_finds_however_low_the_floor() -> None:
    vectors = stack(900, dimension=512)
    for floor in (-1.0, -0.1, 0.0, 0.1):
        expected = np.flatnonzero(vectors @ vectors[0] >= floor)
        (found,) = AnnIndex.build(kept(vectors), exact_limit=CODES).candidates(vectors[:1], floors(900, floor))
        differing = np.setxor1d(found, expected)
        # Half precision rounds, and one in 370 of those just at the floor may be passed over.
        assert len(differing) <= 2
        assert np.abs(vectors[differing] @ vectors[0] - floor).max(initial=0.0) < 0.01


def test_of_a_crowd_the_nearest_are_candidates() -> None:
    vectors = stack(MOST + 300)
    index = AnnIndex.build(kept(vectors), exact_limit=CODES)
    (found,) = index.candidates(vectors[3:4], floors(len(vectors), -1.0))
    assert len(found) == MOST
    farthest = np.setdiff1d(np.arange(len(vectors)), found)
    cosines = vectors @ vectors[3]
    assert cosines[found].min() >= cosines[farthest].max() - 0.001


def test_a_small_set_is_found_beside_a_crowd_of_others() -> None:
    # 900 rows are the query itself and belong to a set that wants nothing less; two far off belong to another.
    query = make_vector(0)
    vectors = np.stack([query] * 900 + [make_vector(1), query])
    limits = Floors(np.array([0.9, -1.0], np.float32), (np.arange(902) >= 900).astype(np.int32))
    index = AnnIndex.build(kept(vectors), exact_limit=CODES)
    assert index.candidates(query[None], limits)[0].tolist()[-2:] == [900, 901]


def test_the_codes_propose_and_the_kept_vectors_decide() -> None:
    vectors = stack(600, dimension=512)
    index = AnnIndex.build(kept(vectors), exact_limit=CODES)
    near = vectors + 0.5 * stack(600, dimension=512)[::-1]
    near /= np.linalg.norm(near, axis=1, keepdims=True)
    found = index.candidates(near, floors(600, 0.7))
    assert sum(rows.tolist() == [row] for row, rows in enumerate(found)) == 600


def test_another_dimension_is_an_error() -> None:
    with pytest.raises(ValueError, match="64 dimensions"):
        AnnIndex.build(kept(stack(3))).candidates(np.zeros((1, DIMENSION + 1), np.float32), floors(3))


def image_of(index: AnnIndex) -> CodeImage:
    image = index.code_image()
    assert image is not None
    return image


@pytest.mark.parametrize("dimension", [DIMENSION, 192])
def test_codes_survive_as_an_image(dimension: int) -> None:
    vectors = stack(300, dimension=dimension)
    image = image_of(AnnIndex.build(kept(vectors), exact_limit=CODES))
    restored = AnnIndex.coded(kept(vectors), image)
    found = restored.candidates(vectors, floors(300, 0.995))
    assert [rows.tolist() for rows in found] == [[row] for row in range(300)]
    assert AnnIndex.build(kept(vectors)).code_image() is None


def test_codes_of_other_vectors_are_refused() -> None:
    image = image_of(AnnIndex.build(kept(stack(100)), exact_limit=CODES))
    with pytest.raises(IntegrityError, match="not those of its vectors"):
        AnnIndex.coded(kept(stack(101)), image)


def test_building_stops_when_told() -> None:
    with pytest.raises(BuildStoppedError):
        AnnIndex.build(kept(stack(10)), exact_limit=CODES, stopped=lambda: True)
