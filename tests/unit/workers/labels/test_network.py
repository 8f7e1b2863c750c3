"""A label network from its files: whatever they hold, it answers or says what is wrong with them."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from shared.errors import IntegrityError, UsageError
from tests.label_factories import NAMES, WEIGHTS, make_card, make_space, pixel_model
from tests.onnx_factories import linear_model, make_model, make_tensor, make_weight
from workers.encoders.onnx_file import message, node
from workers.labels.choice import Choice
from workers.labels.network import (
    CARD_FILE,
    CARD_LIMIT,
    MODEL_FILE,
    MODEL_LIMIT,
    LabelCard,
    LabelNetwork,
    read_card,
    read_model,
)

VECTORS = np.array([[1.0, 0.0], [0.6, 0.8]], np.float32)


def write(folder: Path, model: bytes, card: LabelCard) -> None:
    (folder / MODEL_FILE).write_bytes(model)
    card.write(folder)


def test_it_comes_back_as_it_was_written(tmp_path: Path) -> None:
    space = make_space(choice=Choice(nearest=2, within=70.0))
    write(tmp_path, space.model, space.card)
    network = LabelNetwork.load(tmp_path)
    assert network.card == space.card
    assert network.inputs == (2,)
    cosines = network.cosines(VECTORS)
    assert cosines == pytest.approx(VECTORS @ WEIGHTS, abs=1e-6)
    assert network.scores(cosines)[1] == pytest.approx([60.0, 80.0, 100.0], abs=1e-3)
    assert network.chosen(cosines).tolist() == [[True, False, False], [False, True, True]]


def test_a_network_may_take_pictures(tmp_path: Path) -> None:
    model = pixel_model()
    write(tmp_path, model, make_card(model, encoder=""))
    network = LabelNetwork.load(tmp_path)
    red = np.zeros((1, 3, 8, 8), np.float32)
    red[:, 0] = 255
    assert network.inputs == (3, 8, 8)
    assert network.cosines(red) == pytest.approx(np.array([[1.0, 0.0, 0.0]]), abs=1e-5)


def test_another_file_than_the_card_s_is_refused(tmp_path: Path) -> None:
    space = make_space()
    write(tmp_path, linear_model(2 * WEIGHTS), space.card)
    with pytest.raises(UsageError, match="is not the file"):
        LabelNetwork.load(tmp_path)
    (tmp_path / MODEL_FILE).unlink()
    with pytest.raises(UsageError, match=r"holds no labels\.onnx"):
        LabelNetwork.load(tmp_path)


def contract(**changes: object) -> bytes:
    """A network whose parts are changed."""
    entry, result = make_tensor("x", (None, 2)), make_tensor("cosines", (None, 3))
    parts = {"nodes": [node("MatMul", ["x", "w"], "cosines")], "entry": entry, "result": result}
    return make_model(weights=make_weight("w", WEIGHTS), **parts | changes)  # type: ignore[arg-type]


LOOP = node("Loop", ["x"], "cosines") + message(5, message(6, b""))


@pytest.mark.parametrize(
    ("model", "complaint"),
    [
        (b"", "no ONNX file"),
        (b"\xff" * 1000, "no ONNX file"),
        (contract(entry=make_tensor("pixels", (None, 2))), "take x to cosines"),
        (contract(result=make_tensor("z", (None, 3))), "take x to cosines"),
        (contract(entry=make_tensor("x", (None, 2), 7)), "float32"),
        (contract(result=make_tensor("cosines", (None, 4))), "the 3 labels"),
        (contract(entry=make_tensor("x", (1, 2))), "vectors in batches"),
        (contract(entry=make_tensor("x", (None, None))), "vectors in batches"),
        (contract(entry=make_tensor("x", (None, 2, 1, 1))), "vectors in batches"),
        (contract(nodes=[LOOP]), "control flow"),
        (contract(nodes=[node("Nonsense", ["x"], "cosines")]), "cannot be loaded"),
        (contract(nodes=[node("Log", ["x"], "l"), node("MatMul", ["l", "w"], "cosines")]), "gives no cosines"),
        (contract(nodes=[node("MatMul", ["w", "x"], "cosines")]), r"cannot be loaded|does not run"),
    ],
)
def test_a_file_that_is_no_label_network_is_refused(model: bytes, complaint: str) -> None:
    with pytest.raises(UsageError, match=complaint):
        LabelNetwork(make_card(model), model)


def test_a_network_of_pictures_of_another_side_is_refused() -> None:
    model = pixel_model(side=8)
    with pytest.raises(UsageError, match="pictures of 16 pixels"):
        LabelNetwork(make_card(model, encoder="", side=16), model)


def test_a_model_has_a_size_limit(tmp_path: Path) -> None:
    large = bytes(MODEL_LIMIT + 1)
    with pytest.raises(UsageError, match="more than 64 MiB"):
        LabelNetwork(make_card(large), large)
    (tmp_path / MODEL_FILE).write_bytes(large + b"more")
    assert len(read_model(tmp_path)) == MODEL_LIMIT + 1


def test_inputs_that_it_does_not_take_fail_by_name() -> None:
    space = make_space()
    with pytest.raises(IntegrityError, match="label network fails"):
        LabelNetwork(space.card, space.model).cosines(np.zeros((1, 5), np.float32))
    with pytest.raises(IntegrityError, match="no cosines"):
        LabelNetwork(space.card, space.model).cosines(np.full((1, 2), np.nan, np.float32))


@pytest.mark.parametrize(
    "content",
    [
        "",
        "[]",
        "{}",
        "\ud800",
        "[" * 100_000,
        '{"names": 1, "precision": {"cosines": 1}}',
        json.dumps({"names": ["x" * 300]}),
        " " * (CARD_LIMIT + 1),
    ],
)
def test_what_is_no_card_is_refused(tmp_path: Path, content: str) -> None:
    (tmp_path / CARD_FILE).write_text(content, errors="surrogatepass")
    with pytest.raises(UsageError, match="holds no label network"):
        read_card(tmp_path)


@pytest.mark.parametrize("names", [(), ("cat", "cat"), ("",), ("x" * 256,), ("cat", "other")])
def test_names_that_cannot_be_labels_are_refused(names: tuple[str, ...]) -> None:
    with pytest.raises(ValueError, match="label"):
        replace(make_space().card, names=names)


def test_the_names_that_can(tmp_path: Path) -> None:
    make_space().card.write(tmp_path)
    assert read_card(tmp_path).names == NAMES
