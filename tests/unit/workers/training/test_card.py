"""The model card says what the files say."""

import json
from pathlib import Path

from workers.training.card import SOURCES, card
from workers.training.dataset import SOURCE_WEIGHTS


def make_run(folder: Path) -> Path:
    (folder / "cache").mkdir(parents=True)
    (folder / "cache" / "meta.json").write_text(json.dumps({"source": ["drawn", "photos/pets", "drawn"]}))
    (folder / "loss.jsonl").write_text('{"step": 20, "views": 2560, "elapsed_s": 90.0, "loss": 3.5}\n')
    return folder


def test_the_card_counts_the_pictures_and_names_their_licences(tmp_path: Path) -> None:
    model = tmp_path / "f9" / "encoder.onnx"
    model.parent.mkdir()
    model.write_bytes(b"")
    facts = card(model, make_run(tmp_path / "run"), None, None)
    assert facts["id"] == "f9"
    assert facts["training"]["minutes"] == 1.5
    counts = {entry["source"]: entry["pictures"] for entry in facts["training"]["data"]}
    assert counts == {"drawn": 2, "photos/pets": 1}
    assert all(entry["licence"] for entry in facts["training"]["data"])


def test_every_weighted_source_has_a_licence() -> None:
    assert set(SOURCE_WEIGHTS) <= set(SOURCES)
