"""Queries are asked of every method, once, in one order."""

import pytest
from PIL import Image

from tests.evaluation_doubles import Counting
from tests.image_factories import make_picture
from workers.evaluation.figures import NONE
from workers.evaluation.measuring import (
    NEGATIVE,
    Query,
    ask,
    enrol,
    recall_queries,
    recall_query_count,
    share_of,
)
from workers.evaluation.pictures import Picture, Split
from workers.transformations import LONG_SIDE


def picture(seed: int) -> Picture:
    return Picture(source=f"s{seed % 2}", group="g", stratum="x", opener=lambda: make_picture(64, 48, seed=seed))


SPLIT = Split(
    references=(picture(1), picture(2)), distractors=(picture(3),), negatives=(picture(4), picture(5), picture(6))
)
NAMES = ("crop50", "collage")


def quiet(_what: str, _done: int, _count: int) -> None:
    pass


def test_every_reference_under_every_name_then_the_negatives() -> None:
    queries = list(recall_queries(SPLIT, NAMES))
    assert len(queries) == recall_query_count(SPLIT, NAMES)
    assert [(q.name, q.number, q.source) for q in queries] == [
        ("crop50", 0, "s1"),
        ("collage", 0, "s1"),
        ("crop50", 1, "s0"),
        ("collage", 1, "s0"),
        *((NEGATIVE, NONE, source) for source in ("s0", "s1", "s0")),
    ]
    again = list(recall_queries(SPLIT, NAMES))
    assert [q.image.tobytes() for q in queries] == [q.image.tobytes() for q in again]
    assert queries[0].image.tobytes() != queries[2].image.tobytes()


def test_references_are_enrolled_once_at_one_size_by_every_method() -> None:
    methods = [Counting("a"), Counting("b")]
    seen: list[tuple[int, int]] = []
    enrol(methods, SPLIT.references, lambda _what, done, count: seen.append((done, count)))
    assert [method.was_ready for method in methods] == [1, 1]
    assert [max(size) for size in methods[1].enrolled] == [LONG_SIDE] * 2
    assert seen[-1] == (2, 2)


def test_answers_and_times_are_kept_query_by_query() -> None:
    methods = [Counting("a"), Counting("b", "gated")]
    enrol(methods, SPLIT.references, quiet)
    measured = ask(methods, recall_queries(SPLIT, NAMES), 7, quiet)
    assert [method.asked for method in methods] == [8, 8]  # the first query is asked twice, to warm up
    row = measured.row("b", "gated")
    assert row is not None
    assert row.label == "b, gated"
    assert row.rankings.numbers.shape == (7, 10)
    assert row.rankings.numbers[0, :3].tolist() == [0, 1, NONE]
    assert (row.rankings.seconds >= 0).all()
    assert measured.negatives.tolist() == [False] * 4 + [True] * 3
    assert measured.row("c") is None
    share = share_of(row.rankings.numbers[:, 0] == measured.truth, ~measured.negatives)
    assert share.share == 0.5


def test_no_queries_are_no_measurement() -> None:
    with pytest.raises(ValueError, match="no queries"):
        ask([Counting()], [], 0, quiet)


def test_a_query_without_anybody_beside_it() -> None:
    alone = Split(references=(picture(1),), distractors=(), negatives=())
    (query,) = recall_queries(alone, ("collage",))
    assert isinstance(query, Query)
    assert query.image.size > Image.new("RGB", (LONG_SIDE, 1)).size
