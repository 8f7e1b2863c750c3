"""`safelight classifier evaluate --baseline cnn` to its end, and what the benchmark makes of its report."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from benchmarks.networks import figures
from console.cli.app import app
from workers.training.drawing import draw
from workers.training.edits import encode

pytestmark = [pytest.mark.train, pytest.mark.timeout(600)]
FOLDERS = {"form": ("document_page", 16), "plan": ("floor_plan", 16), "other": ("poster", 18)}


def test_networks_are_trained_beside_a_classifier_on_the_same_images(tmp_path: Path) -> None:
    for name, (family, count) in FOLDERS.items():
        folder = tmp_path / "drawn" / name
        folder.mkdir(parents=True)
        for seed in range(count):
            (folder / f"{seed}.jpg").write_bytes(encode(draw(family, seed, size=(420, 560))))
    config = tmp_path / "safelight.json"
    config.write_text(json.dumps({"data_dir": str(tmp_path / "data")}))
    arguments = ["--config", str(config), "classifier", "evaluate", "--data", str(tmp_path / "drawn")]
    arguments += ["--shots", "5", "--draws", "1", "--baseline", "cnn", "--baseline-seconds", "1"]
    ended = CliRunner().invoke(app, [*arguments, "-o", str(tmp_path / "report")])
    assert ended.exit_code == 0, ended.output
    found = figures(json.loads((tmp_path / "report" / "report.json").read_text()))
    rows = next(table["rows"] for table in found["tables"] if table["name"] == "networks")
    assert len(rows) == 3
    assert all(row["images a label"] == 5 and row["images"] == 10 for row in rows)
    assert all(row["processor s"] > 0 and row["the classifier's"] > 0 for row in rows)
    (plot,) = found["plots"]
    assert len(plot["series"]) == 4
