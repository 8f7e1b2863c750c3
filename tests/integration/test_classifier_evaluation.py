"""`safelight classifier evaluate` on a few drawings, as a user runs it: table, JSON and page agree."""

import json
from pathlib import Path

import pytest

from tests.integration.command_line import CommandLine
from workers.evaluation.classifiers import SHOTS
from workers.evaluation.classifiers_methods import METHODS
from workers.training.drawing import draw
from workers.training.edits import encode

FOLDERS = {"form": ("document_page", 16), "plan": ("floor_plan", 16), "other": ("poster", 12)}


@pytest.fixture(scope="module")
def safelight(tmp_path_factory: pytest.TempPathFactory) -> CommandLine:
    """Where a folder of folders is."""
    command_line = CommandLine(tmp_path_factory.mktemp("evaluated"))
    for name, (family, count) in FOLDERS.items():
        folder = command_line.folder / "drawn" / name
        folder.mkdir(parents=True)
        for seed in range(count):
            (folder / f"{seed}.jpg").write_bytes(encode(draw(family, seed, size=(420, 560))))
    (command_line.folder / "drawn" / "form" / "broken.jpg").write_bytes(b"\xff\xd8 no picture")
    return command_line


def test_every_method_has_a_row_on_screen_in_json_and_on_the_page(safelight: CommandLine) -> None:
    ended = safelight("classifier", "evaluate", "--data", "drawn", "--shots", "5", "--draws", "1", "-o", "report")
    report = json.loads((safelight.folder / "report" / "report.json").read_text())
    (section,) = report["sections"]
    rows = section["tables"][0]["rows"]
    assert [row["method"] for row in rows] == [method.name for method in METHODS]
    page = (safelight.folder / "report" / "report.html").read_text()
    for row in rows:
        assert (row["shots"], row["classes"]) == (5, 2)
        assert 10 <= row["asked"] <= 22
        assert row["false_low"] <= row["false"] <= row["false_high"]
        assert row["fit_ms"] > 0
        assert row["image_ms"] > 0
        assert row["method"] in ended.text
        assert row["method"] in page
    assert rows[-1]["nearest"] > 0.8
    assert "<svg" in page


def test_too_few_images_for_what_is_asked_are_told(safelight: CommandLine) -> None:
    refused = safelight("classifier", "evaluate", "--data", "drawn", status=2)
    assert f"needs a folder of {min(SHOTS) + 10} images or more" in refused.err


def test_a_network_to_compare_with_needs_torch_and_says_so(safelight: CommandLine) -> None:
    (safelight.folder / "torch").mkdir()  # the current folder is where Python looks first
    (safelight.folder / "torch" / "__init__.py").write_text("raise ModuleNotFoundError('no torch')")
    arguments = ("classifier", "evaluate", "--data", "drawn", "--shots", "5", "--baseline", "cnn")
    refused = safelight(*arguments, status=2)
    assert "training needs torch" in refused.err


def test_a_folder_of_files_that_are_no_images_is_told(tmp_path: Path) -> None:
    command_line = CommandLine(tmp_path)
    for name in ("form", "other"):
        (tmp_path / "broken" / name).mkdir(parents=True)
        for number in range(15):
            (tmp_path / "broken" / name / f"{number}.jpg").write_bytes(b"\xff\xd8 no picture")
    refused = command_line("classifier", "evaluate", "--data", "broken", "--shots", "5", status=2)
    assert "no file is an image that can be read" in refused.err
