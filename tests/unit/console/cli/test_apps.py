"""``safelight apps list``: what is in the catalogue, and what has grown old."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from console.cli.app import app
from proxy_addon.activities.catalogue import STALE_DAYS

OWN = """
[app]
name = "intranet"
tags = ["own", "files"]
hosts = ["files.intranet.example"]
written = WRITTEN
source = "https://wiki.intranet.example/uploads"

[[rule]]
activity = "upload"
"""


@pytest.fixture
def config(tmp_path: Path) -> Path:
    (tmp_path / "apps").mkdir()
    file = tmp_path / "safelight.yaml"
    file.write_text("data_dir: data\nproxy: {apps_dir: apps}\n")
    return file


@pytest.mark.parametrize(("written", "stale"), [("9999-01-01", False), ("2020-01-01", True)])
def test_each_app_is_a_row_and_an_old_one_is_found(config: Path, written: str, stale: bool) -> None:
    (config.parent / "apps" / "intranet.toml").write_text(OWN.replace("WRITTEN", written))
    ended = CliRunner().invoke(app, ["--json", "--config", str(config), "apps", "list"])
    rows = {row["name"]: row for row in map(json.loads, ended.stdout.splitlines())}
    intranet = rows["intranet"]
    assert (intranet["tags"], intranet["rules"], intranet["written"]) == (["own", "files"], 1, written)
    assert (intranet["stale"], intranet["age_days"] > STALE_DAYS) == (stale, stale)
    assert intranet["source"].startswith("https://")
    assert len(rows) > 27
    assert ended.exit_code == any(row["stale"] for row in rows.values())


def test_a_table_for_people(config: Path) -> None:
    ended = CliRunner().invoke(app, ["--config", str(config), "apps", "list"])
    assert "google-drive" in ended.stdout
    assert "{" not in ended.stdout
