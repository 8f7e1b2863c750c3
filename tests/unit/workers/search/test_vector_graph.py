import struct
from collections.abc import Callable
from dataclasses import replace
from functools import cache

import numpy as np
import pytest

from benchmarks.made_up_vectors import copies, make_vectors
from shared.errors import IntegrityError
from tests.index_factories import DIMENSION, make_vector
from tests.vector_factories import floors, kept, stack
from workers.encoders.embeddings import STORED, Vectors
from workers.search.ann_index import AnnIndex, Floors
from workers.search.memory_file import MemoryFile
from workers.search.vector_codes import BuildStoppedError
from workers.search.vector_graph import DIRECTIONS, FETCH, LEAST_HELD, Axes, GraphImage, VectorGraph, prints_of

COUNT = 4000


@cache
def of_the_encoders_kind() -> tuple[Vectors, VectorGraph]:
    vectors = make_vectors(COUNT, 1)
    return vectors, VectorGraph.build(kept(vectors))


def with_graph(vectors: Vectors, graph: VectorGraph | None = None) -> tuple[AnnIndex, list[bool]]:
    """Return an index with a graph, and what it will have said of each search."""
    answered: list[bool] = []
    index = AnnIndex.build(kept(vectors), exact_limit=0)
    return index.with_graph(graph or VectorGraph.build(kept(vectors)), answered.append), answered


@pytest.mark.parametrize("floor", [0.5, 0.63])
def test_a_graph_finds_what_exact_search_finds(floor: float) -> None:
    vectors, graph = of_the_encoders_kind()
    index, answered = with_graph(vectors, graph)
    queries = np.concatenate([copies(vectors[:100], 0.75, 4), make_vectors(100, 2)])
    expected = AnnIndex.exact(kept(vectors)).candidates(queries, floors(COUNT, floor))
    found = index.candidates(queries, floors(COUNT, floor))
    assert all(answered)
    assert all(np.isin(rows, wanted).all() for rows, wanted in zip(found, expected, strict=True))
    lost = sum(len(np.setdiff1d(wanted, rows)) for rows, wanted in zip(found, expected, strict=True))
    assert lost <= 0.002 * sum(map(len, expected))


def test_axes_hold_nearly_all_of_the_encoders_vectors_and_too_little_of_even_ones() -> None:
    vectors, _ = of_the_encoders_kind()
    axes = Axes.of(kept(vectors))
    along = vectors @ axes.directions.T
    assert axes.directions.shape == (DIRECTIONS, vectors.shape[1])
    assert axes.held == pytest.approx(float((along**2).sum() / (vectors**2).sum()), abs=1e-3)
    assert axes.held == pytest.approx(0.98, abs=0.01)
    assert axes.enough
    even = Axes.of(kept(make_vectors(COUNT, 1, "even")))
    assert even.held < LEAST_HELD
    assert not even.enough
    assert Axes.of(kept(stack(0))).enough


def test_where_more_than_it_can_name_reach_the_floor_codes_answer() -> None:
    vectors, graph = of_the_encoders_kind()
    index, answered = with_graph(vectors, graph)
    (found,) = index.candidates(vectors[:1], floors(COUNT, -0.05))
    assert answered == [False]
    assert len(found) == FETCH[-1]
    (found,) = index.candidates(vectors[:1], floors(COUNT, 0.6))
    assert answered == [False, True]
    assert 0 in found


def test_what_a_graph_leaves_out_is_under_the_floor() -> None:
    vectors, graph = of_the_encoders_kind()
    for query in copies(vectors[:20], 0.9, 5):
        nodes = graph.reaching(query, 0.55)
        assert nodes is not None
        left = np.setdiff1d(np.arange(COUNT), np.flatnonzero(np.isin(prints_of(kept(vectors)), graph.prints[nodes])))
        assert (vectors[left] @ query).max() < 0.55


def test_vectors_that_lie_evenly_are_mostly_left_to_the_codes_and_none_is_lost() -> None:
    vectors = make_vectors(3000, 1, "even")
    index, answered = with_graph(vectors)
    queries = copies(vectors[:50], 0.9, 4, "even")
    found = index.candidates(queries, floors(3000, 0.5))
    assert answered.count(False) > 25
    assert all(row in rows for row, rows in enumerate(found))


@pytest.mark.parametrize("count", [1, 2, 3, 50, 300])
def test_every_vector_finds_itself(count: int) -> None:
    vectors = stack(count)
    index, answered = with_graph(vectors)
    found = index.candidates(vectors, floors(count, 0.995))
    assert [rows.tolist() for rows in found] == [[row] for row in range(count)]
    assert answered == [True] * count


def test_an_empty_graph_finds_nothing() -> None:
    index, _ = with_graph(stack(0))
    assert [rows.tolist() for rows in index.candidates(stack(1), floors(0, 0.5))] == [[]]
    empty = VectorGraph.read(VectorGraph.build(kept(stack(0))).image(), DIMENSION)
    nodes = empty.reaching(make_vector(1), 0.5)
    assert nodes is not None
    assert nodes.tolist() == []


def test_all_rows_of_one_vector_are_found() -> None:
    # A graph of 1,500 nodes in one place leads out of it no more, or not into it.
    vectors = np.concatenate([stack(200), np.repeat(stack(1), 900, axis=0)])
    index, answered = with_graph(vectors)
    (found,) = index.candidates(vectors[:1], floors(len(vectors), 0.995))
    assert found.tolist() == [0, *range(200, 1100)]
    assert answered == [True]


def test_a_graph_serves_an_index_that_has_changed_since() -> None:
    vectors = stack(400)
    graph = VectorGraph.build(kept(vectors[:300]))
    later = vectors[100:][::-1].copy()
    index, answered = with_graph(later, graph)
    assert index.graph is not None
    assert index.graph.worn
    found = index.candidates(later, floors(300, 0.995))
    assert [rows.tolist() for rows in found] == [[row] for row in range(300)]
    assert [rows.tolist() for rows in index.candidates(vectors[:100], floors(300, 0.995))] == [[]] * 100
    assert all(answered)


def test_a_little_that_came_and_went_does_not_wear_a_graph_out() -> None:
    vectors = stack(400)
    graph = VectorGraph.build(kept(vectors[:380]))
    for changed, worn in ((vectors[10:], False), (vectors[:330], True), (vectors[:380], False)):
        index, _ = with_graph(changed, graph)
        assert index.graph is not None
        assert index.graph.worn == worn


def test_a_graph_of_other_vectors_and_one_without_codes_are_left_out() -> None:
    graph = VectorGraph.build(kept(stack(300)))
    assert with_graph(stack(900)[300:], graph)[0].graph is None
    assert AnnIndex.build(kept(stack(300))).with_graph(graph).graph is None


def test_a_set_without_a_floor_is_not_found() -> None:
    vectors = stack(100)
    index, _ = with_graph(vectors)
    limits = Floors(np.array([0.9, np.inf], np.float32), (np.arange(100) == 7).astype(np.int32))
    assert index.candidates(vectors[7:8], limits)[0].tolist() == []
    assert index.candidates(vectors[8:9], limits)[0].tolist() == [8]


def test_a_library_that_reaches_fewer_than_asked_for_leaves_it_to_the_codes() -> None:
    class Unreachable:
        def knn_query(self, query: Vectors, k: int, num_threads: int) -> None:
            raise RuntimeError("Cannot return the results in a contiguous 2D array. Probably ef or M is too small")

    vectors = stack(300)
    index, answered = with_graph(vectors, replace(VectorGraph.build(kept(vectors)), index=Unreachable()))
    found = index.candidates(vectors, floors(300, 0.995))
    assert [rows.tolist() for rows in found] == [[row] for row in range(300)]
    assert not any(answered)


@pytest.mark.parametrize("dimension", [10, DIMENSION, 192])
def test_a_graph_survives_as_an_image(dimension: int) -> None:
    vectors = stack(300, dimension=dimension)
    graph = VectorGraph.build(kept(vectors))
    assert len(graph.axes) == min(DIRECTIONS, dimension)
    index, answered = with_graph(vectors, VectorGraph.read(graph.image(), dimension))
    found = index.candidates(vectors, floors(300, 0.998))
    assert [rows.tolist() for rows in found] == [[row] for row in range(300)]
    assert all(answered)


def _with_word(data: bytes, word: int, value: int) -> bytes:
    return data[: 8 * word] + struct.pack("<Q", value) + data[8 * word + 8 :]


def _unsorted(prints: bytes) -> bytes:
    return prints[8:16] + prints[:8] + prints[16:]


@pytest.mark.parametrize(
    ("column", "spoil"),
    [
        ("axes", lambda axes: axes[:0]),
        ("axes", lambda axes: axes[:40]),
        ("axes", lambda axes: struct.pack("<f", float("nan")) + axes[4:]),
        ("prints", lambda prints: prints[:-8]),
        ("prints", lambda prints: prints[:-1]),
        ("prints", _unsorted),
        ("file", lambda data: data[:0]),
        ("file", lambda data: data[:40]),
        ("file", lambda data: data[: len(data) // 2]),
        ("file", lambda data: data[:-16]),
        ("file", lambda data: data + b"more"),
        ("file", lambda data: data[:96] + bytes(len(data) - 96)),
        *[
            ("file", lambda data, word=word, value=value: _with_word(data, word, value))
            for word, value in [
                (0, 8),  # level 0 offset
                (1, 10),  # capacity
                (2, 99),  # elements
                (2, 101),
                (3, 1 << 40),  # bytes of an element
                (4, 12),  # label offset
                (5, 12),  # data offset
                (6, 101 << 32),  # entry point
                (6, 40),  # highest level
                (7, 1 << 20),  # links
                (8, 1 << 20),
                (9, 1 << 20),
            ]
        ],
    ],
)
def test_a_graph_that_is_not_its_vectors_never_reaches_a_search(column: str, spoil: Callable[[bytes], bytes]) -> None:
    image = VectorGraph.build(kept(stack(100))).image()
    files = {"axes": image.axes.tobytes(), "prints": image.prints.tobytes(), "file": bytes(image.file.map())}
    files[column] = spoil(files[column])
    spoiled = GraphImage(
        axes=np.frombuffer(files["axes"], np.uint8),
        prints=np.frombuffer(files["prints"], np.uint8),
        file=MemoryFile.of(files["file"]),
    )
    with pytest.raises(IntegrityError, match="graph"):
        VectorGraph.read(spoiled, DIMENSION)


def test_a_graph_of_another_dimension_is_refused() -> None:
    with pytest.raises(IntegrityError, match="such vectors"):
        VectorGraph.read(VectorGraph.build(kept(stack(100))).image(), DIMENSION + 1)


def test_vectors_that_differ_in_their_signs_have_prints_of_their_own() -> None:
    signs = 1 - 2 * ((np.arange(1 << 12)[:, None] >> np.arange(12)) & 1)
    prints = prints_of(np.concatenate([signs, np.ones((1 << 12, 4))], axis=1).astype(STORED))
    assert len(np.unique(prints)) == 1 << 12


def test_building_stops_when_told() -> None:
    with pytest.raises(BuildStoppedError):
        VectorGraph.build(kept(stack(10)), lambda: True)
