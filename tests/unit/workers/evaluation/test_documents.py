"""Tables on documents from made-up matches, and the pictures they are measured on."""

import numpy as np
import pytest

from shared.types import ReferenceMatch, Relation
from tests.factories import make_match
from workers.evaluation import documents
from workers.evaluation.bench import Options
from workers.evaluation.figures import NONE, Rankings
from workers.evaluation.measuring import NEGATIVE, Measured, Row
from workers.evaluation.pictures import Picture, Split
from workers.training.drawing.pairs import Bond


def match(relation: Relation, *, matched: bool = True, exact: float = 1.0) -> ReferenceMatch:
    return make_match(relation=relation, matched=matched, exact_score=exact)


def test_confusion_counts_what_was_said() -> None:
    kinds = np.array([Bond.RESCANNED.value] * 3 + [Bond.OTHER_CONTENT.value] * 2 + [Bond.DIGIT.value])
    own = [
        match(Relation.COPY),
        match(Relation.SAME_LAYOUT),
        None,
        match(Relation.COPY),
        match(Relation.SAME_LAYOUT),
        match(Relation.COPY, matched=False),
    ]
    table = documents.confusion_table(kinds, own, np.array([False, True, False, False, False, False]))
    lines = {line["pair"]: line for line in table.rows}
    scanned = lines["rescanned"]
    assert (scanned["truth"], scanned["copy"], scanned["layout"], scanned["neither"]) == ("copy", 1, 1, 1)
    assert (scanned["wrong"], scanned["others"]) == pytest.approx((1 / 3, 1))
    other = lines["other content"]
    assert (other["truth"], other["wrong"]) == ("same layout", 0.5)
    assert (lines["digit"]["truth"], lines["digit"]["neither"]) == ("copy, changed", 1)
    assert lines["blank form"]["pairs"] == 0


def test_exactness_is_the_area_under_the_curve() -> None:
    kinds = np.array([Bond.RECODED.value] * 2 + [Bond.DIGIT.value] * 2 + [Bond.NAME.value])
    own = [match(Relation.COPY, exact=e) for e in (0.9, 0.8)]
    own += [match(Relation.COPY, exact=0.5), match(Relation.COPY, exact=0.85), match(Relation.COPY, exact=0.1)]
    lines = {line["change"]: line for line in documents.exact_table(kinds, own).rows}
    assert (lines["digit"]["auc"], lines["digit"]["met"]) == (0.75, False)
    assert (lines["name"]["auc"], lines["name"]["met"]) == (1.0, True)
    assert lines["all"]["pairs"] == 3


def measured(rows: tuple[Row, ...]) -> Measured:
    return Measured(
        rows=rows,
        names=np.array(["crop50", NEGATIVE, NEGATIVE]),
        truth=np.array([0, NONE, NONE]),
        sources=np.array(["a", "a", "a"]),
    )


def thorough() -> Row:
    rankings = Rankings(
        numbers=np.array([[0], [0], [0]]), scores=np.array([[99.0], [90.0], [20.0]]), seconds=np.ones(3)
    )
    return Row(name="whole path", mode="thorough", rankings=rankings)


def picture(group: str) -> Picture:
    return Picture(source="classes/documents", group=group, stratum="documents", opener=lambda: pytest.fail("opened"))


def test_negatives_that_pass_are_counted_by_kind() -> None:
    negatives = (picture("classes/documents/receipt"), picture("classes/documents/chart"))
    split = Split(references=(), distractors=(), negatives=negatives)
    table = documents.kind_table(measured((thorough(),)), split)
    assert [dict(line) for line in table.rows] == [
        {"kind": "chart", "negatives": 1, "over": 0, "matched": 0},
        {"kind": "receipt", "negatives": 1, "over": 0, "matched": 1},
    ]


def test_targets_name_both_modes() -> None:
    table = documents.target_table(measured((thorough(),)))
    assert [(line["what"], line["met"]) for line in table.rows] == [
        ("gated", None),
        ("gated", None),
        ("thorough", True),
        ("thorough", True),
    ]


def test_drawn_papers_look_like_papers() -> None:
    found = list(documents.drawn_papers(8))
    assert len(found) == 8
    assert {p.group.rsplit("/", 1)[-1] for p in found} <= set(documents.PAPER_LIKE)


def test_without_archives_drawings_take_every_role() -> None:
    split = documents.split_of(Options(share=0.03))
    assert len(split.references) == 2
    assert len(split.negatives) == 9
    assert len(split.distractors) >= 1
    assert len({id(p) for p in (*split.references, *split.negatives, *split.distractors)}) == 11 + len(
        split.distractors
    )
