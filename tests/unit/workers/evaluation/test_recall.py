"""The tables of the recall section, from answers that are made up."""

import numpy as np
import pytest

from workers.evaluation import recall
from workers.evaluation.figures import NONE, Rankings
from workers.evaluation.measuring import NEGATIVE, Measured, Row
from workers.transformations import TRANSFORMS

COPIES = len(TRANSFORMS) * 2
NEGATIVES = 10


def row(name: str, mode: str, *, right: int, milliseconds: float, negatives_at: float = 20.0) -> Row:
    """The first `right` copies are found at 95, the others not at all; every negative names reference 0."""
    numbers = np.full((COPIES + NEGATIVES, 10), NONE, np.int64)
    scores = np.full((COPIES + NEGATIVES, 10), -np.inf)
    numbers[:right, 0], scores[:right, 0] = np.arange(COPIES)[:right] % 2, 95.0
    numbers[COPIES:, 0], scores[COPIES:, 0] = 0, negatives_at
    seconds = np.full(COPIES + NEGATIVES, milliseconds / 1000)
    return Row(name=name, mode=mode, rankings=Rankings(numbers=numbers, scores=scores, seconds=seconds))


MEASURED = Measured(
    rows=(
        row("PDQ x 8", "always", right=24, milliseconds=1.0),
        row("encoder int8", "always", right=COPIES, milliseconds=2.0),
        row("PDQ + encoder + views", "no local features", right=COPIES, milliseconds=4.0),
        row("whole path", "gated", right=COPIES, milliseconds=6.0, negatives_at=90.0),
        row("whole path", "thorough", right=COPIES - 4, milliseconds=31.0),
    ),
    names=np.array([name for name in TRANSFORMS for _ in range(2)] + [NEGATIVE] * NEGATIVES),
    truth=np.array([0, 1] * len(TRANSFORMS) + [NONE] * NEGATIVES),
    sources=np.array(["a", "b"] * (COPIES // 2) + ["a"] * 5 + ["c"] * 5),
)


def test_a_method_line_has_quality_and_time_of_the_same_queries() -> None:
    line = recall.method_row(MEASURED, MEASURED.rows[0])
    assert line["r1"] == pytest.approx(0.5)
    assert (line["r_p99"], line["threshold"], line["fpr"]) == pytest.approx((0.5, 95.0, 0.0))
    assert line["fpr_high"] == pytest.approx(0.2589, abs=1e-3)
    assert (line["mean_ms"], line["p95_ms"]) == pytest.approx((1.0, 1.0))
    assert line["images_s"] == pytest.approx(1000)
    assert "fpr_85" not in line


def test_the_products_rows_are_judged_at_85_too() -> None:
    gated = recall.method_row(MEASURED, MEASURED.rows[3])
    assert (gated["recall_85"], gated["fpr_85"]) == (1.0, 1.0)
    thorough = recall.method_row(MEASURED, MEASURED.rows[4])
    assert thorough["fpr_85"] == 0.0


def test_published_figures_stand_before_the_encoder() -> None:
    names = [line["method"] for line in recall.method_table(MEASURED, published=True).rows]
    assert names.index(recall.FIRST_ENCODER["method"]) == names.index("encoder int8") - 1
    assert len(recall.method_table(MEASURED, published=False).rows) == len(MEASURED.rows)


def test_every_transformation_has_its_line() -> None:
    table = recall.transformation_table(MEASURED, published=True)
    lines = {line["transformation"]: line for line in table.rows}
    assert list(lines) == list(TRANSFORMS)
    first, *_, last = TRANSFORMS
    assert (lines[first]["PDQ x 8"], lines[last]["PDQ x 8"]) == (1.0, 0.0)
    assert lines["collage"]["first encoder (published)"] == 0.01
    assert {column.key for column in table.columns} >= {"whole path, gated", "whole path, thorough"}


def test_sources_are_left_out_one_by_one() -> None:
    table = recall.source_table(MEASURED)
    encoder = table.rows[1]
    assert (encoder["a"], encoder["b"], encoder["mean"]) == (1.0, 1.0, 1.0)
    assert [column.key for column in table.columns if column.heat] == ["a", "b"]


def test_a_mixed_stream_is_weighed_against_the_encoder() -> None:
    table = recall.mixed_table(MEASURED, "encoder int8")
    assert table is not None
    by_mode = {line["mode"]: line for line in table.rows}
    assert by_mode["gated"]["to_encoder"] == pytest.approx(3.0)
    assert by_mode["thorough"]["to_plain"] == pytest.approx(7.75)
    assert recall.mixed_table(MEASURED, "encoder fp32") is None


def test_targets_say_what_was_missed() -> None:
    table = recall.target_table(MEASURED, "encoder int8")
    met = {(line["what"], line["figure"]): line["met"] for line in table.rows}
    assert met["one vector", "R@1"] is True
    assert met["whole path, gated", "recall at P=.99"] is True
    assert met["whole path, thorough", "R@1"] is False
    assert met["whole path, thorough", "ms p95"] is False
    assert recall.target_table(MEASURED, "no such row").rows[0]["met"] is None


def test_plots_hold_every_method_and_the_products_curves() -> None:
    time, throughput, curves = recall.plots(MEASURED)
    assert {point.label for point in time.points} == {row.label for row in MEASURED.rows}
    assert {round(point.x) for point in throughput.points} == {1000, 500, 250, 167, 32}
    assert {"whole path, gated", "whole path, thorough"} <= set(curves.series)
