"""The program's commands as processes of their own that begin at once: forked from one that has imported the program.

A command takes over a second of a core to import what it may need, and the tests give hundreds.  What is forked is a
process like any other: its own arguments, folder, environment, standard streams and exit status.
"""

import functools
import json
import multiprocessing
import os
import sys
import tempfile
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from multiprocessing.context import ForkServerContext
from pathlib import Path
from typing import Any, Final

from tests.servers import ROOT

LIMIT_S: Final = 120
# Every command, which the program itself loads when it is named.  Not onnxruntime, which starts a thread where it is
# imported: a process that forks must have one.
_IMPORTED: Final = [
    "shared.adapters.redis.store",
    *(f"console.cli.{path.stem}" for path in sorted((ROOT / "console" / "cli").glob("[a-z]*.py"))),
]


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


@functools.cache
def _server() -> ForkServerContext:
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(_IMPORTED)
    return context


def run_command(arguments: Sequence[str], folder: Path, environment: Mapping[str, str]) -> Ended:
    """Run ``safelight`` with these arguments in this folder; raises TimeoutError after ``LIMIT_S`` seconds."""
    with tempfile.TemporaryDirectory() as streams:
        out, err = Path(streams, "out"), Path(streams, "err")
        process = _server().Process(target=_command, args=(list(arguments), folder, dict(environment), out, err))
        process.start()
        try:
            process.join(LIMIT_S)
            if process.exitcode is None:
                raise TimeoutError(f"safelight {' '.join(arguments)} runs for more than {LIMIT_S} s")
            said = (path.read_bytes() if path.exists() else b"" for path in (out, err))
            return Ended(process.exitcode, next(said), next(said).decode(errors="replace"))
        finally:
            process.kill()
            process.join()
            process.close()


def _command(arguments: list[str], folder: Path, environment: dict[str, str], out: Path, err: Path) -> None:
    """What runs in the fork."""
    for stream, path, flags in ((0, Path(os.devnull), os.O_RDONLY), (1, out, os.O_WRONLY), (2, err, os.O_WRONLY)):
        opened = os.open(path, flags | os.O_CREAT, 0o600)
        os.dup2(opened, stream)
        os.close(opened)
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(folder)
    sys.path.insert(0, str(folder))  # as with `python -m`
    warnings.simplefilter("default")
    from console.cli.app import main

    sys.argv = ["safelight", *arguments]
    main()
