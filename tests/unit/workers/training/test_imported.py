"""An imported encoder's calibration: which pictures it takes, and files that the product loads."""

import hashlib
import json
from pathlib import Path

import pytest
from PIL import Image

from tests.image_factories import make_picture
from tests.onnx_factories import DIMENSION, SIDE, make_model
from workers.encoder import Encoder
from workers.training.imported import calibrate_version, items, picture_paths


def make_pictures(folder: Path, count: int, names: str = "{}.png") -> Path:
    for number in range(count):
        path = folder / names.format(number)
        path.parent.mkdir(parents=True, exist_ok=True)
        make_picture(160, 120, seed=number).save(path)
    return folder


def test_a_folder_is_a_kind_and_a_flat_one_holds_all_kinds(tmp_path: Path) -> None:
    flat = make_pictures(tmp_path / "flat", 3)
    assert len({item.group for item in items(picture_paths(flat, 10), flat)}) == 3
    nested = make_pictures(tmp_path / "nested", 2, "cats/{}.png")
    make_pictures(nested, 2, "dogs/{}.png")
    assert {item.group for item in items(picture_paths(nested, 10), nested)} == {"images/cats", "images/dogs"}


def test_what_is_no_picture_is_passed_over(tmp_path: Path) -> None:
    make_pictures(tmp_path, 2)
    (tmp_path / "broken.jpg").write_bytes(b"\xff\xd8\xff not a JPEG")
    (tmp_path / "notes.txt").write_text("no picture")
    Image.new("1", (9000, 9000)).save(tmp_path / "huge.png")
    assert sum(1 for _ in items(picture_paths(tmp_path, 10), tmp_path)) == 2


def test_a_folder_without_pictures_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="no pictures"):
        picture_paths(tmp_path, 10)


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
    calibrate_version(folder, make_pictures(tmp_path / "images", 12), pictures=64)
    encoder = Encoder.load("mine", imported=tmp_path / "encoders")
    assert (encoder.side, encoder.dimension) == (SIDE, DIMENSION)
    assert encoder.id == f"mine.fp32-{digest[:8]}"
    assert encoder.calibration.background is not None
    assert encoder.calibration.cosine.at(0.99) < encoder.calibration.cosine.at(0.1)
