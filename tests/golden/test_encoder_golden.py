"""The shipped ONNX file gives what torch gave when it was trained, through the product's own preprocessing."""

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from workers.decoding.pixels import squash
from workers.encoders.encoder import Encoder, list_encoders
from workers.training.drawing import draw

GOLDEN: dict[str, Any] = json.loads((Path(__file__).parent / "encoder_golden.json").read_text())


@pytest.fixture(scope="module")
def encoder() -> Encoder:
    return Encoder.load(GOLDEN["encoder"], precision="fp32")


@pytest.mark.parametrize("entry", GOLDEN["pictures"], ids=lambda entry: f"{entry['family']}-{entry['seed']}")
def test_vectors_are_those_of_training(entry: dict[str, Any], encoder: Encoder) -> None:
    picture = draw(entry["family"], entry["seed"], size=tuple(GOLDEN["size"]))
    (vector,) = encoder.embed([squash(picture, encoder.side, 1).tobytes()])
    assert vector[: len(entry["vector"])] == pytest.approx(entry["vector"], abs=GOLDEN["tolerance"])


def test_drawings_of_one_family_are_told_apart(encoder: Encoder) -> None:
    squares = [squash(draw("floor_plan", seed), encoder.side, 1).tobytes() for seed in range(12)]
    cosines = np.triu(encoder.embed(squares) @ encoder.embed(squares).T, 1)
    assert cosines.max() < 0.95


def test_the_card_describes_the_file() -> None:
    (card,) = [card for card in list_encoders() if card.id == GOLDEN["encoder"]]
    calibration = json.loads((card.folder / "calibration.json").read_text())
    digest = hashlib.sha256((card.folder / "encoder.onnx").read_bytes()).hexdigest()
    assert card.sha256 == calibration["encoder_sha256"] == digest
    assert calibration["encoder"] == f"{card.id}.fp32"
    assert card.facts["dimension"] == 512


def test_the_shipped_files_are_small() -> None:
    folder = list_encoders()[-1].folder
    assert sum(path.stat().st_size for path in folder.iterdir()) <= 22_000_000
