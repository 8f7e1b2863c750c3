"""The program as a user runs it: a process, its output, its exit status."""

import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from ruamel.yaml import YAML

from tests.commands import Ended, run_command

LOOPBACK: Final[Mapping[str, Any]] = {
    "data_dir": "data",
    "proxy": {"listen": "127.0.0.1:0"},
    "console": {"listen": "127.0.0.1:0"},
    "metrics": {"listen": "127.0.0.1:0"},
}


class CommandLine:
    """Runs ``safelight`` with a configuration in a folder of its own, which is also its current folder."""

    def __init__(self, folder: Path, **settings: Any) -> None:
        self.folder = folder
        self.config = folder / "safelight.yaml"
        YAML().dump({**LOOPBACK, **settings}, self.config)

    @property
    def data_dir(self) -> Path:
        """Where the configuration says that it is."""
        return self.folder / "data"

    def run(self, *arguments: str, **environment: str) -> Ended:
        """Run a command exactly as given."""
        return run_command(arguments, self.folder, self._environment(environment))

    def run_all(self, commands: Sequence[Sequence[str]]) -> list[Ended]:
        """Run commands with this configuration one after the other."""
        return [self.run("--config", str(self.config), *command) for command in commands]

    def __call__(self, *arguments: str, status: int = 0, **environment: str) -> Ended:
        """Run a command with this configuration; its exit status must be ``status``."""
        ended = self.run("--config", str(self.config), *arguments, **environment)
        assert ended.status == status, (arguments, ended)
        assert "Traceback" not in ended.err, ended.err
        return ended

    def start(self, *arguments: str, **environment: str) -> "subprocess.Popen[str]":
        """Start a command that runs on; its log goes to ``safelight.log``."""
        with (self.folder / "safelight.log").open("a", encoding="utf-8") as log:
            return subprocess.Popen(
                [sys.executable, "-m", "console.cli", "--config", str(self.config), *arguments],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                cwd=self.folder,
                env=self._environment(environment),
            )

    def log(self) -> str:
        """What the commands that run on have logged."""
        return (self.folder / "safelight.log").read_text(encoding="utf-8")

    def _environment(self, more: Mapping[str, str]) -> dict[str, str]:
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("SAFELIGHT_")}
        root = str(Path(__file__).parents[2])
        return {**inherited, "PYTHONPATH": root, "PYTHONWARNINGS": "default", **more}
