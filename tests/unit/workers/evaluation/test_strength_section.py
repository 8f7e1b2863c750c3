"""The strength table from made-up answers."""

import math

from tests.evaluation_doubles import Counting
from tests.image_factories import make_picture
from workers.evaluation.measuring import ask, enrol
from workers.evaluation.pictures import Picture, Split
from workers.evaluation.strength_section import strength_queries, strength_query_count, strength_table
from workers.evaluation.strengths import STRENGTHS


def picture(seed: int) -> Picture:
    return Picture(source="s", group="g", stratum="x", opener=lambda: make_picture(64, 48, seed=seed))


def quiet(_what: str, _done: int, _count: int) -> None:
    pass


def test_one_line_a_strength_and_a_column_a_method() -> None:
    split = Split(references=(picture(1), picture(2)), distractors=(), negatives=())
    method = Counting()  # always names the first reference first
    enrol([method], split.references, quiet)
    measured = ask([method], strength_queries(split, 2), strength_query_count(2), quiet)
    assert len(measured.names) == strength_query_count(2)
    table = strength_table(measured, 2)
    assert len(table.rows) == sum(map(len, STRENGTHS.values()))
    assert {line["counting"] for line in table.rows} == {0.5}
    assert [column.key for column in table.columns] == ["transformation", "strength", "counting"]


def test_what_was_not_asked_is_no_zero() -> None:
    split = Split(references=(picture(1),), distractors=(), negatives=())
    method = Counting()
    enrol([method], split.references, quiet)
    first = next(iter(strength_queries(split, 1)))
    table = strength_table(ask([method], [first], 1, quiet), 1)
    assert table.rows[0]["counting"] == 1.0
    assert isinstance(rest := table.rows[-1]["counting"], float)
    assert math.isnan(rest)
