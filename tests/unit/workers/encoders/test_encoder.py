"""The encoder that ships, and every way in which one may not be had."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from shared.config import load as load_settings
from shared.errors import ConfigError, EncoderUnavailableError
from tests.image_factories import make_picture
from tests.onnx_factories import SIDE, make_model, make_tensor
from workers.decoding.pixels import squash
from workers.encoders.encoder import MODELS, Encoder, list_encoders
from workers.encoders.session import import_runtime, open_session


@pytest.fixture(scope="module")
def encoder() -> Encoder:
    return Encoder.load(batch_limit=4)


@pytest.fixture
def models(tmp_path: Path) -> Path:
    shipped = list_encoders()[-1]
    shutil.copytree(shipped.folder, tmp_path / "shipped")
    return tmp_path


def pixels(encoder: Encoder, seed: int) -> bytes:
    return squash(make_picture(seed=seed), encoder.side, 1).tobytes()


def test_vectors_are_of_length_one(encoder: Encoder) -> None:
    vectors = encoder.embed([pixels(encoder, seed) for seed in range(3)])
    assert vectors.shape == (3, encoder.dimension)
    assert vectors.dtype == np.float32
    assert np.linalg.norm(vectors, axis=1) == pytest.approx(1.0, abs=1e-5)


@pytest.mark.parametrize("count", [1, 2, 3, 4, 5, 9])
def test_padding_and_chunks_change_nothing(encoder: Encoder, count: int) -> None:
    pictures = [pixels(encoder, seed) for seed in range(count)]
    one_by_one = np.concatenate([encoder.embed([picture]) for picture in pictures])
    assert encoder.embed(pictures) == pytest.approx(one_by_one, abs=1e-4)


def test_no_pictures_no_vectors(encoder: Encoder) -> None:
    assert encoder.embed([]).shape == (0, encoder.dimension)


def test_the_same_picture_is_nearer_than_another(encoder: Encoder) -> None:
    small = squash(make_picture(160, 100), encoder.side, 1).tobytes()
    same, copy, other = encoder.embed([pixels(encoder, 1), small, pixels(encoder, 2)])
    assert same @ copy > 0.9 > same @ other


def test_what_ships_has_a_card_and_a_calibration(encoder: Encoder) -> None:
    (card, *_) = reversed(list_encoders())
    assert card.files[encoder.precision].index_id == encoder.id
    assert card.folder.parent == MODELS
    assert encoder.calibration.cosine.at(1.0) < encoder.calibration.cosine.at(0.0)


def test_an_encoder_is_chosen_by_name(models: Path) -> None:
    assert Encoder.load("shipped", models=models).id.partition(".")[0] == "shipped"
    with pytest.raises(ConfigError, match="known: shipped"):
        Encoder.load("other", models=models)


def test_versions_sort_as_numbers(models: Path) -> None:
    for name in ("f1-v10", "f1-v9"):
        shutil.copytree(models / "shipped", models / name)
    assert [card.id for card in list_encoders(models)] == ["f1-v9", "f1-v10", "shipped"]


def test_a_file_that_its_card_does_not_describe_is_refused(models: Path) -> None:
    model = models / "shipped" / "encoder.onnx"
    model.write_bytes(model.read_bytes() + b"\0")
    with pytest.raises(EncoderUnavailableError, match="not the file"):
        Encoder.load(models=models, precision="fp32")


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"sha256": '])
def test_a_broken_card_is_refused(models: Path, text: str) -> None:
    (models / "shipped" / "card.json").write_text(text)
    with pytest.raises(EncoderUnavailableError, match="card"):
        Encoder.load(models=models)


def test_without_a_calibration_there_is_no_encoder(models: Path) -> None:
    (models / "shipped" / "calibration.json").unlink()
    with pytest.raises(EncoderUnavailableError, match="incomplete"):
        Encoder.load(models=models, precision="fp32")


def test_without_models_there_is_no_encoder(tmp_path: Path) -> None:
    with pytest.raises(EncoderUnavailableError, match="no encoder"):
        Encoder.load(models=tmp_path)


class Moving:
    """A session that onnxruntime moves to another device later."""

    def __init__(self, session: Any) -> None:
        self.session = session
        self.device = session.get_providers()[0]

    def __getattr__(self, name: str) -> Any:
        return getattr(self.session, name)

    def get_providers(self) -> list[str]:
        return [self.device]


def test_an_encoder_knows_when_it_left_its_device(encoder: Encoder) -> None:
    runtime = import_runtime()
    session = Moving(open_session(runtime, make_model(), 1, "cpu"))
    moving = Encoder("f2.fp32", runtime, session, encoder.calibration, batch_limit=2)
    assert moving.on_device()
    session.device = "OtherExecutionProvider"
    assert not moving.on_device()
    assert encoder.on_device()


class Counting(Moving):
    """Notes the sizes of its runs."""

    def __init__(self, session: Any) -> None:
        super().__init__(session)
        self.sizes: list[int] = []

    def run_with_iobinding(self, binding: Any) -> None:
        self.session.run_with_iobinding(binding)
        self.sizes.append(binding.get_outputs()[0].shape()[0])


def test_every_size_was_run_before_the_first_picture_comes(encoder: Encoder) -> None:
    runtime = import_runtime()
    session = Counting(open_session(runtime, make_model(), 1, "cpu"))
    warmed = Encoder("f2.fp32", runtime, session, encoder.calibration, batch_limit=6)
    assert session.sizes == [1, 2, 4, 6]
    assert warmed.batch_sizes == (1, 2, 4, 6)
    for count in range(1, 14):
        warmed.embed([bytes(SIDE * SIDE * 3)] * count)
    assert set(session.sizes) == set(warmed.batch_sizes)  # and no size that was not


def test_a_model_that_takes_no_batches_is_no_encoder(encoder: Encoder) -> None:
    runtime = import_runtime()
    session = open_session(runtime, make_model(entry=make_tensor("x", (1, 3, SIDE, SIDE))), 1, "cpu")
    with pytest.raises(EncoderUnavailableError, match="does not run"):
        Encoder("f2.fp32", runtime, session, encoder.calibration)


def test_a_precision_that_a_version_lacks_is_never_replaced(tmp_path: Path) -> None:
    folder = tmp_path / "single"
    shutil.copytree(list_encoders()[-1].folder, folder)
    card = json.loads((folder / "card.json").read_text())
    del card["precisions"]["int8"]
    (folder / "card.json").write_text(json.dumps(card))
    with pytest.raises(EncoderUnavailableError, match="single has no int8 file"):
        Encoder.load("single", precision="int8", models=tmp_path)


def test_the_configuration_picks_encoder_and_precision(tmp_path: Path, models: Path) -> None:
    shipped = list_encoders(models)[0]
    shutil.copytree(shipped.folder, tmp_path / "encoders" / "mine")
    environment = {"SAFELIGHT_DATA_DIR": str(tmp_path), "SAFELIGHT_WORKER__ENCODER": "mine"}
    loaded = Encoder.configured(load_settings(None, environment | {"SAFELIGHT_WORKER__PRECISION": "fp32"}))
    assert loaded.id.startswith("mine")
    assert loaded.precision == "fp32"


def test_a_provider_that_is_not_there_is_never_replaced_in_silence() -> None:
    onnxruntime = pytest.importorskip("onnxruntime")
    if "CUDAExecutionProvider" in onnxruntime.get_available_providers():
        assert Encoder.load(provider="cuda").side > 0
        return
    with pytest.raises(EncoderUnavailableError, match="CUDAExecutionProvider"):
        Encoder.load(provider="cuda")
