"""The program as a user runs it: a process, its output, its exit status."""

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from ruamel.yaml import YAML

LIMIT_S: Final = 120
LOOPBACK: Final[Mapping[str, Any]] = {
    "data_dir": "data",
    "proxy": {"listen": "127.0.0.1:0"},
    "console": {"listen": "127.0.0.1:0"},
    "metrics": {"listen": "127.0.0.1:0"},
}

_RUN_ALL: Final = """
import contextlib, io, json, sys
from console.cli.app import main
ends = []
for arguments in json.load(sys.stdin):
    out, err, status = io.StringIO(), io.StringIO(), 0
    sys.argv[1:] = arguments
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            main()
        except SystemExit as end:
            status = end.code or 0
    ends.append((status, out.getvalue(), err.getvalue()))
json.dump(ends, sys.stdout)
"""


@dataclass(frozen=True)
class Ended:
    """What a command left."""

    status: int
    out: bytes
    err: str

    @property
    def text(self) -> str:
        """Standard output."""
        return self.out.decode()

    @property
    def rows(self) -> list[dict[str, Any]]:
        """Standard output as one JSON object a line."""
        return [json.loads(line) for line in self.text.splitlines()]


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
        ended = subprocess.run(
            [sys.executable, "-m", "console.cli", *arguments],
            check=False,
            capture_output=True,
            stdin=subprocess.DEVNULL,
            cwd=self.folder,
            env=self._environment(environment),
            timeout=LIMIT_S,
        )
        return Ended(ended.returncode, ended.stdout, ended.stderr.decode(errors="replace"))

    def run_all(self, commands: Sequence[Sequence[str]]) -> list[Ended]:
        """Run many short commands with this configuration one after the other in one process."""
        ended = subprocess.run(
            [sys.executable, "-c", _RUN_ALL],
            check=True,
            capture_output=True,
            input=json.dumps([["--config", str(self.config), *command] for command in commands]).encode(),
            cwd=self.folder,
            env=self._environment({}),
            timeout=LIMIT_S,
        )
        return [Ended(status, out.encode(), err) for status, out, err in json.loads(ended.stdout)]

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
