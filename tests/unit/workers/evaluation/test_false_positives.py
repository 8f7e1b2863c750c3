"""False positives: who is shown, and what the tables say of it."""

from collections import Counter

import pytest

from tests.image_factories import make_picture
from workers.evaluation import false_positives
from workers.evaluation.bench import Options
from workers.evaluation.false_positives import EDITS, Tally
from workers.evaluation.figures import upper_bound
from workers.evaluation.pictures import Picture


def test_matches_are_counted_by_content_with_their_bound() -> None:
    tally = Tally(
        shown=Counter({"documents": 100, "drawn": 300}),
        matched=Counter({"documents": 2}),
        sources=Counter({"classes/documents/receipt": 2, "drawn/poster": 0}),
    )
    rows = false_positives.matched_table({"gated": tally, "thorough": Tally.empty()}).rows
    gated = {line["stratum"]: line for line in rows if line["mode"] == "gated"}
    assert (gated["documents"]["matched"], gated["documents"]["rate"]) == (2, 0.02)
    assert gated["drawn"]["high"] == pytest.approx(3 / 300, rel=0.01)
    assert gated["all"]["high"] == upper_bound(2, 400)
    assert [line["rate"] for line in rows if line["mode"] == "thorough"] == [None]
    sources = false_positives.source_table({"gated": tally})
    assert [dict(line) for line in sources.rows] == [
        {"mode": "gated", "source": "classes/documents/receipt", "matched": 2}
    ]
    assert false_positives.source_table({}).note == "Nothing matched."


def test_every_picture_is_shown_under_every_edit_then_the_drawings() -> None:
    picture = Picture(source="s", group="s/g", stratum="products", opener=lambda: make_picture(64, 48))
    shown = list(false_positives.all_strangers([picture], 2))
    assert [(one.stratum, one.source) for one in shown[: len(EDITS)]] == [("products", "s/g")] * len(EDITS)
    assert [one.stratum for one in shown[len(EDITS) :]] == ["drawn", "drawn"]
    assert len({one.sample.data for one in shown}) == len(EDITS) + 2


def test_drawn_references_are_no_strangers() -> None:
    protected, strangers = false_positives.roles(Options(share=0.02))
    assert (len(protected), strangers) == (6, [])
    assert false_positives.FIRST_REFERENCE + false_positives.REFERENCES < false_positives.FIRST_DRAWN


def test_pages_go_ten_to_a_set() -> None:
    names = [false_positives.set_of(number) for number in range(25)]
    assert Counter(names) == {"pages-0": 10, "pages-1": 10, "pages-2": 5}
