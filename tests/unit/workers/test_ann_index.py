import struct
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from shared.errors import IntegrityError
from tests.index_factories import DIMENSION, make_vector
from workers.ann_index import FETCH, PROJECTED, AnnIndex, BuildStoppedError, Floors, Graph, GraphImage
from workers.embeddings import STORED, Stored, Vectors
from workers.memory_file import MemoryFile

EXACT = 1_000_000
GRAPH = 0


def stack(count: int, *, dimension: int = DIMENSION) -> Vectors:
    if not count:
        return np.empty((0, dimension), np.float32)
    return np.stack([make_vector(seed, dimension=dimension) for seed in range(count)])


def kept(vectors: Vectors) -> Stored:
    return vectors.astype(STORED)


def floors(count: int, floor: float = 0.9) -> Floors:
    return Floors(np.full(1, floor, dtype=np.float32), np.zeros(count, dtype=np.int32))


@pytest.mark.parametrize("exact_limit", [EXACT, GRAPH])
@pytest.mark.parametrize("count", [1, 2, 3, 50, 300])
def test_every_vector_finds_itself(count: int, exact_limit: int) -> None:
    vectors = stack(count)
    index = AnnIndex.build(kept(vectors), exact_limit=exact_limit)
    assert (index.graph is None) == (exact_limit == EXACT)
    found = index.candidates(vectors, floors(count, 0.995))
    assert [rows.tolist() for rows in found] == [[row] for row in range(count)]


def test_an_empty_index_finds_nothing() -> None:
    found = AnnIndex.build(kept(stack(0))).candidates(stack(2), floors(0))
    assert [rows.tolist() for rows in found] == [[], []]


@pytest.mark.parametrize("exact_limit", [EXACT, GRAPH])
def test_rows_with_an_infinite_floor_are_never_found(exact_limit: int) -> None:
    vectors = stack(100)
    limits = Floors(np.array([0.9, np.inf], np.float32), (np.arange(100) == 7).astype(np.int32))
    index = AnnIndex.build(kept(vectors), exact_limit=exact_limit)
    assert index.candidates(vectors[7:8], limits)[0].tolist() == []
    assert index.candidates(vectors[8:9], limits)[0].tolist() == [8]
    assert index.candidates(vectors[7:8], floors(100, np.inf))[0].tolist() == []


def test_a_graph_is_asked_for_more_while_the_end_of_its_answer_holds_candidates() -> None:
    vectors = stack(900)
    expected = np.flatnonzero(vectors @ vectors[0] >= -0.1).tolist()
    assert len(expected) > FETCH[1]
    index = AnnIndex.build(kept(vectors), exact_limit=GRAPH)
    found = index.candidates(vectors[:1], floors(900, -0.1))[0].tolist()
    assert len(set(found) ^ set(expected)) <= 2  # half precision rounds


def test_of_a_crowd_larger_than_the_last_fetch_the_nearest_are_candidates() -> None:
    vectors = stack(FETCH[-1] + 300)
    index = AnnIndex.build(kept(vectors), exact_limit=GRAPH)
    (found,) = index.candidates(vectors[3:4], floors(len(vectors), -1.0))
    assert len(found) == FETCH[-1]
    assert 3 in found


def test_a_small_set_is_found_behind_a_crowd_of_others() -> None:
    # 2,000 rows are the query itself and belong to a set that wants nothing less; two far off belong to another.
    query = make_vector(0)
    vectors = np.stack([query] * 2000 + [make_vector(1), query])
    limits = Floors(np.array([0.9, -1.0], np.float32), (np.arange(2002) >= 2000).astype(np.int32))
    index = AnnIndex.build(kept(vectors), [(0, 2000), (2000, 2002)], exact_limit=GRAPH)
    assert index.candidates(query[None], limits)[0].tolist()[-2:] == [2000, 2001]


def test_the_graph_holds_fewer_dimensions_and_the_kept_vectors_decide() -> None:
    vectors = stack(600, dimension=512)
    index = AnnIndex.build(kept(vectors), exact_limit=GRAPH)
    assert index.graph is not None
    assert index.graph.axes.shape == (512, PROJECTED)
    near = vectors + 0.5 * stack(600, dimension=512)[::-1]
    near /= np.linalg.norm(near, axis=1, keepdims=True)
    found = index.candidates(near, floors(600, 0.7))
    assert sum(rows.tolist() == [row] for row, rows in enumerate(found)) == 600


def test_a_graph_that_reaches_fewer_nodes_than_asked_for_is_passed_by() -> None:
    class Unreachable:
        def knn_query(self, query: Vectors, k: int, num_threads: int) -> None:
            raise RuntimeError("Cannot return the results in a contiguous 2D array. Probably ef or M is too small")

    vectors = stack(300)
    built = AnnIndex.build(kept(vectors), exact_limit=GRAPH)
    broken = replace(built, graph=Graph(Unreachable(), np.eye(DIMENSION, dtype=np.float32)))
    found = broken.candidates(vectors, floors(300, 0.995))
    assert [rows.tolist() for rows in found] == [[row] for row in range(300)]


def test_another_dimension_is_an_error() -> None:
    with pytest.raises(ValueError, match="64 dimensions"):
        AnnIndex.build(kept(stack(3))).candidates(np.zeros((1, DIMENSION + 1), np.float32), floors(3))


def image_of(index: AnnIndex) -> GraphImage:
    image = index.graph_image()
    assert image is not None
    return image


@pytest.mark.parametrize("dimension", [DIMENSION, 192])
def test_a_graph_survives_as_an_image(dimension: int) -> None:
    vectors = stack(300, dimension=dimension)
    image = image_of(AnnIndex.build(kept(vectors), exact_limit=GRAPH))
    restored = AnnIndex.from_graph(kept(vectors), [], image)
    found = restored.candidates(vectors, floors(300, 0.995))
    assert [rows.tolist() for rows in found] == [[row] for row in range(300)]
    assert AnnIndex.build(kept(vectors)).graph_image() is None


def _with_word(data: bytes, word: int, value: int) -> bytes:
    return data[: 8 * word] + struct.pack("<Q", value) + data[8 * word + 8 :]


@pytest.mark.parametrize(
    ("axes", "spoil"),
    [
        (lambda axes: axes[:0], bytes),
        (lambda axes: axes[:40], bytes),
        (lambda axes: struct.pack("<II", 64, 65) + axes[8:], bytes),
        (lambda axes: struct.pack("<II", 64, 0) + axes[8:], bytes),
        (lambda axes: struct.pack("<II", 63, 63) + axes[8:], bytes),
        (bytes, lambda data: data[:0]),
        (bytes, lambda data: data[:40]),
        (bytes, lambda data: data[: len(data) // 2]),
        (bytes, lambda data: _with_word(data, 1, 10)),
        (bytes, lambda data: _with_word(data, 2, 99)),
        (bytes, lambda data: _with_word(data, 2, 101)),
        (bytes, lambda data: _with_word(data, 3, 1 << 40)),
        (bytes, lambda data: _with_word(data, 4, 12)),
        (bytes, lambda data: _with_word(data, 5, 12)),
    ],
)
def test_a_graph_that_is_not_its_vectors_never_reaches_the_library(
    axes: Callable[[bytes], bytes], spoil: Callable[[bytes], bytes]
) -> None:
    vectors = stack(100)
    image = image_of(AnnIndex.build(kept(vectors), exact_limit=GRAPH))
    spoiled = GraphImage(axes=axes(image.axes), file=MemoryFile.of(spoil(bytes(image.file.map()))))
    with pytest.raises(IntegrityError, match="graph"):
        AnnIndex.from_graph(kept(vectors), [], spoiled)


def test_building_stops_when_told() -> None:
    with pytest.raises(BuildStoppedError):
        AnnIndex.build(kept(stack(10)), exact_limit=GRAPH, stopped=lambda: True)
