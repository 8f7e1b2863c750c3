"""The shape of the code, as far as a machine can check it: imports, sizes, mirrored tests, honest unit tests."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parents[2]
UNIT: Final = ROOT / "tests" / "unit"
PACKAGES: Final = ("shared", "proxy_addon", "workers", "console")
FILE_LIMIT: Final = 400
FUNCTION_LIMIT: Final = 60

# Pure code: each module has a unit test of its own name. Elsewhere a test of another kind that imports the module will
# do as well: adapters pass contract suites, servers are met by integration tests.
PURE: Final = ("shared/core/", "shared/extract/")
# What no test imports by name, because it runs as a process of its own or is reached through its package, and the test
# that runs it.
RUN_BY: Final[dict[str, str]] = {
    "shared/types/decisions.py": "tests/unit/shared/core/test_policy.py",
    "shared/types/objects.py": "tests/unit/shared/core/test_objects.py",
    "shared/types/index.py": "tests/unit/shared/test_codec.py",
    "workers/engines/engine.py": "tests/integration/test_engine.py",
    "workers/index/catalogue.py": "tests/unit/workers/image_sets/test_enrolment.py",
    "workers/evaluation/adversary_path.py": "tests/train/test_adversary.py",
    **{
        f"workers/training/drawing/{name}.py": "tests/unit/workers/training/drawing/test___init__.py"
        for name in ("papers", "scenes", "screens", "sketches")
    },
    **{
        f"console/cli/{name}.py": "tests/integration/test_cli.py"
        for name in (
            "checks",
            "decoding",
            "encoders",
            "files",
            "policies",
            "sets",
            "settings_commands",
            "session",
            "inspection",
        )
    },
    "console/cli/encoder_conversion.py": "tests/train/test_conversion_journey.py",
    "console/cli/classifiers.py": "tests/integration/test_classifier_commands.py",
    "console/cli/classifier_training.py": "tests/integration/test_classifier_commands.py",
    "console/cli/classifier_fitting.py": "tests/integration/test_classifier_commands.py",
    "console/cli/hard_negatives.py": "tests/integration/test_hard_negatives.py",
    "console/cli/encoder_bank.py": "tests/integration/test_classifier_commands.py",
    "console/cli/published_labels.py": "tests/integration/test_label_commands.py",
    "console/cli/revisions.py": "tests/integration/test_label_commands.py",
    "console/cli/classifier_evaluation.py": "tests/integration/test_classifier_evaluation.py",
    "console/cli/set_reports.py": "tests/integration/test_set_commands.py",
    "console/cli/index.py": "tests/integration/test_index_commands.py",
    "console/cli/migration.py": "tests/integration/test_migration_commands.py",
    "workers/migration/migrating.py": "tests/integration/test_migration_commands.py",
    "console/cli/set_history.py": "tests/integration/test_index_commands.py",
    "console/cli/roles.py": "tests/integration/test_supervisor.py",
    "console/deployment.py": "tests/integration/test_cli.py",
    "console/role_runner.py": "tests/integration/test_supervisor.py",
    "console/supervisor.py": "tests/integration/test_supervisor.py",
    "console/demo/__main__.py": "tests/e2e/test_demo.py",
}


def python_files(*folders: str) -> Iterator[Path]:
    """Every Python file under these folders of the project."""
    for folder in folders:
        yield from sorted((ROOT / folder).rglob("*.py"))


def name_of(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


@cache
def parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text())


def defines_something(path: Path) -> bool:
    return any(isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) for node in parsed(path).body)


def test_import_contracts_hold() -> None:
    # In a process of its own: the linter's logging set-up disables every logger that exists.
    command = [str(Path(sys.executable).with_name("lint-imports")), "--no-logo", "--no-cache"]
    finished = subprocess.run(command, cwd=ROOT, check=False, capture_output=True, text=True, timeout=100)
    assert finished.returncode == 0, finished.stdout


def test_files_are_short() -> None:
    lengths = {
        name_of(path): len(path.read_text().splitlines()) for path in python_files(*PACKAGES, "tests", "benchmarks")
    }
    assert {name: length for name, length in lengths.items() if length > FILE_LIMIT} == {}


def test_functions_are_short() -> None:
    lengths = {
        f"{name_of(path)}:{node.name}": (node.end_lineno or node.lineno) - node.lineno + 1
        for path in python_files(*PACKAGES, "tests", "benchmarks")
        for node in ast.walk(parsed(path))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    }
    assert {name: length for name, length in lengths.items() if length > FUNCTION_LIMIT} == {}


def test_every_package_says_so() -> None:
    """A folder of modules without __init__.py would be left out of the distribution and out of the import contracts."""
    folders = {path.parent for path in python_files(*PACKAGES)}
    assert sorted(name_of(folder) for folder in folders if not (folder / "__init__.py").exists()) == []


def test_every_unit_test_mirrors_a_module() -> None:
    strays = [
        name_of(test)
        for package in (*PACKAGES, "benchmarks")
        for test in sorted((UNIT / package).rglob("test_*.py"))
        if not (ROOT / test.relative_to(UNIT).with_name(test.name.removeprefix("test_"))).exists()
    ]
    assert strays == []


def test_every_module_has_its_tests() -> None:
    imported = {name for path in python_files("tests") for node in ast.walk(parsed(path)) for name in _imports(node)}
    untested = [
        name
        for name in map(name_of, filter(defines_something, python_files(*PACKAGES)))
        if not (UNIT / name).with_name(f"test_{Path(name).name}").exists()
        and name not in RUN_BY
        and (
            name.startswith(PURE)
            or name.removesuffix(".py").removesuffix("/__init__").replace("/", ".") not in imported
        )
    ]
    assert not untested, "\n".join(untested)


def test_what_only_processes_run_is_run() -> None:
    missing = [name for pair in RUN_BY.items() for name in pair if not (ROOT / name).exists()]
    assert missing == []


def test_unit_tests_use_no_mocks_and_no_sleeps() -> None:
    """What needs a patched module or a pause to be tested decides in the wrong place."""
    offenders = [
        f"{name_of(path)}: {word}"
        for path in python_files("tests/unit")
        for node in ast.walk(parsed(path))
        for word in _names(node)
        if word in {"unittest.mock", "mock", "monkeypatch", "time.sleep", "asyncio.sleep"}
    ]
    assert offenders == []


def _imports(node: ast.AST) -> list[str]:
    match node:
        case ast.Import():
            return [alias.name for alias in node.names]
        case ast.ImportFrom(module=str(module)):
            return [module, *(f"{module}.{alias.name}" for alias in node.names)]
        case _:
            return []


def _names(node: ast.AST) -> list[str]:
    match node:
        case ast.arg():
            return [node.arg]
        case ast.Attribute(value=ast.Name()):
            return [ast.unparse(node)]
        case _:
            return _imports(node)
