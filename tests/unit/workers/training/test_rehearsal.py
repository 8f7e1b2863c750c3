"""The demonstration's arithmetic: an unedited copy is found, and the summary counts what the runs say."""

from pathlib import Path

import pytest

from workers.encoder import list_encoders, load_calibration
from workers.training.drawing import draw
from workers.training.edits import EDITS, encode
from workers.training.rehearsal import THRESHOLD, receive, scores, summary


@pytest.fixture(scope="module")
def model() -> Path:
    return list_encoders()[-1].folder / "encoder.onnx"


def test_a_copy_is_found_and_a_stranger_is_not(model: Path) -> None:
    calibration = load_calibration(model.parent)
    references = [draw("floor_plan", 1), draw("poster", 2)]
    sent = [receive(encode(references[0])), receive(encode(draw("floor_plan", 3)))]
    found = scores(model, calibration, references, sent)
    assert found.shape == (2, 2)
    assert found[0, 0] >= THRESHOLD
    assert found[1].max() < THRESHOLD


def test_the_summary_adds_up() -> None:
    run = {"blocked": dict.fromkeys(EDITS, 3), "stranger_blocks": 1, "best_stranger": 90.0}
    worse = {"blocked": dict.fromkeys(EDITS, 1), "stranger_blocks": 0, "best_stranger": 50.0}
    result = summary([run, worse], protected=4, strangers=10)
    assert result["blocked"] == pytest.approx(0.5)
    assert result["worst_seed"] == pytest.approx(0.25)
    assert result["blocked_by_edit"]["grey"] == pytest.approx(0.5)
    assert (result["strangers_blocked"], result["strangers_sent"]) == (1, 20)
