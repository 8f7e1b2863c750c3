"""A label space learnt from drawings, its network's file, and the sigmoid outputs beside it."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest

from console.cli import app as cli
from shared.errors import UsageError
from workers.encoders.encoder import MODELS, Encoder
from workers.encoders.files import choose_encoder
from workers.labels.manifest import read_manifest
from workers.labels.network import LabelNetwork
from workers.labels.simulated import appearance
from workers.training.drawing import draw
from workers.training.label_network import LabelTraining
from workers.training.label_pictures import embed
from workers.training.label_study import (
    Pictures,
    compare,
    read_archived,
    read_pictures,
    restored,
    simulated_study,
    study_of,
    train,
)

pytestmark = [pytest.mark.train, pytest.mark.timeout(600)]
FAMILIES = {"dashboard": ("screen", "chart"), "floor_plan": ("plan", "lines"), "whiteboard": ("board", "lines")}
QUICK = LabelTraining(seconds=600, max_steps=60, batch=32)


@pytest.fixture(scope="module")
def manifest(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("labelled")
    lines = []
    for family, labels in FAMILIES.items():
        for seed in range(16):
            draw(family, 400 + seed, size=(200, 150)).convert("RGB").save(folder / f"{family}-{seed}.png")
            lines.append(json.dumps({"image": f"{family}-{seed}.png", "labels": labels}))
    (folder / "set.jsonl").write_text("\n".join(lines) + "\n")
    return folder / "set.jsonl"


@pytest.fixture(scope="module")
def encoder() -> Encoder:
    return Encoder.load()


def test_a_head_finds_the_labels_of_pictures_it_never_saw(manifest: Path, encoder: Encoder, tmp_path: Path) -> None:
    pictures = read_pictures(read_manifest(manifest), encoder.side, print)
    study = study_of(pictures, embed(pictures.squares, encoder), dimension=4, least=3)
    assert study.space.unreached() == ()
    card = train(study, QUICK, tmp_path, encoder, print)
    assert card.encoder == encoder.id
    assert card.figures["map"] > 0.9
    network = LabelNetwork.load(tmp_path)
    cosines = network.cosines(study.testing.inputs.astype(np.float32))
    nearest = [card.names[number] for number in cosines.argmax(axis=1)]
    right = [
        {name for name, there in zip(card.names, row, strict=True) if there} for row in study.testing.presence.tolist()
    ]
    assert np.mean([label in labels for label, labels in zip(nearest, right, strict=True)]) > 0.9


def test_an_encoder_of_its_own_takes_pixels(manifest: Path, encoder: Encoder, tmp_path: Path) -> None:
    pictures = read_pictures(read_manifest(manifest), encoder.side, print)
    study = study_of(pictures, pictures.squares, dimension=4, least=3)
    start = restored(study, choose_encoder("", MODELS, None).files["fp32"].path)
    card = train(study, LabelTraining(seconds=600, max_steps=3, batch=8), tmp_path, encoder, print, start)
    assert card.encoder == ""
    pixels = study.testing.inputs[:2].transpose(0, 3, 1, 2).astype(np.float32)
    assert LabelNetwork.load(tmp_path).cosines(pixels).shape == (2, len(card.names))


def test_both_methods_learn_made_up_labels(encoder: Encoder) -> None:
    rng = np.random.default_rng(1)
    squares = rng.integers(0, 256, (300, 4, 4, 3), np.uint8).repeat(8, axis=1).repeat(8, axis=2)
    pictures = Pictures(squares=squares, held_out=np.arange(300) % 4 == 0)
    study = simulated_study(pictures, appearance(squares), labels=40, dimension=16, seed=1)
    figures = compare(study, QUICK, print)
    chance = float(study.testing.presence.mean())
    assert {method: of["steps"] for method, of in figures.items()} == {"embedding": 60, "sigmoid": 60}
    assert all(of["map"] > 2 * chance for of in figures.values())


def test_a_folder_without_archives_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no archives"):
        read_archived(tmp_path, 32, print)


def test_the_commands(
    manifest: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("SAFELIGHT_DATA_DIR", str(tmp_path / "data"))
    out = str(tmp_path / "network")
    options = ["--manifest", str(manifest), "-o", out, "--seconds", "2", "--dimensions", "4"]
    monkeypatch.setattr(sys, "argv", ["safelight", "--json", "labels", "train", *options])
    with pytest.raises(SystemExit, match="0"):
        cli.main()
    trained = json.loads(capsys.readouterr().out)
    assert trained["labels"] == 5
    monkeypatch.setattr(
        sys, "argv", ["safelight", "--json", "labels", "evaluate", out, "--manifest", str(manifest), "--nearest", "2"]
    )
    with pytest.raises(SystemExit, match="0"):
        cli.main()
    measured = json.loads(capsys.readouterr().out)
    assert measured["map"] > 0.9
    assert measured["recall"] > 0.8
