"""`safelight encoder evaluate` on a few drawings, as a user runs it: tables, JSON and page agree."""

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from console.cli.app import app

type Tables = dict[str, list[dict[str, Any]]]

pytestmark = pytest.mark.timeout(600)  # some 40 s of one core


def test_tables_json_and_page_agree(tmp_path: Path) -> None:
    """One test: side by side, two would each measure what they look at."""
    result = CliRunner().invoke(app, ["encoder", "evaluate", "--share", "0.004", "-o", str(tmp_path)])
    assert result.exception is None, result.output
    tables = tables_of(tmp_path)
    every_method_answers_the_same_queries(tables)
    every_section_has_its_tables(tables)
    the_page_and_the_terminal_show_what_json_holds((tmp_path / "report.html").read_text(), result.output, tables)


def tables_of(folder: Path) -> Tables:
    report = json.loads((folder / "report.json").read_text())
    return {
        f"{section['name']}/{table['name']}": table["rows"]
        for section in report["sections"]
        for table in section["tables"]
    }


def every_method_answers_the_same_queries(tables: Tables) -> None:
    rows = {(row["method"], row["mode"]): row for row in tables["recall/methods"]}
    assert ("whole path", "gated") in rows
    assert ("whole path", "thorough") in rows
    assert {"pHash", "PDQ", "PDQ x 8", "encoder fp32", "local features alone"} <= {name for name, _ in rows}
    assert all(0 <= row["r1"] <= 1 and row["p95_ms"] > 0 and row["images_s"] > 0 for row in rows.values())
    assert rows["whole path", "thorough"]["r1"] > rows["PDQ x 8", "always"]["r1"]


def every_section_has_its_tables(tables: Tables) -> None:
    assert len(tables["recall/transformations"]) == 24
    assert len(tables["recall/strengths"]) >= 72
    assert {row["pair"] for row in tables["documents/pairs"]} >= {"rescanned", "blank form"}
    strangers = [row for row in tables["false-positives/matched"] if row["stratum"] == "all"]
    assert [row["shown"] for row in strangers] == [40, 40]
    assert [row["crossed"] for row in tables["false-positives/near_empty"]] == [0, 0]


def the_page_and_the_terminal_show_what_json_holds(page: str, text: str, tables: Tables) -> None:
    for row in tables["recall/methods"]:
        assert row["method"] in page
        assert row["method"] in text
    assert page.count("<svg") == 3
    assert "minutes on one core" in text
