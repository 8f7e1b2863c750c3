"""The curves are a well-formed picture of the lines that a training wrote."""

import json
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from workers.training.curves import MOST_POINTS, Point, draw_curves, read_points, write_curves

SVG = "{http://www.w3.org/2000/svg}"


def make_log(folder: Path, lines: int) -> None:
    entries = [{"elapsed_s": 60.0 * n, "loss": 6.0 - n / lines, "accuracy": n / lines} for n in range(lines)]
    (folder / "loss.jsonl").write_text("".join(json.dumps(entry) + "\n" for entry in entries))


def polylines(text: str) -> list[list[tuple[float, float]]]:
    lines = ET.fromstring(text).iter(f"{SVG}polyline")  # noqa: S314 - written here
    return [[(float(x), float(y)) for x, y in (p.split(",") for p in line.attrib["points"].split())] for line in lines]


def test_loss_falls_and_accuracy_rises(tmp_path: Path) -> None:
    make_log(tmp_path, 10)
    loss, accuracy = polylines(write_curves(tmp_path).read_text())
    assert len(loss) == len(accuracy) == 10
    assert loss[0][1] < loss[-1][1]  # SVG's y grows downwards
    assert accuracy[0][1] > accuracy[-1][1]
    assert loss[0][0] < loss[-1][0]


def test_long_trainings_are_thinned(tmp_path: Path) -> None:
    make_log(tmp_path, 5 * MOST_POINTS)
    assert len(read_points(tmp_path / "loss.jsonl")) == MOST_POINTS


def test_a_single_point_and_a_flat_line_are_drawn() -> None:
    assert len(polylines(draw_curves([Point(minutes=0.0, loss=1.0, accuracy=0.0)]))) == 2


def test_nothing_is_no_curve() -> None:
    with pytest.raises(ValueError, match="points"):
        draw_curves([])
