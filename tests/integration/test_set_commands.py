"""What is said about images that are protected: at enrolment, of a threshold, of edits."""

import json
from pathlib import Path

import pytest
from PIL import Image

from tests.integration.command_line import CommandLine
from workers.training.drawing import draw
from workers.training.edits import encode

PICTURE = encode(draw("poster", 1, size=(640, 480)))
OTHER = encode(draw("dashboard", 2, size=(640, 480)))


@pytest.fixture
def safelight(tmp_path: Path) -> CommandLine:
    return CommandLine(tmp_path)


@pytest.fixture(scope="module")
def enrolled(tmp_path_factory: pytest.TempPathFactory) -> CommandLine:
    """A set `designs` with one picture."""
    safelight = CommandLine(tmp_path_factory.mktemp("enrolled"))
    (safelight.folder / "picture.jpg").write_bytes(PICTURE)
    (safelight.folder / "other.jpg").write_bytes(OTHER)
    safelight("set", "create", "designs")
    safelight("set", "add", "designs", "picture.jpg")
    return safelight


def test_what_is_enrolled_is_looked_at_first(safelight: CommandLine) -> None:
    (safelight.folder / "picture.jpg").write_bytes(PICTURE)
    (safelight.folder / "again.jpg").write_bytes(encode(draw("poster", 1, size=(640, 480)), quality=70))
    Image.new("RGB", (200, 100), "white").save(safelight.folder / "blank.png")
    options = ("--keep-thumbnail", "--thorough", "--relation", "any", "--prior", "0.001")
    (created,) = safelight("set", "create", "designs", *options, "--json").rows
    assert created == {
        "set": "designs",
        "threshold": 85.0,
        "relation": "any",
        "thorough": True,
        "prior": 0.001,
        "keep_thumbnail": True,
    }
    first, again, blank = safelight(
        "set", "add", "designs", "picture.jpg", "again.jpg", "blank.png", "--json", status=1
    ).rows
    assert (first["warnings"], again["status"]) == ([], "added")
    assert again["warnings"][0].startswith(f"near_duplicate: {first['reference']}")
    assert (blank["status"], blank["error"]) == ("rejected", "low_information")
    assert "--force" in blank["message"]
    (forced,) = safelight("set", "add", "designs", "blank.png", "--force", "--json").rows
    assert forced["status"] == "added"

    (shown,) = safelight("set", "show", "designs", "--thumbnails", "small", "--json").rows
    assert sorted(shown["thumbnails"]) == sorted(f"small/{row['reference']}.jpg" for row in (first, again))
    with Image.open(safelight.folder / "small" / f"{first['reference']}.jpg") as small:
        assert (small.format, small.size) == ("JPEG", (160, 120))
    assert safelight("set", "threshold", "designs", "91.5", "--json").rows == [{"set": "designs", "threshold": 91.5}]
    assert safelight("set", "list", "--json").rows[0]["threshold"] == 91.5


def test_a_threshold_comes_from_data(enrolled: CommandLine) -> None:
    for family, folder in (("poster", "."), ("document_page", "documents")):
        (enrolled.folder / "ordinary" / folder).mkdir(parents=True, exist_ok=True)
        for seed in (50, 51):
            picture = encode(draw(family, seed, size=(320, 240)))
            (enrolled.folder / "ordinary" / folder / f"{family}-{seed}.jpg").write_bytes(picture)
    (enrolled.folder / "ordinary" / "reference.jpg").write_bytes(PICTURE)
    (enrolled.folder / "ordinary" / "readme.txt").write_text("no image")
    (bank_only,) = enrolled("set", "calibrate", "designs", "--json").rows
    assert (bank_only["suggested_threshold"] >= 85.0, bank_only["applied"]) == (True, False)
    (row,) = enrolled(
        "set", "calibrate", "designs", "--target-fpr", "1e-3", "--background", "ordinary", "--apply", "--json"
    ).rows
    bank, images = row["trials"]
    assert (bank["part"], bank["images"] > 1000) == ("the encoder alone", True)
    assert (images["images"], images["left_out"]) == (4, {"not_an_image": 1, "reference": 1})
    assert (images["strata"].keys(), images["worst_stratum"] in images["strata"]) == ({"documents", "top folder"}, True)
    assert images["present"]["extrapolated"]
    assert images["present"]["fpr_interval"][1] > images["present"]["fpr"]
    assert (row["extrapolated"], row["applied"], row["target_fpr"]) == (True, True, 1e-3)
    assert enrolled("set", "show", "designs", "--json").rows[0]["threshold"] == row["suggested_threshold"]
    assert "extrapolated from 4 images" in enrolled("set", "calibrate", "designs", "--background", "ordinary").text
    enrolled("set", "threshold", "designs", "85")


def test_robustness_is_reported_for_images_of_the_set(enrolled: CommandLine) -> None:
    ended = enrolled("set", "robustness", "designs", "picture.jpg", "other.jpg", "-o", "report", "--json", status=1)
    assert "other.jpg: designs has no such image" in ended.err
    (row,) = ended.rows
    assert [image["name"] for image in row["images"]] == ["picture.jpg"]
    assert row["copies"] == len(row["rows"]) == 81
    assert row["matched"] > 40
    shares = [one["matched"] / one["tried"] for one in row["rows"]]
    assert shares == sorted(shares)
    assert json.loads((enrolled.folder / "report" / "robustness.json").read_text())["rows"] == row["rows"]
    assert "<svg" in (enrolled.folder / "report" / "robustness.html").read_text()
    assert "none of these images is in designs" in enrolled("set", "robustness", "designs", "other.jpg", status=2).err
