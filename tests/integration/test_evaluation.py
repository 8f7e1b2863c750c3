"""`safelight encoder evaluate` on a few drawings, as a user runs it: tables, JSON and page agree."""

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from console.cli.app import app

pytestmark = pytest.mark.timeout(600)  # some 40 s of one core


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("report")
    result = CliRunner().invoke(app, ["encoder", "evaluate", "--share", "0.004", "-o", str(folder)])
    assert result.exception is None, result.output
    (folder / "stdout.txt").write_text(result.output)
    return folder


@pytest.fixture(scope="module")
def tables(folder: Path) -> dict[str, list[dict[str, Any]]]:
    report = json.loads((folder / "report.json").read_text())
    return {
        f"{section['name']}/{table['name']}": table["rows"]
        for section in report["sections"]
        for table in section["tables"]
    }


def test_every_method_answers_the_same_queries(tables: dict[str, list[dict[str, Any]]]) -> None:
    rows = {(row["method"], row["mode"]): row for row in tables["recall/methods"]}
    assert ("whole path", "gated") in rows
    assert ("whole path", "thorough") in rows
    assert {"pHash", "PDQ", "PDQ x 8", "encoder fp32", "local features alone"} <= {name for name, _ in rows}
    assert all(0 <= row["r1"] <= 1 and row["p95_ms"] > 0 and row["images_s"] > 0 for row in rows.values())
    assert rows["whole path", "thorough"]["r1"] > rows["PDQ x 8", "always"]["r1"]


def test_every_section_has_its_tables(tables: dict[str, list[dict[str, Any]]]) -> None:
    assert len(tables["recall/transformations"]) == 24
    assert len(tables["recall/strengths"]) >= 72
    assert {row["pair"] for row in tables["documents/pairs"]} >= {"rescanned", "blank form"}
    strangers = [row for row in tables["false-positives/matched"] if row["stratum"] == "all"]
    assert [row["shown"] for row in strangers] == [40, 40]
    assert [row["crossed"] for row in tables["false-positives/near_empty"]] == [0, 0]


def test_the_page_and_the_terminal_show_what_json_holds(folder: Path, tables: dict[str, list[dict[str, Any]]]) -> None:
    page, text = (folder / "report.html").read_text(), (folder / "stdout.txt").read_text()
    for row in tables["recall/methods"]:
        assert row["method"] in page
        assert row["method"] in text
    assert page.count("<svg") == 3
    assert "minutes on one core" in text
