"""Every precision of a version against torch, and what int8 promises to CPUs without VNNI."""

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, numpy_helper

from workers.encoders.files import MODEL_FILES, read_card
from workers.encoders.importing import ImportCard, convert
from workers.training.export import SAME_COSINE, export
from workers.training.network import Fingerprinter
from workers.training.quantise import LARGEST_WEIGHT, require_unsaturated, trunk
from workers.training.torchscript import to_onnx
from workers.training.version import gather, write_version

pytestmark = [pytest.mark.train, pytest.mark.timeout(600)]
SIDE = 64


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("version") / "f9"


@pytest.fixture(scope="module")
def facts(folder: Path) -> dict[str, Any]:
    torch.manual_seed(0)
    network = Fingerprinter()
    network(torch.rand(16, 3, SIDE, SIDE) * 255)  # running statistics of something
    checkpoint = folder.with_name("checkpoint.pt")
    torch.save({"average": network.state_dict()}, checkpoint)
    return write_version(checkpoint, folder, side=SIDE)


def test_each_file_computes_what_torch_computes(facts: dict[str, Any]) -> None:
    least = {name: entry["parity"]["min_cosine"] for name, entry in facts["precisions"].items()}
    assert least["fp32"] > 0.9999
    assert least["fp16"] > 0.9999
    assert least["int8"] > 0.95


def test_the_card_describes_the_files(facts: dict[str, Any], folder: Path) -> None:
    card = read_card(folder)
    assert card.facts == json.loads(json.dumps(facts))
    for precision, file in card.files.items():
        assert hashlib.sha256(card.read_model(precision)).hexdigest() == file.sha256
        assert facts["precisions"][precision]["bytes"] == file.path.stat().st_size < 6_000_000
    assert card.files["fp16"].calibrated_as == "fp32"
    shares = facts["precisions"]["int8"]["parity"]["min_cosine"] >= SAME_COSINE
    assert card.files["int8"].calibrated_as == ("fp32" if shares else "int8")
    assert facts["side"] == facts["input"]["shape"][2] == SIDE


def test_no_file_names_the_machine(facts: dict[str, Any], folder: Path) -> None:
    for name in MODEL_FILES.values():
        content = (folder / name).read_bytes()
        assert str(Path(torch.__file__).parents[1]).encode() not in content
        assert b"site-packages" not in content
        assert str(folder.parent).encode() not in content


def test_int8_weights_cannot_saturate(facts: dict[str, Any], folder: Path, tmp_path: Path) -> None:
    model = onnx.load(str(folder / MODEL_FILES["int8"]))
    weights = [weight for weight in model.graph.initializer if weight.data_type == TensorProto.INT8]
    largest = [int(np.abs(numpy_helper.to_array(weight).astype(int)).max(initial=0)) for weight in weights]
    assert max(largest) == LARGEST_WEIGHT
    weights[0].CopyFrom(numpy_helper.from_array(np.full((4,), 100, np.int8), weights[0].name))
    onnx.save(model, str(tmp_path / "wide.onnx"))
    with pytest.raises(ValueError, match="reaches 100"):
        require_unsaturated(tmp_path / "wide.onnx")


def test_standardisation_pooling_and_head_stay_float(facts: dict[str, Any], folder: Path) -> None:
    half = onnx.load(str(folder / MODEL_FILES["fp16"]))
    inside = set(trunk(half))
    operations = {node.op_type for node in half.graph.node if node.name not in inside}
    assert {"Pow", "ReduceMean", "Sqrt", "Gemm"} <= operations
    assert half.graph.input[0].type.tensor_type.elem_type == TensorProto.FLOAT
    assert half.graph.output[0].type.tensor_type.elem_type == TensorProto.FLOAT
    quantised = onnx.load(str(folder / MODEL_FILES["int8"]))
    first = next(node for node in quantised.graph.node if node.op_type == "Conv")
    fed = next(node for node in quantised.graph.node if first.input[0] in node.output)
    assert fed.op_type != "DequantizeLinear"


def test_calibrating_and_comparing_pictures_differ(tmp_path: Path) -> None:
    pictures = gather(tmp_path, None, 32)
    assert pictures.calibrating.shape == pictures.comparing.shape
    assert not any((picture == pictures.comparing).all(axis=(1, 2, 3)).any() for picture in pictures.calibrating)


@pytest.mark.parametrize("side", [0, 90, 1024])
def test_a_side_that_the_network_cannot_take_is_refused(facts: dict[str, Any], folder: Path, side: int) -> None:
    with pytest.raises(ValueError, match="multiple of 16"):
        export(folder.with_name("checkpoint.pt"), folder.with_name("x.onnx"), side)


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")
def test_torchscript_becomes_onnx(tmp_path: Path) -> None:
    torch.manual_seed(0)
    module = torch.nn.Sequential(torch.nn.Conv2d(3, 64, 8, stride=8), torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten())
    torch.jit.script(module.eval()).save(str(tmp_path / "tiny.pt"))
    card = ImportCard(
        name="tiny",
        licence="x",
        source="x",
        side=SIDE,
        scale=255.0,
        mean=(0.485, 0.456, 0.406),
        std=(0.229, 0.224, 0.225),
        resize="squash",
        dimension=64,
    )
    assert not convert(to_onnx(tmp_path / "tiny.pt", SIDE), card).normalised


def test_what_is_no_torchscript_is_refused(tmp_path: Path) -> None:
    (tmp_path / "x.pt").write_bytes(b"PK\x03\x04 nothing")
    with pytest.raises(ValueError, match=r"x\.pt is no TorchScript"):
        to_onnx(tmp_path / "x.pt", SIDE)
