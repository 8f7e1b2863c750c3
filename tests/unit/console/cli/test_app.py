"""Global options work wherever they stand; mistakes end with status 2 and a sentence."""

import subprocess
import sys
from typing import Any

import pytest
from typer.core import TyperGroup
from typer.main import get_command

from console.cli.app import app, hoist_global_options

HEAVY = ("cv2", "numpy", "onnxruntime", "PIL", "proxy_addon")


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (["set", "list", "--json"], ["--json", "set", "list"]),
        (["--json", "set", "list"], ["--json", "set", "list"]),
        (["check", "--config", "a.yaml", "x.png"], ["--config", "a.yaml", "check", "x.png"]),
        (["check", "x.png", "--config=a.yaml", "--json"], ["--config=a.yaml", "--json", "check", "x.png"]),
        (["check", "--", "--json"], ["check", "--", "--json"]),
        (["check", "--config"], ["--config", "check"]),
        ([], []),
    ],
)
def test_global_options_move_to_the_front(given: list[str], expected: list[str]) -> None:
    assert hoist_global_options(given) == expected


def test_every_command_is_loaded_by_its_name_when_it_is_looked_up() -> None:
    root: Any = get_command(app)
    assert isinstance(root, TyperGroup)
    assert {"worker", "check", "classifier", "ca"} <= set(root.commands)
    assert len(root.commands) == len(list(root.commands))
    for name, command in root.commands.items():
        assert command.name == name
        assert command.help
    assert "nothing" not in root.commands
    assert root.commands.get("nothing") is None


def test_a_command_does_not_load_what_only_others_need() -> None:
    program = f"import sys, console.cli.app; print([name for name in {HEAVY} if name in sys.modules])"
    ended = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True, timeout=60)
    assert ended.stdout == "[]\n"
