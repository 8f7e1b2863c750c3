"""Twenty steps on the project's own drawings, an export, and torch against onnxruntime on the same pixels."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from workers.training.contrastive import Progress, TrainConfig, TrainResult, hardness, learning_rate, train
from workers.training.export import Exported, ExportError, export, load_network, parity
from workers.training.golden import COMPONENTS, PICTURES, golden

pytestmark = [pytest.mark.train, pytest.mark.timeout(600)]
STEPS = 20


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("training")


def config(folder: Path, steps: int, resume: Path | None = None) -> TrainConfig:
    return TrainConfig(
        out=folder, minutes=30, max_steps=steps, batch_pairs=12, queue=64, drawings_per_family=4, resume=resume
    )


@pytest.fixture(scope="module")
def reports() -> list[Progress]:
    return []


@pytest.fixture(scope="module")
def trained(folder: Path, reports: list[Progress]) -> TrainResult:
    return train(config(folder, STEPS), reports.append)


@pytest.fixture(scope="module")
def exported(trained: TrainResult, folder: Path) -> Exported:
    return export(trained.checkpoint, folder / "encoder.onnx")


def test_training_takes_its_steps_and_says_so(trained: TrainResult, reports: list[Progress], folder: Path) -> None:
    assert trained.steps == STEPS
    assert reports[-1].step == STEPS
    assert np.isfinite(reports[-1].loss)
    assert [json.loads(line)["step"] for line in (folder / "loss.jsonl").read_text().splitlines()] == [STEPS]


def test_onnx_computes_what_torch_computes(exported: Exported, trained: TrainResult) -> None:
    assert exported.difference < 2e-3
    assert parity(load_network(trained.checkpoint), exported.path) == pytest.approx(exported.difference, abs=1e-6)


def test_golden_vectors_name_their_drawings(trained: TrainResult) -> None:
    result = golden(trained.checkpoint, "f9")
    assert len({(entry["family"], entry["seed"]) for entry in result["pictures"]}) == PICTURES
    assert {len(entry["vector"]) for entry in result["pictures"]} == {COMPONENTS}


def test_the_file_is_half_the_size_of_its_weights(exported: Exported) -> None:
    assert exported.path.stat().st_size < 6_000_000


def test_training_goes_on_from_a_checkpoint(trained: TrainResult, tmp_path: Path) -> None:
    resumed = train(config(tmp_path, STEPS + 2, resume=trained.checkpoint))
    assert resumed.steps == STEPS + 2
    assert resumed.elapsed_s > trained.elapsed_s


def test_a_checkpoint_of_something_else_is_refused(tmp_path: Path) -> None:
    torch.save({"network": {}, "average": {}}, tmp_path / "other.pt")
    with pytest.raises(ValueError, match="not a checkpoint"):
        train(config(tmp_path, 1, resume=tmp_path / "other.pt"))


def test_a_file_that_computes_something_else_is_refused(exported: Exported, trained: TrainResult) -> None:
    network = load_network(trained.checkpoint)
    with torch.no_grad():
        network.head.weight.mul_(-1.0)
    assert parity(network, exported.path) > 0.1
    assert issubclass(ExportError, RuntimeError)


def test_a_folder_without_archives_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        train(TrainConfig(out=tmp_path, data=tmp_path, max_steps=1))


@pytest.mark.parametrize(("share", "expected"), [(0.0, 0.2), (0.25, 0.6), (0.5, 1.0), (1.0, 1.0)])
def test_hardness_rises_to_its_top(share: float, expected: float) -> None:
    assert hardness((0.2, 1.0, 0.5), share) == pytest.approx(expected)


def test_the_rate_warms_up_and_falls_to_a_hundredth() -> None:
    assert learning_rate(1.0, 0, 0.0) < 0.01
    assert learning_rate(1.0, 10_000, 0.0) == pytest.approx(1.0)
    assert learning_rate(1.0, 10_000, 1.0) == pytest.approx(0.01)
