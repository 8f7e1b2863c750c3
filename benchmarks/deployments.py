"""One real worker on this machine with what it needs: embedded (hub and SQLite), or over a real Kafka and Redis."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from benchmarks.pictures import REFERENCE_SEEDS, drawings
from benchmarks.proxies import safelight, started
from shared.adapters.run_files import read_run_file
from shared.config import Settings
from shared.config import load as load_settings
from tests.servers import KafkaBroker, RedisServer

EMBEDDED: Final = "embedded"
SCALED_OUT: Final = "Kafka and Redis"
READY_SECONDS: Final = 90.0
SET: Final = "benchmark"


@dataclass(frozen=True, slots=True, kw_only=True)
class Deployment:
    """A worker that is ready, and the servers beside it by name."""

    shape: str
    config: Path
    settings: Settings
    worker: int
    servers: Mapping[str, int]

    def safelight(self, *arguments: str) -> None:
        """Run a command of the program to its end."""
        run_command(self.config, *arguments)

    def metric(self, name: str) -> float:
        """Return one value of the worker's metrics, 0 where it has none of that name yet."""
        run = read_run_file(self.settings.run_dir, "worker")
        with urllib.request.urlopen(f"http://{run['metrics']}/metrics", timeout=5) as answer:
            lines = answer.read().decode().splitlines()
        return sum(float(line.rpartition(" ")[2]) for line in lines if line.partition(" ")[0] == name)

    def protect(self, files: Path, way: str) -> None:
        """Make the set of these pictures, ``quick`` or ``thorough``, in place of an earlier one, in the worker too."""
        if self.metric("safelight_index_references"):
            self.safelight("set", "delete", SET)
        self.safelight("set", "create", SET, f"--{way}")
        self.safelight("set", "add", SET, str(files), "--recursive", "--force")
        count = sum(1 for _ in files.iterdir())
        wait_until(lambda: self.metric("safelight_index_references") == count, "the worker has the set")


def run_command(config: Path, *arguments: str) -> str:
    """Run a command of the program and return what it printed; raises RuntimeError with what it complained of."""
    done = subprocess.run(safelight("--config", str(config), *arguments), check=False, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"safelight {' '.join(arguments[:2])} ended with {done.returncode}: {done.stderr[-1000:]}")
    return done.stdout


def write_references(folder: Path, count: int) -> Path:
    """Write the pictures to protect, drawn by this project, into ``folder``."""
    folder.mkdir()
    for number, data in enumerate(drawings(count, REFERENCE_SEEDS)):
        (folder / f"{number}.jpg").write_bytes(data)
    return folder


@contextmanager
def deployment(shape: str, folder: Path, worker: Mapping[str, Any] | None = None) -> Iterator[Deployment]:
    """A deployment of this shape until the end of the block; ``worker``: its settings."""
    folder.mkdir(parents=True)
    with ExitStack() as stack:
        servers: dict[str, int] = {}
        places: dict[str, str] = {}
        if shape == SCALED_OUT:
            broker, redis = KafkaBroker(folder / "kafka"), RedisServer(folder / "redis")
            for server in (broker, redis):
                stack.callback(server.remove)
                server.start()
            servers = {"kafka": broker.pid or 0, "redis": redis.pid or 0}
            places = {"bus": broker.url, "store": redis.url}
        config = write_config(folder, {**places, "worker": {"decoders": 2, "threads": 1, **(worker or {})}})
        settings = load_settings(config, {})
        if shape == EMBEDDED:
            hub = ready_process("benchmarks.hub", str(settings.data_dir), log=folder / "hub.log")
            servers["hub"] = stack.enter_context(hub).pid
        stack.enter_context(role(config, "worker", folder / "worker.log"))
        pid = wait_until(lambda: ready_pid(settings, "worker"), "the worker is ready", folder / "worker.log")
        yield Deployment(shape=shape, config=config, settings=settings, worker=pid, servers=servers)


def write_config(folder: Path, settings: Mapping[str, Any]) -> Path:
    """Write a configuration that listens on free ports of loopback; what it keeps is in the folder."""
    own = {"proxy": {"listen": "127.0.0.1:0"}, "console": {"listen": "127.0.0.1:0"}}
    everything = {"data_dir": "data", **own, "metrics": {"listen": "127.0.0.1:0"}, **settings}
    config = folder / "safelight.json"
    config.write_text(json.dumps(everything))
    return config


@contextmanager
def ready_process(module: str, *arguments: str, log: Path, **more: str) -> Iterator[subprocess.Popen[str]]:
    """A module that says that it is ready, until the end of the block; ``more``: of its environment.

    Raises RuntimeError where it does not.
    """
    command = [sys.executable, "-m", module, *arguments]
    with started(command, log, stdout=subprocess.PIPE, env={**os.environ, **more}) as process:
        assert process.stdout is not None
        if (line := process.stdout.readline()) != "ready\n":
            raise RuntimeError(f"{module} said {line!r}: {log.read_text()[-1000:]}")
        yield process


@contextmanager
def role(config: Path, name: str, log: Path) -> Iterator[subprocess.Popen[str]]:
    """A role as a process of its own until the end of the block."""
    with started(safelight("--config", str(config), name), log, stdout=subprocess.DEVNULL) as process:
        yield process


def ready_pid(settings: Settings, name: str) -> int:
    """Return the process id of a role that says it is ready, else 0."""
    run = read_run_file(settings.run_dir, name)
    try:
        with urllib.request.urlopen(f"http://{run['metrics']}/readyz", timeout=2) as answer:
            return int(str(run["pid"])) if json.load(answer)["ready"] else 0
    except (OSError, KeyError):
        return 0


def wait_until[T](probe: Callable[[], T], what: str, log: Path | None = None, pause: float = 0.05) -> T:
    """Return what the probe gives as soon as it is something; raises TimeoutError."""
    until = time.monotonic() + READY_SECONDS
    while time.monotonic() < until:
        if found := probe():
            return found
        time.sleep(pause)
    said = log.read_text()[-2000:] if log is not None else ""
    raise TimeoutError(f"not within {READY_SECONDS:.0f} s: {what} {said}")
