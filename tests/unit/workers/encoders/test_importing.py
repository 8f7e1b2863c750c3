"""Imports: what a card must say, what a file must be, and that the version computes what its maker meant."""

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from shared.errors import UsageError
from tests.onnx_factories import DIMENSION, SIDE, encoder_nodes, make_model, make_node, make_tensor, make_weight
from workers.encoders.encoder import MODELS
from workers.encoders.files import read_card as read_version
from workers.encoders.importing import CARD_TEMPLATE, ImportCard, convert, read_card, version_name, write_version
from workers.encoders.onnx_file import node
from workers.encoders.session import import_runtime, open_session

MEAN, STD = (0.5, 0.25, 0.0), (0.5, 0.25, 1.0)


def make_card(**changes: Any) -> ImportCard:
    values: dict[str, Any] = {
        "name": "mine",
        "licence": "MIT",
        "source": "here",
        "side": SIDE,
        "scale": 255.0,
        "mean": MEAN,
        "std": STD,
        "resize": "squash",
        "dimension": DIMENSION,
    }
    return ImportCard(**(values | changes))


def run(model: bytes, pictures: np.ndarray) -> np.ndarray:
    (vectors,) = open_session(import_runtime(), model, 1, "cpu").run(["z"], {"x": pictures})
    return np.asarray(vectors)


def pictures(count: int) -> np.ndarray:
    return np.random.default_rng(1).uniform(0, 255, (count, 3, SIDE, SIDE)).astype(np.float32)


def expected(images: np.ndarray) -> np.ndarray:
    """What ``make_model`` means: the normalised picture's block means plus 1, of length 1."""
    mean, std = (np.array(values, np.float32).reshape(1, 3, 1, 1) for values in (MEAN, STD))
    blocks = ((images / 255 - mean) / std).reshape(len(images), 3, 8, SIDE // 8, 8, SIDE // 8).mean(axis=(3, 5)) + 1
    flat = blocks.reshape(len(images), -1)
    return np.asarray(flat / np.linalg.norm(flat, axis=1, keepdims=True))


def test_scale_mean_deviation_and_length_go_into_the_graph() -> None:
    model = convert(make_model(), make_card())
    assert not model.normalised
    images = pictures(5)
    assert run(model.data, images) == pytest.approx(expected(images), abs=1e-5)


def test_vectors_of_length_one_stay_as_they_are() -> None:
    nodes = encoder_nodes(node("LpNormalization", ["flat"], "z", [("axis", 1), ("p", 2)]))
    model = convert(make_model(nodes=nodes), make_card())
    assert model.normalised
    images = pictures(2)
    assert run(model.data, images) == pytest.approx(expected(images), abs=1e-5)


def test_the_shipped_encoder_comes_back_as_it_went() -> None:
    original = (MODELS / "f1-128-v2" / "encoder.onnx").read_bytes()
    plain = make_card(side=128, scale=1.0, mean=(0.0, 0.0, 0.0), std=(1.0, 1.0, 1.0), dimension=512)
    model = convert(original, plain)
    images = np.random.default_rng(0).uniform(0, 255, (2, 3, 128, 128)).astype(np.float32)
    assert model.normalised
    assert run(model.data, images) == pytest.approx(run(original, images), abs=1e-6)


CONSTANT = make_model(
    nodes=encoder_nodes(node("Sub", ["flat", "flat"], "nothing"), node("Add", ["nothing", "unit"], "z")),
    weights=make_weight("unit", np.ones(1, np.float32)),
)


@pytest.mark.parametrize(
    ("model", "changes", "words"),
    [
        (make_model(), {"dimension": 64}, "64 dimensions"),
        (make_model(result=make_tensor("z", (None, None))), {"dimension": 64}, "64 dimensions"),
        (make_model(), {"side": 64}, "64 x 64"),
        (make_model(entry=make_tensor("x", (1, 3, SIDE, SIDE))), {}, "batch is fixed at 1"),
        (make_model(entry=make_tensor("x", (None, SIDE))), {}, "N x 3 x side x side"),
        (make_model(entry=make_tensor("x", (None, 3, SIDE, SIDE), element=2)), {}, "float32"),
        (make_model(result=make_tensor("z", (None, DIMENSION, 1, 1))), {}, "N x dimension"),
        (make_model(weights=b"\x5a" + bytes([len(make_tensor("y", ()))]) + make_tensor("y", ())), {}, "one input"),
        (make_model(nodes=encoder_nodes(make_node("Log", ["minus"], "z"))), {}, "cannot be loaded"),
        (make_model(nodes=encoder_nodes(make_node("NoSuchThing", ["flat"], "z"))), {}, "cannot be loaded"),
        (make_model(nodes=encoder_nodes(node("Neg", ["flat"], "n"), node("Sqrt", ["n"], "z"))), {}, "not numbers"),
        (make_model(nodes=encoder_nodes(node("Sub", ["flat", "flat"], "z"))), {}, "length 0"),
        (CONSTANT, {}, "same vector"),
        (
            make_model(
                nodes=encoder_nodes(node("CumSum", ["flat", "zero"], "z")), weights=make_weight("zero", np.array([0]))
            ),
            {},
            "others of its batch",
        ),
        (b"PK\x03\x04 not a model", {}, "no ONNX file"),
    ],
)
def test_what_is_no_encoder_is_refused_with_its_reason(model: bytes, changes: dict[str, Any], words: str) -> None:
    with pytest.raises(UsageError, match=words):
        convert(model, make_card(**changes))


def write_card(folder: Path, **changes: Any) -> Path:
    path = folder / "card.json"
    path.write_text(json.dumps(CARD_TEMPLATE | changes))
    return path


def test_the_template_is_a_card(tmp_path: Path) -> None:
    card = read_card(write_card(tmp_path))
    assert (card.side, card.dimension, card.std[0]) == (288, 512, 0.229)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"side": 31}, "side is a whole number between 32 and 512"),
        ({"side": "288"}, "side is a whole number"),
        ({"dimension": 5000}, "between 64 and 4096"),
        ({"dimension": 500}, "multiple of 64"),
        ({"mean": [1, 2]}, "mean has 3 numbers"),
        ({"std": [1, 1, 0]}, "std lies between"),
        ({"std": [1, 1, float("nan")]}, "std lies between"),
        ({"scale": True}, "scale is made of numbers"),
        ({"resize": "crop"}, "squash"),
        ({"licence": " "}, "licence is a text"),
        ({"more": 1}, "unknown: more"),
    ],
)
def test_a_card_that_says_something_else_is_refused(tmp_path: Path, changes: dict[str, Any], words: str) -> None:
    with pytest.raises(UsageError, match=words):
        read_card(write_card(tmp_path, **changes))


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"name": "x"}'])
def test_what_is_no_card_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "card.json").write_text(text)
    with pytest.raises(UsageError):
        read_card(tmp_path / "card.json")


@pytest.mark.parametrize("name", ["", "../up", "a.int8", "A", "x" * 65, "f1-128-v2", "there"])
def test_names_that_are_taken_or_no_folder_are_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / "there").mkdir()
    with pytest.raises(UsageError):
        version_name(name, tmp_path, ["f1-128-v2"])


def write(folder: Path, calibrate: Any) -> dict[str, Any]:
    model = convert(make_model(), make_card())
    return write_version(model, make_card(), folder, original="m.onnx", original_sha256="ab", calibrate=calibrate)


def test_the_version_names_its_origin_and_pins_its_file(tmp_path: Path) -> None:
    facts = write(tmp_path / "mine", lambda part: (part / "calibrated").touch())
    version = read_version(tmp_path / "mine")
    assert version.imported
    assert version.facts == json.loads(json.dumps(facts))
    assert facts["imported"]["sha256"] == "ab"
    assert "added to the graph" in facts["output"]["norm"]
    assert hashlib.sha256(version.read_model("fp32")).hexdigest() == version.sha256
    assert sorted(path.name for path in tmp_path.iterdir()) == ["mine"]
    assert (tmp_path / "mine" / "calibrated").exists()


def test_a_version_is_there_as_a_whole_or_not_at_all(tmp_path: Path) -> None:
    def fail(part: Path) -> None:
        raise ValueError("no pictures")

    with pytest.raises(ValueError, match="no pictures"):
        write(tmp_path / "mine", fail)
    assert list(tmp_path.iterdir()) == []
