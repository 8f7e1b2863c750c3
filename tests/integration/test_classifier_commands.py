"""Classifiers as a user trains them, on the command line."""

import json
from pathlib import Path

import pytest

from tests.integration.command_line import CommandLine
from workers.training.drawing import draw
from workers.training.edits import encode


def folder_of(folder: Path, family: str, seeds: range) -> Path:
    folder.mkdir()
    for seed in seeds:
        (folder / f"{seed}.jpg").write_bytes(encode(draw(family, seed, size=(420, 560))))
    return folder


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> CommandLine:
    """A classifier `papers` with the label `form`."""
    safelight = CommandLine(tmp_path_factory.mktemp("trained"))
    folder_of(safelight.folder / "forms", "document_page", range(20))
    folder_of(safelight.folder / "plans", "floor_plan", range(20))
    safelight("classifier", "train", "papers", "--label", "form", "--images", "forms")
    return safelight


def test_a_new_form_is_named_and_a_poster_is_not(trained: CommandLine) -> None:
    (trained.folder / "form.jpg").write_bytes(encode(draw("document_page", 77, size=(420, 560))))
    (trained.folder / "poster.jpg").write_bytes(encode(draw("poster", 77, size=(420, 560))))
    form, poster = trained("check", "form.jpg", "poster.jpg", "--json").rows
    said = {one["classifier"]: one for one in form["labels"]}
    assert said["papers"]["label"] == "form"
    assert said["papers"]["score"] >= 85
    assert [one["label"] for one in poster["labels"] if one["classifier"] == "papers"] == ["other"]


def test_how_good_it_is_is_shown_with_intervals_and_a_plot(trained: CommandLine) -> None:
    (shown,) = trained("classifier", "show", "papers", "--report", "report.html", "--json").rows
    (form,) = [row for row in shown["rates"] if row["label"] == "form"]
    assert (form["examples"], form["threshold"]) == (20, 85)
    assert form["true_positives"]["rate"] > 0.8
    low, high = form["true_positives"]["interval"]
    assert low < form["true_positives"]["rate"] <= high
    assert shown["false_positives"]["rate"] < 0.01
    assert "<svg" in (trained.folder / "report.html").read_text()


def test_a_label_is_added_without_the_old_images_and_taken_back(trained: CommandLine) -> None:
    options = ("--label", "plan", "--images", "plans", "--negatives", "forms", "--on-duplicate", "add")
    (added,) = trained("classifier", "train", "papers", *options, "--json").rows
    assert (added["labels"], added["added"], added["negatives"]) == (["form", "plan"], 40, 20)
    history = trained("classifier", "history", "papers", "--json").rows
    (restored,) = trained("classifier", "rollback", "papers", str(history[0]["revision"]), "--json").rows
    assert restored["revision"] > history[-1]["revision"]
    rows = trained("classifier", "list", "--json").rows
    assert [row["labels"] for row in rows if row["classifier"] == "papers"] == [["form"]]


def test_a_policy_may_name_it_and_what_ships_and_no_other(trained: CommandLine) -> None:
    for name, label, status in (
        ("papers", "form", 0),
        ("papers", "from", 2),
        ("builtin-documents", "receipt", 0),
        ("builtin-documents", "form", 2),
        ("rooms", "form", 2),
    ):
        condition = {"label": {"classifier": name, "is": label}}
        policy = {"name": "p", "when": {"any": [condition]}, "then": {"action": "block"}}
        (trained.folder / "policies.yaml").write_text(json.dumps({"policies": [policy]}))
        trained("policy", "apply", "policies.yaml", status=status)


def test_what_ships_answers_at_once_and_can_be_taught_another_label(tmp_path: Path) -> None:
    safelight = CommandLine(tmp_path)
    listed = {row["classifier"]: row for row in safelight("classifier", "list", "--json").rows}
    assert set(listed) == {"builtin-documents", "builtin-screens"}
    (shown,) = safelight("classifier", "show", "builtin-screens", "--json").rows
    assert shown["false_positives"]["tried"] > 500
    folder_of(tmp_path / "plans", "floor_plan", range(20))
    (taught,) = safelight(
        "classifier", "train", "builtin-screens", "--label", "plan", "--images", "plans", "--json"
    ).rows
    assert taught["labels"] == sorted([*listed["builtin-screens"]["labels"], "plan"])
    (tmp_path / "plan.jpg").write_bytes(encode(draw("floor_plan", 77, size=(420, 560))))
    (checked,) = safelight("check", "plan.jpg", "--json").rows
    assert {one["classifier"]: one["label"] for one in checked["labels"]}["builtin-screens"] == "plan"
    safelight("classifier", "delete", "builtin-screens")
    again = {row["classifier"]: row for row in safelight("classifier", "list", "--json").rows}
    assert again == listed
    assert "ships with the product" in safelight("classifier", "delete", "builtin-screens", status=2).err


def test_an_encoder_that_ships_has_its_bank(tmp_path: Path) -> None:
    safelight = CommandLine(tmp_path)
    folder_of(tmp_path / "few", "poster", range(2))
    (row, *_) = safelight("encoder", "list", "--json").rows
    refused = safelight("encoder", "bank", row["encoder"], "--images", "few", status=2)
    assert "ships with a bank of its own" in refused.err


def test_too_few_images_are_refused_and_broken_ones_named(tmp_path: Path) -> None:
    safelight = CommandLine(tmp_path)
    images = folder_of(tmp_path / "few", "poster", range(4))
    refused = safelight("classifier", "train", "papers", "--label", "poster", "--images", "few", status=2)
    assert "label poster has 4 images; at least 5 are needed" in refused.err
    assert {row["revision"] for row in safelight("classifier", "list", "--json").rows} == {0}
    (images / "4.jpg").write_bytes(encode(draw("poster", 4)))
    (images / "broken.jpg").write_bytes(b"\xff\xd8 no picture")
    few = safelight("classifier", "train", "papers", "--label", "poster", "--images", "few", "--json", status=1)
    assert [row["status"] for row in few.rows if "status" in row] == ["rejected"]
    assert "has 5 images; 20 to 100 are advised" in few.err
    safelight("classifier", "delete", "papers")
    assert "no classifier is named papers" in safelight("classifier", "show", "papers", status=2).err
