import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from console.cli.app import app

runner = CliRunner()


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    return {"SAFELIGHT_DATA_DIR": str(tmp_path)}


def run(environment: dict[str, str], *arguments: str) -> tuple[int, str, str]:
    result = runner.invoke(app, list(arguments), env=environment)
    return result.exit_code, result.stdout, result.stderr


def test_on_status_off(environment: dict[str, str]) -> None:
    assert run(environment, "bypass", "status")[:2] == (0, "inspection is on\n")
    code, out, _ = run(environment, "--json", "bypass", "on", "--for", "30m", "--reason", "an outage")
    assert code == 0
    assert json.loads(out)["everywhere"] is True
    code, out, err = run(environment, "bypass", "status")
    assert out.startswith("inspection is off until 20")
    assert "an outage (" in out
    assert "an outage" in err  # the history
    assert run(environment, "bypass", "off")[:2] == (0, "inspection is on again\n")
    assert run(environment, "bypass", "status")[1] == "inspection is on\n"


def test_with_the_store_down_it_says_whom_it_reached(environment: dict[str, str]) -> None:
    environment["SAFELIGHT_STORE"] = "redis://127.0.0.1:1/0"
    code, _, err = run(environment, "bypass", "on", "--for", "1m", "--reason", "x")
    assert code == 1
    assert "only the proxies of this machine" in err
    code, out, err = run(environment, "--json", "bypass", "status")
    assert json.loads(out)["bypass"] is True
    assert "what holds on this machine" in err
