"""The scripts of `make`: the search for a Python, where PATH may lie and HOME be empty, and the halves of the suite."""

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest

from tests.servers import ROOT

FIND: Final = ROOT / "deploy" / "setup" / "find-python.sh"
CI_RUN: Final = ROOT / ".ci" / "run"
RUN_TESTS: Final = ROOT / "deploy" / "setup" / "run-tests.sh"
NO_TESTS: Final = 5  # https://docs.pytest.org/en/stable/reference/exit-codes.html
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


def run_halves(folder: Path, statuses: dict[str, int], *arguments: str, cores: int = 2) -> tuple[int, list[str]]:
    """The status of run-tests.sh, and the arguments of each run of a pytest that ends as ``statuses`` says."""
    log = folder / "runs"
    python = folder / "python"
    (folder / "nproc").write_text(f"#!/bin/sh\necho {cores}\n")
    (folder / "nproc").chmod(0o755)
    cases = "\n".join(f'*"--machine={half}"*) exit {status} ;;' for half, status in statuses.items())
    python.write_text(f'#!/bin/sh\necho "$*" >>{log}\ncase "$*" in\n{cases}\nesac\n')
    python.chmod(0o755)
    environment = os.environ | {"PATH": f"{folder}:{os.environ['PATH']}"}
    command = ["/bin/sh", str(RUN_TESTS), str(python), *arguments]
    ended = subprocess.run(command, env=environment, capture_output=True, check=False)
    return ended.returncode, log.read_text().splitlines()


@pytest.mark.parametrize(
    ("shared", "alone", "status"),
    [(0, 0, 0), (1, 0, 1), (0, 1, 1), (0, NO_TESTS, 0), (NO_TESTS, 0, 0), (NO_TESTS, 1, 1), (NO_TESTS, NO_TESTS, 5)],
)
def test_both_halves_run_and_one_without_tests_is_no_failure(
    tmp_path: Path, shared: int, alone: int, status: int
) -> None:
    ended, (first, second) = run_halves(tmp_path, {"shared": shared, "alone": alone}, "-k", "lease or ledger")
    assert ended == status
    assert first == "-m pytest --machine=shared -n 3 --dist worksteal -k lease or ledger"
    assert second == "-m pytest --machine=alone -k lease or ledger"


def test_what_was_compiled_is_kept_for_the_run_where_the_environment_forbids_to_write_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In a folder that goes with the run; where it is not forbidden, the interpreter's own place is as good."""
    python = tmp_path / "python"
    folder = '${PYTHONPYCACHEPREFIX-unset} $([ -d "$PYTHONPYCACHEPREFIX" ] && echo is)'
    python.write_text(f'#!/bin/sh\necho "${{PYTHONDONTWRITEBYTECODE-unset}} {folder}" >>{tmp_path}/said\n')
    python.chmod(0o755)
    for forbidden in ("1", ""):
        monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", forbidden)
        monkeypatch.delenv("PYTHONPYCACHEPREFIX", raising=False)
        subprocess.run(["/bin/sh", str(RUN_TESTS), str(python)], capture_output=True, check=True)
    first, second, *others = (tmp_path / "said").read_text().splitlines()
    assert first == second
    kept = re.fullmatch(r"unset (/.+) is", first)
    assert kept
    assert not Path(kept[1]).exists()
    assert others == [" unset "] * 2


@pytest.mark.parametrize(
    ("cores", "processes"), [(1, ""), (4, " -n 5 --dist worksteal"), (64, " -n 8 --dist worksteal")]
)
def test_a_machine_runs_one_test_more_at_once_than_it_has_cores(tmp_path: Path, cores: int, processes: str) -> None:
    _, (first, second) = run_halves(tmp_path, {}, cores=cores)
    assert first == f"-m pytest --machine=shared{processes}"
    assert second == "-m pytest --machine=alone"


def test_a_half_that_fails_is_listed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    listed = tmp_path / "failed"
    monkeypatch.setenv("FAILED_TESTS", str(listed))
    run_halves(tmp_path, {"shared": 3, "alone": NO_TESTS})
    assert listed.read_text() == "pytest --machine=shared -n 3 --dist worksteal ended with status 3\n"


def test_each_test_that_fails_is_listed_once_as_it_fails(tmp_path: Path) -> None:
    (tmp_path / "conftest.py").write_text(
        "from tests import failure_list\ndef pytest_configure(config):\n    failure_list.install(config)\n"
    )
    (tmp_path / "test_some.py").write_text(
        "import os, pytest\n"
        "@pytest.fixture\ndef broken():\n    yield\n    raise OSError('gone')\n"
        "def test_wrong():\n    assert 1 == 2, 'no\\n\\nnever'\n"
        "def test_broken(broken):\n    pass\n"
        "def test_right():\n    assert 'FAILED_TESTS' not in os.environ\n"
    )
    (tmp_path / "test_unreadable.py").write_text("import nothing_of_this_name\n")
    (tmp_path / "pytest.ini").write_text("[pytest]\n")
    listed = tmp_path / "failed"
    options = ["-n", "2", "--continue-on-collection-errors", "-p", "no:anyio", f"--rootdir={tmp_path}"]
    subprocess.run(
        [sys.executable, "-m", "pytest", *options, str(tmp_path)],
        env=os.environ | {"FAILED_TESTS": str(listed)},
        cwd=ROOT,
        capture_output=True,
        check=False,
    )
    seed, *failures = listed.read_text().splitlines()
    assert re.fullmatch(r"\(--randomly-seed=\d+\)", seed)
    unreadable, wrong, broken = sorted(failures, key=lambda line: ("broken" in line, "wrong" in line))
    assert unreadable.startswith("FAILED test_unreadable.py (collection) - ")
    assert "nothing_of_this_name" in unreadable
    assert broken == "FAILED test_some.py::test_broken (teardown) - OSError: gone"
    assert wrong.startswith("FAILED test_some.py::test_wrong - AssertionError: no | never")


def test_a_run_ends_with_the_names_of_what_failed(tmp_path: Path) -> None:
    make = tmp_path / "make"
    make.write_text('#!/bin/sh\necho "FAILED tests/x.py::$1 - because" >>"$FAILED_TESTS"\n[ "$1" != test ]\n')
    make.chmod(0o755)
    environment = os.environ | {"PATH": f"{tmp_path}:{os.environ['PATH']}"}
    ended = subprocess.run([CI_RUN], env=environment, capture_output=True, text=True, check=False)
    assert ended.returncode == 1
    assert ended.stdout.splitlines()[-6:] == [
        "=== what failed (3)",
        *(f"FAILED tests/x.py::{target} - because" for target in ("check", "test", "test-versions")),
        "",
        "FAILED: test",
    ]


def test_what_was_not_run_is_told_once_by_many_processes() -> None:
    ended = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-n", "2", "tests/corpus/test_captured_bodies.py"],
        env=os.environ | {"SAFELIGHT_CORPUS": "/nonexistent"},
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 0, ended.stdout
    (told,) = [line for line in ended.stdout.splitlines() if "NOT RUN" in line and "corpus" in line]
    skipped = re.search(r"(\d+) skipped", ended.stdout)
    assert skipped
    assert f"NOT RUN: {skipped[1]} tests that need the corpus" in told
