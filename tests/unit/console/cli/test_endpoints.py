import plistlib
from pathlib import Path

import pytest
from typer.testing import CliRunner

from console.cli.app import app
from shared.errors import UsageError


def run(folder: Path, *arguments: str) -> bytes:
    out = folder / "out"
    result = CliRunner().invoke(app, [*arguments, "-o", str(out)], env={"SAFELIGHT_DATA_DIR": str(folder / "data")})
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == 0
    return out.read_bytes()


def test_pac(tmp_path: Path) -> None:
    text = run(tmp_path, "pac", "--address", "p1.example:8080", "--address", "p2.example:8080").decode()
    assert '"PROXY p1.example:8080; PROXY p2.example:8080"' in text
    assert "PROXY p.example:1; DIRECT" in run(tmp_path, "pac", "--address", "p.example:1", "--fail-open").decode()


def test_mobileconfig_works_before_the_first_start(tmp_path: Path) -> None:
    profile = plistlib.loads(run(tmp_path, "mobileconfig", "--address", "p1.example:8080"))
    assert profile["PayloadContent"][0]["PayloadContent"].startswith(b"\x30\x82")  # a DER sequence
    again = plistlib.loads(run(tmp_path, "mobileconfig", "--pac-url", "http://c.example/proxy.pac"))
    assert again["PayloadUUID"] == profile["PayloadUUID"]


@pytest.mark.parametrize(
    "arguments",
    [("pac", "--address", "nonsense"), ("pac", "--address", 'a";b:1'), ("mobileconfig", "--pac-url", "file:///x")],
)
def test_what_is_no_address_is_said(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    with pytest.raises(UsageError):
        run(tmp_path, *arguments)
