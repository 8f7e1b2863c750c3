"""An index at any size: what it is asked, and what was aimed at."""

import numpy as np

from benchmarks.index_scale import QUERIES, calibration, even_quality, graph_quality, make_view, quality, targets
from benchmarks.made_up_index import shipped_index_id, table
from workers.evaluation.tables import Cell
from workers.search.ann_index import AnnIndex
from workers.search.segment import Segment


def test_a_small_index_finds_all_that_it_is_asked_for() -> None:
    segment = Segment.build(table(60, 7, shipped_index_id(), views=2))
    assert len(segment.references) < QUERIES
    figures = quality(segment)
    assert {kind: figures[kind] for kind in ("recall, cosine 0.9", "same vector", "same bytes")} == {
        "recall, cosine 0.9": 1.0,
        "same vector": 1.0,
        "same bytes": 1.0,
    }
    view = make_view(segment, np.ones(60, dtype=np.bool_), calibration())
    assert sum(facts.size for facts in view.sets.values()) == 60
    assert len(view.sets) == 7


def test_a_graph_is_asked_the_same_where_there_are_codes() -> None:
    references = table(60, 7, shipped_index_id())
    assert graph_quality(Segment.build(references)) == {}
    figures = graph_quality(Segment.build(references, lambda stored: AnnIndex.build(stored, exact_limit=0)))
    assert {kind: figures[f"graph: {kind}"] for kind in ("recall, cosine 0.9", "answered", "same vector")} == {
        "recall, cosine 0.9": 1.0,
        "answered": 1.0,
        "same vector": 1.0,
    }
    assert figures["graph: over a floor, of the codes'"] == 1.0


def test_even_vectors_are_found_too() -> None:
    assert set(even_quality(40).values()) == {1.0}


def test_every_size_has_its_targets_and_the_largest_tells_the_memory() -> None:
    recalls = ("recall, cosine 0.9", "less 30 %, cosine 0.9")
    kinds = ("Redis / files", *recalls, *(f"even, {kind}" for kind in recalls), "same bytes")
    rows: list[dict[str, Cell]] = [
        {"references": 10, **dict.fromkeys(kinds, 1.0), "GB a million": 9.0},
        {"references": 20, **dict.fromkeys(kinds, 0.5), "GB a million": 2.0},
    ]
    met = [aim["met"] for aim in targets(rows)]
    assert met == [True] * 7 + [False] * 5 + [True]
