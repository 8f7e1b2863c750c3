"""The report of a converter says what its card says."""

from tests.converter_factories import REPORT
from workers.evaluation.conversion import conversion_report
from workers.evaluation.conversion_path import PathFigures
from workers.evaluation.page import render
from workers.migration.conversion import ConverterCard

CARD = ConverterCard(
    source="e1", target="e2", encoders=("0" * 64, "1" * 64), sha256="2" * 64, views="", scale=0.97, report=REPORT
)


def test_the_report_has_the_figures_and_the_plot() -> None:
    report = conversion_report(CARD, {"the same": ((0.0, 0.0), (100.0, 100.0)), "median": ((50.0, 45.0), (90.0, 80.0))})
    assert (report.encoder, report.facts["from"], report.facts["cosines scaled by"]) == ("e2", "e1", "0.97")
    (section,) = report.sections
    assert [row["r1"] for row in section.tables[0].rows] == [REPORT.native, REPORT.converted, REPORT.old]
    page = render(report)
    assert "<polyline" in page
    assert "all of e1" in page


def test_what_the_whole_inspection_finds_stands_beside_it() -> None:
    gated = PathFigures(mode="gated", copies=80, native=0.95, converted=0.9, old=0.85, others=(2, 1))
    _, section = conversion_report(CARD, {}, (gated,)).sections
    (row,) = section.tables[0].rows
    assert (row["native"], row["converted"], row["old"]) == (0.95, 0.9, 0.85)
    assert (row["others"], row["others_native"]) == (2, 1)
    assert "gated" in render(conversion_report(CARD, {}, (gated,)))
