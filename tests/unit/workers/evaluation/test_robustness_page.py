"""The report stands on its own and shows names as they are."""

import re
from dataclasses import replace

from workers.evaluation.robustness import Row
from workers.evaluation.robustness_page import FAIR, GOOD, POOR, render

ROW = Row(
    transformation="crop",
    strength="50% of the area",
    tried=20,
    found=19,
    matched=10,
    mean_score=70.5,
    lowest_score=12.0,
    worst_image="<b>.png",
)
ROWS = [replace(ROW, matched=2), ROW, replace(ROW, matched=19)]


def test_every_row_has_its_bar() -> None:
    page = render("designs", 85.0, ["a.png"], ROWS)
    bars = re.findall(r'width="([\d.]+)" height="\d+" fill="(#\w+)"', page)
    drawn = [(fill, width) for width, fill in bars if fill in {GOOD, FAIR, POOR}]
    assert drawn == [(POOR, "30.0"), (FAIR, "150.0"), (GOOD, "285.0")]
    assert "31 of 60 edited copies of a.png match at the threshold, 85." in page


def test_names_are_text_and_nothing_is_loaded() -> None:
    page = render("designs", 85.0, ["<img src=x>"] * 3, ROWS)
    assert "<b>" not in page
    assert "<img" not in page
    assert "&lt;b&gt;.png" in page
    assert "http" not in page.replace("http://www.w3.org/2000/svg", "")
    assert "6 images" in render("designs", 85.0, ["a.png"] * 6, ROWS)
