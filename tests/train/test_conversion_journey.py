"""A new encoder, from training to references and classifiers of the old one that live on with it."""

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from typer.testing import CliRunner

from console.cli.app import app
from shared.errors import IntegrityError
from tests.classifier_factories import make_examples
from tests.index_factories import make_reference, make_set
from tests.index_views import rebase
from workers.classifying.bank import bank_path, load_bank
from workers.classifying.builtin import builtin_classifiers
from workers.classifying.dense_features import grid_descriptors
from workers.classifying.fitting import Recipe, fit
from workers.classifying.vectors import row_of, shipped_features, space_of
from workers.encoders.embeddings import to_bytes
from workers.encoders.encoder import MODELS, Encoder
from workers.encoders.files import IMPORTED, choose_encoder, list_encoders
from workers.index.state import IndexState
from workers.index.view_builder import ViewBuilder
from workers.migration.conversion import CONVERTERS, converted_classifier, converted_references, load_converter
from workers.training.conversion import End, complete_bank
from workers.training.dataset import squash
from workers.training.drawing import FAMILIES, draw
from workers.training.edits import EDITS, encode

pytestmark = [pytest.mark.train, pytest.mark.timeout(900)]
OLD = list_encoders()[-1].id
PICTURES = 48
LABELS = {"floor_plan": "plan", "dashboard": "screen"}


@dataclass(frozen=True)
class Journey:
    """What the commands left in a data directory."""

    data_dir: Path
    report: Path
    listed: list[dict[str, object]]
    converters: list[dict[str, object]]
    found: list[dict[str, object]]

    @property
    def imported(self) -> Path:
        return self.data_dir / IMPORTED

    def new(self) -> Encoder:
        return Encoder.load("ours", imported=self.imported)


@pytest.fixture(scope="module")
def journey(tmp_path_factory: pytest.TempPathFactory) -> Journey:
    """`encoder train --from`, `export`, `list` and `converter`, each as a user would run it."""
    folder = tmp_path_factory.mktemp("journey")
    images = folder / "images"
    images.mkdir()
    for number in range(PICTURES):
        draw(FAMILIES[number % len(FAMILIES)], number, size=(320, 240)).save(images / f"{number}.png")
    runner = CliRunner(env={"SAFELIGHT_DATA_DIR": str(folder / "data")})

    def safelight(*arguments: str) -> list[dict[str, object]]:
        ended = runner.invoke(app, ["--json", "encoder", *arguments])
        assert ended.exit_code == 0, (arguments, ended.output, ended.exception)
        return [json.loads(line) for line in ended.stdout.splitlines()]

    run, page = folder / "run", folder / "page"
    given = ["--images", str(images)]
    safelight("train", "--out", str(run), "--from", OLD, "--minutes", "0.1", "--drawings", "2", *given)
    safelight("export", str(run / "checkpoint.pt"), "--name", "ours", "--pictures", "100", *given)
    options = ["--pictures", "60", "--copies", "2", "--report", str(page)]
    there, back, *found = safelight("converter", "--from", OLD, "--to", "ours", *options, *given)
    return Journey(
        data_dir=folder / "data", report=page, listed=safelight("list"), converters=[there, back], found=found
    )


def squares(encoder: Encoder, seeds: range, family: str) -> NDArray[np.float32]:
    return encoder.embed([squash(draw(family, seed, size=(320, 240)), encoder.side).tobytes() for seed in seeds])


def test_the_new_version_is_listed_and_runs(journey: Journey) -> None:
    assert {row["encoder"] for row in journey.listed} == {OLD, "ours"}
    encoder = journey.new()
    digest = choose_encoder("ours", MODELS, journey.imported).sha256
    assert encoder.id == f"ours.int8-{digest[:8]}"
    assert encoder.calibration.background is not None
    assert encoder.calibration.cosine.at(0.99) < encoder.calibration.cosine.at(0.1)


def test_converters_go_both_ways_and_say_what_they_are_worth(journey: Journey) -> None:
    there, back = journey.converters
    assert (there["from"], there["to"]) == (back["to"], back["from"]) == (f"{OLD}.int8", journey.new().id)
    for row in (there, back):
        assert 0 < float(str(row["scale"])) <= 1.2
        assert float(str(row["converted"])) > 0.5
    page = (journey.report / "report.html").read_text()
    assert "Converted references" in page
    assert "Whole inspection" in page


def test_what_the_whole_inspection_finds_is_told(journey: Journey) -> None:
    assert [row["mode"] for row in journey.found] == ["no local features", "gated", "thorough"]
    for row in journey.found:
        assert row["copies"] == 2 * len(EDITS)
        assert 0 <= float(str(row["converted"])) <= 1
    *_, thorough = journey.found
    assert float(str(thorough["converted"])) > 0.5, "hashes and local features know no encoder"


def test_converted_and_native_references_are_found_in_one_index(journey: Journey) -> None:
    old, new = Encoder.load(OLD), journey.new()
    converter = load_converter(journey.data_dir / CONVERTERS, old.id, new.id)
    kept, fresh = (
        [
            make_reference(seed, encoder=encoder.id, pdq="", vectors=(to_bytes(vector),))
            for seed, vector in zip(seeds, squares(encoder, seeds, "floor_plan"), strict=True)
        ]
        for encoder, seeds in ((old, range(10)), (new, range(10, 20)))
    )
    refused: list[IntegrityError] = []
    builder = ViewBuilder(new.id, new.calibration, refused.append)
    state = IndexState([make_set(threshold=0.0)], [*converted_references(kept, converter), *fresh])
    builder.restore(state)
    rebase(builder, state)
    view = builder.build(builder.inputs(state, 1))
    probes = [view.probe("", vector) for vector in squares(new, range(20), "floor_plan")]
    assert not refused
    first = [matches[0].reference for matches in view.search(probes)]
    assert np.mean([name == f"r{seed}" for seed, name in enumerate(first)]) >= 0.9
    assert first[10:] == [f"r{seed}" for seed in range(10, 20)]


def test_classifiers_go_on_with_a_bank_that_was_converted(journey: Journey) -> None:
    old, new = Encoder.load(OLD), journey.new()
    model = shipped_features()

    def rows(encoder: Encoder, family: str, seeds: range) -> NDArray[np.float32]:
        described = []
        for seed, vector in zip(seeds, squares(encoder, seeds, family), strict=True):
            pixels = np.asarray(draw(family, seed, size=(320, 240)))
            small = np.asarray(squash(draw(family, seed, size=(320, 240)), encoder.side))
            plane = np.ascontiguousarray(pixels[..., 1])
            described.append(row_of(vector, model.join(model.kinds(grid_descriptors(plane), plane, small)), model))
        return np.stack(described)

    examples = [one for f, label in LABELS.items() for one in make_examples(label, rows(old, f, range(12)))]
    recipe = Recipe(name="drawings", thresholds={"plan": 90.0}, mode="best")
    bank = load_bank(bank_path(choose_encoder(OLD, MODELS, None), "int8"), model)
    classifier = fit(recipe, tuple(examples), bank, space_of(old.id), 0.0)
    converter = load_converter(journey.data_dir / CONVERTERS, old.id, new.id)
    theirs = load_bank(bank_path(choose_encoder("ours", MODELS, journey.imported), "int8"), model)
    moved = converted_classifier(classifier, converter, theirs, 1.0)
    assert moved.thresholds == classifier.thresholds
    named = [
        moved.scores(rows(new, family, range(100, 110))).argmax(axis=1) == moved.labels.index(label)
        for family, label in LABELS.items()
    ]
    assert np.mean(named) >= 0.75  # the converter has seen 45 pictures


def test_classifiers_that_ship_come_along(journey: Journey) -> None:
    card = choose_encoder("ours", MODELS, journey.imported)
    theirs, ours = builtin_classifiers(choose_encoder(OLD, MODELS, None), "int8"), builtin_classifiers(card, "int8")
    assert theirs.keys() == ours.keys() != set()
    for name, classifier in ours.items():
        assert classifier.space == space_of(journey.new().id)
        assert classifier.labels == theirs[name].labels


def test_references_are_found_by_the_new_encoder_and_by_the_old_one_again(journey: Journey, tmp_path: Path) -> None:
    runner = CliRunner(env={"SAFELIGHT_DATA_DIR": str(journey.data_dir)})

    def safelight(*arguments: str, status: int = 0) -> dict[str, object]:
        ended = runner.invoke(app, ["--json", *arguments])
        assert ended.exit_code == status, (arguments, ended.output, ended.exception)
        return dict(json.loads(ended.stdout.splitlines()[-1]))

    def picture(seed: int, quality: int = 90) -> str:
        path = tmp_path / f"{seed}-{quality}.jpg"
        path.write_bytes(encode(draw("poster", seed, size=(480, 360)), quality=quality))
        return str(path)

    def found(seed: int) -> tuple[object, bool]:
        verdict = safelight("check", picture(seed, quality=40), status=1)
        matches = verdict["matches"]
        assert isinstance(matches, list)
        return verdict["encoder"], any(match["matched"] and match["name"] == f"{seed}-90.jpg" for match in matches)

    old, new = f"{OLD}.int8", journey.new().id
    safelight("set", "create", "designs")
    safelight("set", "add", "designs", picture(1))
    there = safelight("index", "migrate", "--to", "ours")
    assert (there["encoder"], there["phase"], there["left_behind"]) == (new, "switched", [])
    safelight("set", "add", "designs", picture(2))
    assert (found(1), found(2)) == ((new, True), (new, True))
    assert safelight("index", "migrate", "--rollback")["encoder"] == old
    assert (found(1), found(2)) == ((old, True), (old, True))
    assert safelight("index", "migrate", "--to", "ours")["encoder"] == new
    assert safelight("index", "migrate", "--finish")["phase"] == "settled"
    assert (found(1), found(2)) == ((new, True), (new, True))


def test_a_file_that_shares_a_calibration_stands_for_the_one_that_has_it(journey: Journey) -> None:
    card = choose_encoder(OLD, MODELS, None)
    half, quick = End.load(card, "fp16"), End.load(card, "int8")
    assert (half.index_id, half.encoder.id) == (f"{OLD}.fp16", f"{OLD}.fp32")
    assert half.sha256 == card.files["fp16"].sha256
    converter = load_converter(journey.data_dir / CONVERTERS, quick.index_id, journey.new().id)
    assert complete_bank(converter, half, quick) is None
