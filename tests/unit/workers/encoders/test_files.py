"""Versions on disk: precisions, whose calibration each uses, and what is refused."""

import hashlib
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from shared.errors import ConfigError, EncoderUnavailableError
from workers.encoders.files import (
    MODEL_FILES,
    background_path,
    calibration_path,
    choose_encoder,
    list_encoders,
    read_card,
)

CURVES = {"cosine": [[0.0, -0.1], [1.0, -8.0]], "pdq": [[0, -8.0], [128, -0.1]]}
BANK = {"nearest": 1, "usual": 0.5}


def digest(precision: str) -> str:
    return hashlib.sha256(precision.encode()).hexdigest()


def make_version(folder: Path, precisions: dict[str, dict[str, Any]], **facts: Any) -> Path:
    """A version whose model files hold their own precision's name, every one calibrated that is to be."""
    folder.mkdir(parents=True)
    entries = {name: {"sha256": digest(name), **entry} for name, entry in precisions.items()}
    card = {"sha256": digest("fp32"), "precisions": entries, **facts}
    (folder / "card.json").write_text(json.dumps(card))
    for precision, file_name in MODEL_FILES.items():
        if precision in precisions:
            (folder / file_name).write_text(precision)
            values = {**CURVES, "encoder_sha256": digest(precision), "background": BANK}
            calibration_path(folder, precision).write_text(json.dumps(values))
            np.save(background_path(folder, precision), np.eye(4, dtype=np.float16))
    return folder


ALL: dict[str, dict[str, Any]] = {"fp32": {}, "int8": {}, "fp16": {"calibrated_as": "fp32"}}


@pytest.fixture
def version(tmp_path: Path) -> Path:
    return make_version(tmp_path / "f2", ALL)


def test_each_precision_is_an_index_version(version: Path) -> None:
    card = read_card(version)
    assert {name: file.index_id for name, file in card.files.items()} == {
        "fp32": "f2.fp32",
        "int8": "f2.int8",
        "fp16": "f2.fp16",
    }
    assert card.calibrated == ["fp32", "int8"]
    assert [card.read_model(name).decode() for name in card.files] == ["fp32", "int8", "fp16"]


def test_the_device_picks_the_precision(version: Path) -> None:
    card = read_card(version)
    assert card.choose("auto", "cpu") == "int8"
    assert card.choose("auto", "cuda") == "fp16"
    assert card.choose("fp32", "cuda") == "fp32"


def test_the_card_says_the_side_of_the_input(version: Path, tmp_path: Path) -> None:
    facts = {"input": {"shape": ["N", 3, 96, 96]}}
    assert read_card(make_version(tmp_path / "f4", ALL, **facts)).side == 96
    with pytest.raises(EncoderUnavailableError, match="says no size of its input"):
        assert read_card(version).side


def test_a_version_of_one_file_is_fp32_everywhere(tmp_path: Path) -> None:
    card = read_card(make_version(tmp_path / "f3", {"fp32": {}}))
    assert {card.choose("auto", "cpu"), card.choose("auto", "cuda")} == {"fp32"}
    with pytest.raises(EncoderUnavailableError, match=r"no int8 file.*fp32"):
        card.choose("int8", "cpu")


def test_a_card_from_before_precisions_keeps_its_index_version(version: Path) -> None:
    (version / "card.json").write_text(json.dumps({"sha256": digest("fp32")}))
    assert [file.index_id for file in read_card(version).files.values()] == ["f2"]


def test_an_imported_file_is_part_of_its_index_version(tmp_path: Path) -> None:
    card = read_card(make_version(tmp_path / "mine", {"fp32": {}}, imported={}))
    assert card.imported
    assert card.files["fp32"].index_id == f"mine.fp32-{digest('fp32')[:8]}"


def test_no_precision_borrows_a_calibration_in_silence(version: Path) -> None:
    card = read_card(version)
    assert card.read_calibration("fp16").background is not None
    calibration_path(version, "int8").unlink()
    with pytest.raises(EncoderUnavailableError, match=r"int8.*calibration\.int8\.json"):
        card.read_calibration("int8")


def test_without_its_bank_a_precision_does_not_run(version: Path) -> None:
    background_path(version, "int8").unlink()
    with pytest.raises(EncoderUnavailableError, match=r"background\.int8\.npy"):
        read_card(version).read_calibration("int8")


def test_a_calibration_of_another_file_is_refused(version: Path) -> None:
    shutil.copy(calibration_path(version, "fp32"), calibration_path(version, "int8"))
    with pytest.raises(EncoderUnavailableError, match="made for another file"):
        read_card(version).read_calibration("int8")


def test_a_file_of_another_digest_is_refused(version: Path) -> None:
    (version / MODEL_FILES["int8"]).write_bytes(b"something else")
    with pytest.raises(EncoderUnavailableError, match="not the file"):
        read_card(version).read_model("int8")


@pytest.mark.parametrize(
    "precisions",
    [{"int8": {}}, {"fp32": {"calibrated_as": "int8"}}, {"fp32": {"calibrated_as": "../x"}}, {"fp32": None}, []],
)
def test_a_card_that_contradicts_itself_is_refused(tmp_path: Path, precisions: Any) -> None:
    (tmp_path / "card.json").write_text(json.dumps({"sha256": "0", "precisions": precisions}))
    with pytest.raises(EncoderUnavailableError, match="card"):
        read_card(tmp_path)


def test_imported_versions_are_known_by_name_and_never_the_default(tmp_path: Path) -> None:
    make_version(tmp_path / "models" / "f2", ALL)
    make_version(tmp_path / "encoders" / "zz9", {"fp32": {}}, imported={})
    models, imported = tmp_path / "models", tmp_path / "encoders"
    assert [card.id for card in list_encoders(models, imported)] == ["zz9", "f2"]
    assert choose_encoder("", models, imported).id == "f2"
    assert choose_encoder("zz9", models, imported).imported
    with pytest.raises(ConfigError, match="known: zz9, f2"):
        choose_encoder("other", models, imported)


def test_one_name_for_two_encoders_is_refused(tmp_path: Path) -> None:
    for folder in ("models", "encoders"):
        make_version(tmp_path / folder / "f2", {"fp32": {}})
    with pytest.raises(EncoderUnavailableError, match="imported too"):
        list_encoders(tmp_path / "models", tmp_path / "encoders")
