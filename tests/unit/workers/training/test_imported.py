"""An imported encoder's calibration: files that the product loads."""

import hashlib
import json
from pathlib import Path

import pytest

from tests.image_factories import make_picture_files
from tests.onnx_factories import DIMENSION, SIDE, make_model
from workers.encoders.encoder import Encoder
from workers.training.imported import calibrate_version


@pytest.mark.timeout(600)  # 9 CPU-seconds of drawing, cropping and local features
def test_a_calibrated_version_loads_like_any_other(tmp_path: Path) -> None:
    folder = tmp_path / "encoders" / "mine"
    folder.mkdir(parents=True)
    # Mean colours as vectors: not of length 1, which the runtime sees to as well.
    model = make_model()
    digest = hashlib.sha256(model).hexdigest()
    (folder / "encoder.onnx").write_bytes(model)
    (folder / "card.json").write_text(
        json.dumps({"sha256": digest, "imported": {}, "precisions": {"fp32": {"sha256": digest}}})
    )
    calibrate_version(folder, make_picture_files(tmp_path / "images", 12), pictures=64)
    encoder = Encoder.load("mine", imported=tmp_path / "encoders")
    assert (encoder.side, encoder.dimension) == (SIDE, DIMENSION)
    assert encoder.id == f"mine.fp32-{digest[:8]}"
    assert encoder.calibration.background is not None
    assert encoder.calibration.cosine.at(0.99) < encoder.calibration.cosine.at(0.1)
