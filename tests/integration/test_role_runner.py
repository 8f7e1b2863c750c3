"""How a role's process ends: by a signal, by a mistake of the configuration, by a failure, by a bug."""

import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest

from console.role_runner import CUT_OFF_SECONDS, STOP_SECONDS, known_error
from shared.errors import BusError, ConfigError, StoreError
from tests.integration.command_line import CommandLine
from tests.servers import RedisServer

ROOT: Final = Path(__file__).parents[2]
START_SECONDS: Final = 60.0

# A role of a few lines, run as the command line runs the real ones.
ROLE: Final = """
import asyncio, sys
from pathlib import Path
from shared import config
from shared.errors import *
from console.cli import app as cli
from console.role_runner import run_role
async def main(context):
    {body}
cli.app = lambda *_, **__: run_role("probe", main, config.load(Path("safelight.yaml")))
cli.main()
"""

GROUP: Final = """
async def fail():
    raise BusError("turn it around")
async with asyncio.TaskGroup() as group:
    group.create_task(fail())
"""


def run(folder: Path, body: str, **environment: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-c", ROLE.format(body=body.replace("\n", "\n    "))],
        check=False,
        capture_output=True,
        text=True,
        cwd=CommandLine(folder).folder,
        env={**os.environ, "PYTHONPATH": str(ROOT), **environment},
        stdin=subprocess.DEVNULL,
        timeout=60,
    )


@pytest.mark.parametrize(
    "body",
    [
        'raise ConfigError("turn it around")',
        'raise LeaseHeldError("turn it around")',
        'raise StoreError("turn it around")',
        'raise ExceptionGroup("two", [ConfigError("turn it around"), StoreError("x")])',
        GROUP,
    ],
)
def test_what_keeps_a_role_from_starting_is_one_sentence(tmp_path: Path, body: str) -> None:
    # Not ready yet: with a condition that does not hold.
    ended = run(tmp_path, 'context.readiness.add("x", lambda: False)\n' + body)
    assert (ended.returncode, ended.stderr) == (2, "safelight: turn it around\n")
    assert list((tmp_path / "data" / "run").iterdir()) == []


@pytest.mark.parametrize("error", ["StoreError", "BusError"])
def test_a_role_that_was_ready_and_fails_may_be_started_again(tmp_path: Path, error: str) -> None:
    ended = run(
        tmp_path, f'context.readiness.add("probe", lambda: True)\nawait asyncio.sleep(0)\nraise {error}("lost it")'
    )
    assert ended.returncode == 1
    assert "the probe failed: lost it" in ended.stderr
    assert "Traceback" not in ended.stderr


@pytest.mark.parametrize("body", ["1 / 0", "raise ExceptionGroup('x', [ConfigError('y'), ZeroDivisionError()])"])
def test_a_bug_is_a_crash_with_its_traceback(tmp_path: Path, body: str) -> None:
    ended = run(tmp_path, body)
    assert ended.returncode == 1
    assert "Traceback" in ended.stderr
    assert "ZeroDivisionError" in ended.stderr
    assert list((tmp_path / "data" / "run").iterdir()) == []


def test_a_log_level_that_does_not_exist_is_a_sentence(tmp_path: Path) -> None:
    ended = run(tmp_path, "pass", SAFELIGHT_LOG="loud")
    assert ended.returncode == 2
    assert "LOUD is no log level" in ended.stderr


def test_a_role_that_does_not_end_is_cut_off(tmp_path: Path) -> None:
    begin = time.monotonic()
    ended = run(tmp_path, "context.stopping.set()\nawait asyncio.Event().wait()")
    assert ended.returncode == 0
    assert "cut off" in ended.stderr
    assert time.monotonic() - begin >= STOP_SECONDS
    assert STOP_SECONDS + CUT_OFF_SECONDS < 10


def test_the_first_known_error_is_told_unless_a_bug_stands_beside_it() -> None:
    config, store = ConfigError("a"), StoreError("b")
    assert known_error(config) is config
    assert known_error(ExceptionGroup("x", [ExceptionGroup("y", [config]), store])) is config
    assert known_error(ExceptionGroup("x", [BusError("c"), ValueError()])) is None
    assert known_error(ValueError()) is None


class Role:
    """A real role as a process."""

    def __init__(self, safelight: CommandLine, name: str, **environment: str) -> None:
        self._run_file = safelight.data_dir / "run" / f"{name}.json"
        self.process = safelight.start(name, **environment)

    def readiness(self) -> tuple[int, dict[str, Any]]:
        """Status 0 while it is not listening."""
        try:
            address = json.loads(self._run_file.read_text())["metrics"]
            with urllib.request.urlopen(f"http://{address}/readyz", timeout=5) as answer:
                return answer.status, json.load(answer)
        except urllib.error.HTTPError as error:
            with error:
                return error.code, json.load(error)
        except OSError:
            return 0, {}

    def until(self, status: int) -> dict[str, Any]:
        end = time.monotonic() + START_SECONDS
        while (found := self.readiness())[0] != status:
            assert time.monotonic() < end, found
            assert self.process.poll() is None, "the role has ended"
            time.sleep(0.05)
        return found[1]

    def until_it_waits_for(self, condition: str) -> None:
        end = time.monotonic() + START_SECONDS
        while condition not in (found := self.readiness())[1].get("waiting_for", ()):
            assert time.monotonic() < end, found
            assert self.process.poll() is None, "the role has ended"
            time.sleep(0.05)

    def stop(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        status = self.process.wait(10)
        if self.process.stdout:
            self.process.stdout.close()
        return status


@pytest.fixture
def redis_to_come(tmp_path: Path) -> Iterator[RedisServer]:
    """A Redis that is not running yet."""
    server = RedisServer(tmp_path / "redis")
    yield server
    server.remove()


@pytest.mark.redis
@pytest.mark.timeout(180)
@pytest.mark.parametrize("name", ["console", "alerts"])
def test_a_role_waits_for_its_store_and_goes_on_when_it_is_there(
    tmp_path: Path, redis_to_come: RedisServer, name: str
) -> None:
    role = Role(CommandLine(tmp_path, store=redis_to_come.url), name)
    try:
        role.until_it_waits_for("store")
        redis_to_come.start()
        assert role.until(200) == {"ready": True, "waiting_for": []}
    finally:
        assert role.stop() == 0


@pytest.mark.parametrize("name", ["console", "alerts", "worker", "proxy"])
def test_a_role_that_waits_for_its_store_can_be_stopped(tmp_path: Path, name: str) -> None:
    role = Role(CommandLine(tmp_path, store="redis://127.0.0.1:1/0"), name)
    try:
        role.until(503)
    finally:
        assert role.stop() == 0
