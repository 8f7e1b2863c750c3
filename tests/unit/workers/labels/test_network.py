"""A label network from its files."""

import hashlib
from pathlib import Path

import numpy as np
import pytest

from shared.errors import UsageError
from tests.onnx_factories import linear_model
from workers.labels.network import CARD_FILE, MODEL_FILE, LabelCard, LabelNetwork, read_card
from workers.labels.scores import Precision

WEIGHTS = np.array([[1.0, 0.0, 0.6], [0.0, 1.0, 0.8]], np.float32)


def write(folder: Path, names: tuple[str, ...] = ("cat", "car", "street")) -> LabelCard:
    model = linear_model(WEIGHTS)
    (folder / MODEL_FILE).write_bytes(model)
    card = LabelCard(
        names=names,
        encoder="encoder-1",
        side=8,
        sha256=hashlib.sha256(model).hexdigest(),
        precision=Precision(cosines=(0.0, 1.0), precisions=(0.0, 1.0)),
        figures={"map": 0.5},
    )
    card.write(folder)
    return card


def test_labels_come_surest_first(tmp_path: Path) -> None:
    card = write(tmp_path)
    network = LabelNetwork.load(tmp_path)
    assert network.card == card
    cosines = network.cosines(np.array([[1.0, 0.0], [0.6, 0.8]], np.float32))
    assert cosines == pytest.approx(np.array([[1.0, 0.0, 0.6], [0.6, 0.8, 1.0]]), abs=1e-6)
    assert network.labels(cosines, cosines > 0.5) == [
        [("cat", 100.0), ("street", 60.0)],
        [("street", 100.0), ("car", 80.0), ("cat", 60.0)],
    ]


def test_another_file_than_the_card_s_is_refused(tmp_path: Path) -> None:
    write(tmp_path)
    (tmp_path / MODEL_FILE).write_bytes(linear_model(2 * WEIGHTS))
    with pytest.raises(UsageError, match="is not the file"):
        LabelNetwork.load(tmp_path)
    (tmp_path / MODEL_FILE).unlink()
    with pytest.raises(UsageError, match=r"holds no labels\.onnx"):
        LabelNetwork.load(tmp_path)


def test_other_labels_than_the_file_s_are_refused(tmp_path: Path) -> None:
    write(tmp_path, names=("cat", "car"))
    with pytest.raises(UsageError, match="knows 3 labels"):
        LabelNetwork.load(tmp_path)


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"names": 1, "precision": {"cosines": 1}}'])
def test_what_is_no_card_is_refused(tmp_path: Path, content: str) -> None:
    (tmp_path / CARD_FILE).write_text(content)
    with pytest.raises(UsageError, match="holds no label network"):
        read_card(tmp_path)
