"""``safelight labels``, as far as it needs no torch."""

import hashlib
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from console.cli.app import app
from shared.errors import UsageError
from tests.onnx_factories import linear_model
from workers.encoders.encoder import Encoder
from workers.labels.network import MODEL_FILE, LabelCard
from workers.labels.scores import Precision
from workers.training.label_pictures import embed

COLOURS = {"warm": (250, 90, 20), "cold": (10, 60, 200), "dull": (120, 125, 118)}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Pictures with labels, and a network whose labels are the pictures' own directions."""
    rng = np.random.default_rng(4)
    encoder = Encoder.load()
    squares = []
    lines = []
    for name in COLOURS:
        square = rng.integers(0, 256, (8, 8, 3), np.uint8).repeat(encoder.side // 8, 0).repeat(encoder.side // 8, 1)
        Image.fromarray(square).save(tmp_path / f"{name}.png")
        squares.append(square)
        lines.append(json.dumps({"image": f"{name}.png", "labels": [name]}))
    (tmp_path / "set.jsonl").write_text("\n".join(lines))
    model = linear_model(np.ascontiguousarray(embed(np.stack(squares), encoder).T))
    network = tmp_path / "network"
    network.mkdir()
    (network / MODEL_FILE).write_bytes(model)
    card(encoder.id, encoder.side, model).write(network)
    return tmp_path


def card(encoder: str, side: int, model: bytes) -> LabelCard:
    return LabelCard(
        names=tuple(COLOURS),
        encoder=encoder,
        side=side,
        sha256=hashlib.sha256(model).hexdigest(),
        precision=Precision(cosines=(0.0, 1.0), precisions=(0.0, 1.0)),
        figures={},
    )


def evaluate(folder: Path, *options: str) -> dict[str, float]:
    result = CliRunner(env={"SAFELIGHT_DATA_DIR": str(folder / "data")}).invoke(
        app,
        ["--json", "labels", "evaluate", str(folder / "network"), "--manifest", str(folder / "set.jsonl"), *options],
        catch_exceptions=False,
    )
    row: dict[str, float] = json.loads(result.stdout)
    return row


def test_a_network_is_measured(folder: Path) -> None:
    nearest = evaluate(folder, "--nearest", "1")
    assert nearest == {"pictures": 3, "labels": 3, "map": 1.0, "precision": 1.0, "recall": 1.0}
    assert evaluate(folder, "--within", "99")["recall"] == 1.0
    assert evaluate(folder, "--nearest", "3")["precision"] == pytest.approx(1 / 3, abs=1e-4)


def test_a_network_of_another_encoder_is_refused(folder: Path) -> None:
    card("encoder-9", 8, (folder / "network" / MODEL_FILE).read_bytes()).write(folder / "network")
    with pytest.raises(UsageError, match="trained behind encoder-9"):
        evaluate(folder)


def test_labels_that_the_network_does_not_know_are_told(folder: Path) -> None:
    (folder / "set.jsonl").write_text('{"image": "warm.png", "labels": ["else"]}')
    with pytest.raises(UsageError, match="no picture of"):
        evaluate(folder)
