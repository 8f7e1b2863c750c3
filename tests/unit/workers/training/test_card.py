"""The model card says what the files say."""

import json
from pathlib import Path
from typing import Any

from workers.encoders.files import Precision
from workers.training.card import SOURCES, accuracy_loss, measured, version_card
from workers.training.dataset import SOURCE_WEIGHTS


def make_run(folder: Path) -> Path:
    (folder / "cache").mkdir(parents=True)
    (folder / "cache" / "meta.json").write_text(
        json.dumps({"source": ["drawn", "photos/pets", "images/a", "drawn", "images/b"]})
    )
    (folder / "loss.jsonl").write_text('{"step": 20, "views": 2560, "elapsed_s": 90.0, "loss": 3.5}\n')
    return folder


PRECISIONS: dict[Precision, dict[str, Any]] = {
    "fp32": {"file": "encoder.onnx", "sha256": "0" * 64, "bytes": 3, "accuracy_loss": None},
    "int8": {"file": "encoder.int8.onnx", "sha256": "1" * 64, "bytes": 2, "accuracy_loss": None},
}


def test_the_card_counts_the_pictures_and_names_their_licences(tmp_path: Path) -> None:
    facts = version_card("f9", 112, PRECISIONS, make_run(tmp_path / "run"))
    assert facts["id"] == "f9"
    assert facts["sha256"] == "0" * 64
    assert facts["input"]["shape"] == ["N", 3, 112, 112]
    assert facts["precisions"]["int8"]["bytes"] == 2
    assert facts["training"]["minutes"] == 1.5
    counts = {entry["source"]: entry["pictures"] for entry in facts["training"]["data"]}
    assert counts == {"drawn": 2, "images": 2, "photos/pets": 1}
    assert all(entry["licence"] for entry in facts["training"]["data"])


def test_a_version_whose_training_is_not_known_says_so() -> None:
    assert version_card("f9", 96, PRECISIONS, None)["training"] is None


def test_every_weighted_source_has_a_licence() -> None:
    assert set(SOURCE_WEIGHTS) <= set(SOURCES)


def test_a_report_s_figures_go_into_the_card(tmp_path: Path) -> None:
    rows = [
        {"method": "encoder fp32", "r1": 0.93, "uap": 0.92, "r_p99": 0.8},
        {"method": "encoder int8", "r1": 0.925, "uap": 0.92, "r_p99": 0.81},
    ]
    tables = [{"name": "methods", "rows": rows}, {"name": "strengths", "rows": [{}] * 81}]
    report = {"facts": {"size": "10 %"}, "sections": [{"name": "recall", "text": "What was done.", "tables": tables}]}
    (tmp_path / "report.json").write_text(json.dumps(report))
    found = measured([tmp_path / "report.json"])
    assert found == {"recall": {"facts": {"size": "10 %"}, "text": "What was done.", "methods": rows}}
    assert accuracy_loss(rows, "int8") == {"r1": 0.005, "uap": 0.0, "r_p99": -0.01}
    assert accuracy_loss(rows, "fp16") is None
