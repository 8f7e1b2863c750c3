"""Cells as readers and programs see them."""

import json
import math

import pytest

from workers.evaluation.tables import (
    Cell,
    Kind,
    Plot,
    Point,
    Report,
    Section,
    Table,
    as_json,
    as_text,
    columns,
    flow,
    heat_columns,
    shown,
)


@pytest.mark.parametrize(
    ("value", "kind", "text"),
    [
        (0.98765, "share", "0.988"),
        (0.0, "rate", "0"),
        (0.00031, "rate", "3.1e-04"),
        (0.0123, "rate", "0.0123"),
        (1234.4, "count", "1,234"),
        (1.234, "ms", "1.23"),
        (31.234, "ms", "31.2"),
        (True, "met", "met"),
        (False, "met", "missed"),
        (None, "met", "–"),
        (math.nan, "share", "–"),
        (math.inf, "number", "none"),
        ("<b>", "text", "<b>"),
    ],
)
def test_a_cell_is_shown(value: Cell, kind: Kind, text: str) -> None:
    assert shown(value, kind) == text


TABLE = Table(
    name="t",
    title="T",
    columns=(*columns(("method", "method", "text"), ("n", "queries", "count")), *heat_columns(["crop"])),
    rows=({"method": "PDQ", "n": 1200, "crop": 0.5}, {"method": "encoder", "n": 3, "crop": math.nan, "more": 1}),
)


def test_text_lines_up() -> None:
    assert as_text(TABLE).splitlines() == [
        "method   queries   crop",
        "-------  -------  -----",
        "PDQ        1,200  0.500",
        "encoder        3      –",
    ]


def test_a_wide_table_is_cut_into_blocks_that_say_whose_rows_they_are() -> None:
    assert as_text(TABLE, width=17).splitlines() == [
        "method   queries",
        "-------  -------",
        "PDQ        1,200",
        "encoder        3",
        "",
        "method    crop",
        "-------  -----",
        "PDQ      0.500",
        "encoder      –",
    ]
    assert as_text(TABLE, width=3).count("\n\n") == 1


def test_json_has_every_table_and_no_number_that_json_lacks() -> None:
    plot = Plot(
        name="p",
        title="P",
        x_title="x",
        y_title="y",
        points=(Point(label="a", x=math.inf, y=1.0),),
        series={"s": ((0.0, 1.0),)},
    )
    section = Section(name="s", title="S", text="", tables=(TABLE,), plots=(plot,), seconds=1.26)
    report = Report(encoder="e", facts={"size": math.nan}, sections=(section,))
    written = json.loads(json.dumps(as_json(report), allow_nan=False))
    assert written["facts"] == {"size": None}
    (part,) = written["sections"]
    assert part["seconds"] == 1.3
    assert part["tables"][0]["rows"] == [
        {"method": "PDQ", "n": 1200, "crop": 0.5},
        {"method": "encoder", "n": 3, "crop": None},
    ]
    assert part["plots"][0]["points"] == [{"label": "a", "x": None, "y": 1.0}]
    assert part["plots"][0]["series"] == {"s": [[0.0, 1.0]]}


def test_a_note_is_one_line() -> None:
    assert flow("a\n    b  c") == "a b c"
