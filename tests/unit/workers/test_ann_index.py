import struct
from collections.abc import Callable

import numpy as np
import pytest

from shared.errors import IntegrityError
from tests.index_factories import DIMENSION, make_vector
from workers.ann_index import AnnIndex, BuildStoppedError, Vectors

EXACT = 1_000_000
GRAPH = 0


def stack(count: int) -> Vectors:
    return np.stack([make_vector(seed) for seed in range(count)]) if count else np.empty((0, 0), np.float32)


def floors(count: int, floor: float = 0.9) -> Vectors:
    return np.full(count, floor, dtype=np.float32)


@pytest.mark.parametrize("exact_limit", [EXACT, GRAPH])
@pytest.mark.parametrize("count", [1, 2, 3, 50, 300])
def test_every_vector_finds_itself(count: int, exact_limit: int) -> None:
    vectors = stack(count)
    index = AnnIndex.build(vectors, exact_limit=exact_limit)
    assert (index.graph is None) == (exact_limit == EXACT)
    found = index.candidates(vectors, floors(count, 0.999))
    assert [rows.tolist() for rows in found] == [[row] for row in range(count)]


def test_an_empty_index_finds_nothing() -> None:
    found = AnnIndex.build(stack(0)).candidates(stack(2), floors(0))
    assert [rows.tolist() for rows in found] == [[], []]


@pytest.mark.parametrize("exact_limit", [EXACT, GRAPH])
def test_rows_with_an_infinite_floor_are_never_found(exact_limit: int) -> None:
    vectors = stack(100)
    limits = floors(100)
    limits[7] = np.inf
    index = AnnIndex.build(vectors, exact_limit=exact_limit)
    assert index.candidates(vectors[7:8], limits)[0].tolist() == []
    assert index.candidates(vectors[7:8], floors(100, np.inf))[0].tolist() == []


def test_a_graph_whose_answer_overflows_is_checked_exactly() -> None:
    vectors = stack(500)
    expected = np.flatnonzero(vectors @ vectors[0] >= -0.5).tolist()
    assert len(expected) > 400
    index = AnnIndex.build(vectors, exact_limit=GRAPH)
    assert index.candidates(vectors[:1], floors(500, -0.5))[0].tolist() == expected


def test_a_small_set_is_found_behind_a_crowd_of_others() -> None:
    # 400 rows are the query itself and belong to a set that does not want them; two rows far off belong to another.
    query = make_vector(0)
    vectors = np.stack([query] * 400 + [make_vector(1), query])
    limits = floors(402, np.inf)
    limits[400:] = -1.0
    index = AnnIndex.build(vectors, exact_limit=GRAPH)
    assert index.candidates(query[None], limits, [(400, 402)])[0].tolist() == [400, 401]


def test_another_dimension_is_an_error() -> None:
    with pytest.raises(ValueError, match="64 dimensions"):
        AnnIndex.build(stack(3)).candidates(np.zeros((1, DIMENSION + 1), np.float32), floors(3))


def test_a_graph_survives_as_bytes() -> None:
    vectors = stack(300)
    data = AnnIndex.build(vectors, exact_limit=GRAPH).graph_bytes()
    restored = AnnIndex.from_graph(vectors, data)
    found = restored.candidates(vectors, floors(300, 0.999))
    assert [rows.tolist() for rows in found] == [[row] for row in range(300)]
    assert AnnIndex.build(vectors).graph_bytes() == b""


def _with_word(data: bytes, word: int, value: int) -> bytes:
    return data[: 8 * word] + struct.pack("<Q", value) + data[8 * word + 8 :]


@pytest.mark.parametrize(
    "spoil",
    [
        lambda data: data[:0],
        lambda data: data[:40],
        lambda data: data[: len(data) // 2],
        lambda data: _with_word(data, 1, 10),
        lambda data: _with_word(data, 2, 99),
        lambda data: _with_word(data, 2, 101),
        lambda data: _with_word(data, 3, 1 << 40),
        lambda data: _with_word(data, 4, 12),
        lambda data: _with_word(data, 5, 12),
    ],
)
def test_a_graph_that_is_not_its_vectors_never_reaches_the_library(spoil: Callable[[bytes], bytes]) -> None:
    vectors = stack(100)
    data = AnnIndex.build(vectors, exact_limit=GRAPH).graph_bytes()
    with pytest.raises(IntegrityError, match="graph"):
        AnnIndex.from_graph(vectors, spoil(data))


def test_building_stops_when_told() -> None:
    with pytest.raises(BuildStoppedError):
        AnnIndex.build(stack(10), exact_limit=GRAPH, stopped=lambda: True)
