"""An exported encoder, back in its network: the same vectors in evaluation, layers normalised in training."""

from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch

from workers.encoders.files import list_encoders
from workers.training.contrastive import TrainConfig, train
from workers.training.drawing import FAMILIES, draw
from workers.training.network import Fingerprinter
from workers.training.restore import restore

pytestmark = pytest.mark.train
MODEL = list_encoders()[-1].files["fp32"].path


@pytest.fixture(scope="module")
def pixels() -> torch.Tensor:
    drawings = [draw(family, seed, size=(600, 400)).resize((96, 96)) for family in FAMILIES for seed in range(4)]
    return torch.from_numpy(np.stack([np.asarray(drawing) for drawing in drawings])).permute(0, 3, 1, 2).float()


def test_the_network_computes_what_the_file_computes(pixels: torch.Tensor) -> None:
    side = int(onnxruntime.InferenceSession(str(MODEL)).get_inputs()[0].shape[2])
    wide = torch.nn.functional.interpolate(pixels, (side, side))
    network = Fingerprinter()
    restore(network, MODEL, wide)
    (expected,) = onnxruntime.InferenceSession(str(MODEL)).run(None, {"x": wide.numpy()})
    with torch.no_grad():
        assert np.abs(network.eval()(wide).numpy() - expected).max() < 1e-4


def test_every_layer_starts_normalised(pixels: torch.Tensor) -> None:
    network = Fingerprinter()
    restore(network, MODEL, pixels)
    assert network.training
    with torch.no_grad():
        trained = network(pixels)
        network.eval()
        assert float((trained * network(pixels)).sum(dim=1).mean()) > 0.9


def test_a_file_of_another_network_is_refused(pixels: torch.Tensor) -> None:
    int8 = list_encoders()[-1].files["int8"].path
    with pytest.raises(ValueError, match="not an export of this network"):
        restore(Fingerprinter(), int8, pixels)


def test_training_goes_on_from_a_version(tmp_path: Path) -> None:
    begun = train(TrainConfig(out=tmp_path, minutes=1, max_steps=1, drawings_per_family=3, batch_pairs=8, start=MODEL))
    weights = torch.load(begun.checkpoint, weights_only=True)["average"]
    network = Fingerprinter()
    restore(network, MODEL, torch.rand(8, 3, 96, 96) * 255)
    kept = network.state_dict()["trunk.5.weight"]
    assert torch.nn.functional.cosine_similarity(weights["trunk.5.weight"].flatten(), kept.flatten(), dim=0) > 0.99
