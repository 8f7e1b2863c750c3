"""Plots: well-formed, inside their frame, labels that do not cover each other."""

import math
import re
from xml.etree import ElementTree as ET

import pytest

from workers.evaluation.plots import HEIGHT, WIDTH, legend, linear_axis, log_axis, standalone, svg
from workers.evaluation.tables import Plot, Point

NAMESPACE = "{http://www.w3.org/2000/svg}"


def plot(*points: Point, logarithmic: bool = True) -> Plot:
    return Plot(name="p", title="T & more", x_title="ms", y_title="recall", points=points, logarithmic=logarithmic)


def test_a_linear_axis_has_round_ticks_around_the_values() -> None:
    axis = linear_axis([0.42, 0.97], 0, 100)
    assert axis.ticks == (0.4, 0.6, 0.8, 1.0)
    assert (axis.at(0.4), axis.at(1.0)) == (0, 100)


def test_one_value_makes_an_axis() -> None:
    axis = linear_axis([0.5], 0, 100)
    assert 0 <= axis.at(0.5) <= 100
    assert 0 <= log_axis([2.0], 0, 100).at(2.0) <= 100


@pytest.mark.parametrize("values", [[0.03, 55.0], [1.0, 1.0], [9.9, 10.1]])
def test_a_logarithmic_axis_spans_the_values(values: list[float]) -> None:
    axis = log_axis(values, 10, 700)
    assert all(10 <= axis.at(value) <= 700 for value in values)
    assert axis.at(values[0]) <= axis.at(values[-1])


def test_points_lie_inside_and_are_numbered_as_in_the_legend() -> None:
    drawn = plot(*(Point(label=f"method {n}", x=0.5 + 0.01 * n, y=0.9) for n in range(9)), Point(label="no", x=0, y=1))
    root = ET.fromstring(svg(drawn))  # noqa: S314 - our own
    circles = root.findall(f"{NAMESPACE}circle")
    assert all(0 < float(c.attrib["cx"]) < WIDTH and 0 < float(c.attrib["cy"]) < HEIGHT for c in circles)
    numbers = [text.text for text in root.findall(f"{NAMESPACE}text") if text.attrib.get("class") == "dot"]
    assert numbers == [str(n + 1) for n in range(9)]
    assert [name for _, name in legend(drawn)] == [f"method {n}" for n in range(9)]
    assert [circle.attrib["fill"] for circle in circles] == [colour for colour, _ in legend(drawn)]


def test_lines_are_drawn_and_named() -> None:
    curves = {"PDQ <8>": ((0.1, 1.0), (0.5, 0.9)), "encoder": ((0.2, 1.0), (0.7, 0.8), (0.9, math.nan))}
    lines_plot = Plot(name="p", title="T", x_title="recall", y_title="precision", series=curves)
    drawn = svg(lines_plot)
    root = ET.fromstring(drawn)  # noqa: S314 - our own
    lines = root.findall(f"{NAMESPACE}polyline")
    assert [len(line.attrib["points"].split()) for line in lines] == [2, 2]
    assert [line.attrib["stroke"] for line in lines] == [colour for colour, _ in legend(lines_plot)]
    assert [name for _, name in legend(lines_plot)] == list(curves)
    assert not re.search(r"nan|inf", drawn)


def test_nothing_finite_is_no_plot() -> None:
    assert svg(plot(Point(label="a", x=math.inf, y=1.0), Point(label="b", x=0.0, y=1.0))) == ""


def test_a_file_of_its_own_has_title_names_and_colours() -> None:
    curves = {"p50 & more": ((0.1, 1.0), (0.5, 0.9)), "p99": ((0.2, 1.0), (0.7, 0.8))}
    lines_plot = Plot(name="p", title="T <1>", x_title="load", y_title="ms", series=curves)
    root = ET.fromstring(standalone(lines_plot))  # noqa: S314 - our own
    assert [text.text for text in root.findall(f"{NAMESPACE}text")] == ["T <1>", *curves]
    colours = [box.attrib["fill"] for box in root.findall(f"{NAMESPACE}rect")][1:]
    assert colours == [colour for colour, _ in legend(lines_plot)]
    style = root.findtext(f"{NAMESPACE}style") or ""
    assert all(f"{colour[4:-1]}:" in style for colour in colours)
    assert len(root.findall(f"{NAMESPACE}g/{NAMESPACE}polyline")) == 2


def test_numbered_points_keep_their_numbers_in_a_file_of_its_own() -> None:
    root = ET.fromstring(standalone(plot(Point(label="a", x=1.0, y=1.0))))  # noqa: S314 - our own
    assert [text.text for text in root.findall(f"{NAMESPACE}text")] == ["T & more", "1: a"]


def test_nothing_finite_is_no_file() -> None:
    assert standalone(plot(Point(label="b", x=0.0, y=1.0))) == ""
