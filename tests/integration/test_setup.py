"""The search for a Python, with made-up folders: what is on PATH may lie, and HOME may be empty."""

import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest

from tests.servers import ROOT

FIND: Final = ROOT / "deploy" / "setup" / "find-python.sh"
VERSION: Final = f"{sys.version_info[0]}.{sys.version_info[1]}"
TOOLS: Final = ("env", "sed", "sort", "tr", "cat")


@pytest.fixture
def tools(tmp_path: Path) -> Path:
    """A folder for PATH with the tools that the script needs and no Python at all."""
    folder = tmp_path / "tools"
    folder.mkdir()
    for tool in TOOLS:
        found = next(place / tool for place in (Path("/usr/bin"), Path("/bin")) if (place / tool).exists())
        (folder / tool).symlink_to(found)
    return folder


def find(*path: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["/bin/sh", str(FIND)],
        env={"PATH": ":".join(str(folder) for folder in path), "HOME": "/nonexistent", **environment},
        capture_output=True,
        text=True,
        check=False,
    )


def install_python(folder: Path) -> None:
    """This interpreter, as a version manager would have it."""
    (folder / "bin").mkdir(parents=True)
    program = folder / "bin" / f"python{VERSION}"
    program.write_text(f'#!/bin/sh\nexec {sys.executable} "$@"\n')
    program.chmod(0o755)


def install_shim(folder: Path) -> None:
    """A version manager's shim for a version that is not selected: it exists and fails."""
    folder.mkdir(parents=True)
    for name in ("python3", f"python{VERSION}"):
        (folder / name).write_text("#!/bin/sh\nexit 127\n")
        (folder / name).chmod(0o755)


def test_nothing_found_says_what_to_install(tools: Path) -> None:
    outcome = find(tools)
    assert outcome.returncode == 2
    assert "apt-get install python3.13 python3.13-venv" in outcome.stderr
    assert outcome.stdout == ""


def test_a_failing_shim_is_passed_over_for_the_versions_folder(tools: Path, tmp_path: Path) -> None:
    install_shim(tmp_path / "manager" / "shims")
    install_python(tmp_path / "manager" / "versions" / f"{VERSION}.99")
    outcome = find(tmp_path / "manager" / "shims", tools)
    assert outcome.returncode == 0, outcome.stderr
    assert Path(outcome.stdout.strip()).exists()


def test_pyenv_root_counts_without_anything_on_path(tools: Path, tmp_path: Path) -> None:
    install_python(tmp_path / "elsewhere" / "versions" / f"{VERSION}.1")
    outcome = find(tools, PYENV_ROOT=str(tmp_path / "elsewhere"))
    assert outcome.returncode == 0, outcome.stderr


def test_a_folder_named_after_a_version_is_not_believed(tools: Path, tmp_path: Path) -> None:
    install_shim(tmp_path / "elsewhere" / "versions" / "3.13.1" / "bin")
    outcome = find(tools, PYENV_ROOT=str(tmp_path / "elsewhere"))
    assert outcome.returncode == 2
