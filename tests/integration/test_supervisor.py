"""``safelight up`` as an operator meets it: one line, four processes, one status endpoint, a clean end."""

import json
import os
import re
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import httpx
import pytest

from tests.integration.command_line import CommandLine

pytestmark = pytest.mark.timeout(180)
ROLES: Final = ("worker", "alerts", "console", "proxy")
READY: Final = re.compile(r"ready proxy=(127\.0\.0\.1:\d+) console=(127\.0\.0\.1:\d+) metrics=(127\.0\.0\.1:\d+)\n")
BACK_SECONDS: Final = 60.0
STOP_SECONDS: Final = 10.0


class Up:
    """A running ``safelight up``."""

    def __init__(self, safelight: CommandLine, process: "subprocess.Popen[str]") -> None:
        self.safelight = safelight
        self.process = process
        self.line = process.stdout.readline() if process.stdout else ""
        ready = READY.fullmatch(self.line)
        assert ready, (self.line, safelight.log())
        self.proxy, self.console, self.metrics = ready.groups()

    def role(self, name: str) -> dict[str, Any]:
        return dict(json.loads((self.safelight.data_dir / "run" / f"{name}.json").read_text()))

    def pids(self) -> dict[str, int]:
        return {name: int(self.role(name)["pid"]) for name in ROLES}

    def ready(self) -> tuple[int, dict[str, Any]]:
        try:
            with urllib.request.urlopen(f"http://{self.metrics}/readyz", timeout=5) as answer:
                return answer.status, json.load(answer)
        except urllib.error.HTTPError as error:
            with error:
                return error.code, json.load(error)


@contextmanager
def running(safelight: CommandLine) -> Iterator[Up]:
    process = safelight.start("up")
    try:
        yield Up(safelight, process)
    finally:
        process.terminate()
        process.wait(STOP_SECONDS)
        if process.stdout:
            process.stdout.close()


@pytest.fixture
def safelight(tmp_path: Path) -> CommandLine:
    return CommandLine(tmp_path)


@pytest.fixture(scope="module")
def up(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Up]:
    """One for the tests that leave it running."""
    with running(CommandLine(tmp_path_factory.mktemp("up"))) as started:
        yield started


def eventually(condition: Callable[[], bool], seconds: float) -> bool:
    until = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > until:
            return False
        time.sleep(0.05)
    return True


def runs(pid: int) -> bool:
    """Whether a process runs (a zombie does not)."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state not in "ZX"


def test_the_line_names_what_is_there(safelight: CommandLine) -> None:
    with running(safelight) as up:  # of its own: a role that another test killed would listen elsewhere now
        assert up.role("proxy")["proxy"] == up.proxy
        assert up.role("console")["console"] == up.console
        for address in (up.proxy, up.console, up.metrics):
            host, _, port = address.rpartition(":")
            socket.create_connection((host, int(port)), timeout=5).close()


def test_readiness_and_metrics_of_all_roles_are_one(up: Up) -> None:
    assert up.ready() == (200, {"ready": True, "waiting_for": []})
    with urllib.request.urlopen(f"http://{up.metrics}/healthz", timeout=5) as answer:
        assert answer.status == 200
    with urllib.request.urlopen(f"http://{up.metrics}/metrics", timeout=5) as answer:
        text = answer.read().decode()
    for role in ROLES:
        assert f'safelight_up{{role="{role}"}} 1.0' in text
    assert text.count("# TYPE safelight_up gauge") == 1


def test_the_api_answers_with_what_the_command_line_made(up: Up) -> None:
    up.safelight("set", "create", "designs")
    token = (up.safelight.data_dir / "console-token").read_text().strip()
    # Not the address of the ready line: another test may have killed the console, and port 0 gives it a new one.
    with httpx.Client(base_url=f"http://{up.role('console')['console']}/api/v1", trust_env=False) as client:
        assert client.get("/health").status_code == 200
        assert client.get("/sets").status_code == 401
        (row,) = client.get("/sets", headers={"Authorization": f"Bearer {token}"}).json()
    assert row["name"] == "designs"


def test_a_second_one_on_the_same_folder_says_so_and_harms_nothing(up: Up) -> None:
    before = up.pids()
    ended = up.safelight("up", status=2)
    assert "runs already" in ended.err
    assert str(up.safelight.data_dir) in ended.err
    assert ended.out == b""
    assert up.pids() == before
    assert up.ready()[0] == 200


@pytest.mark.parametrize("role", ROLES)
def test_a_role_that_is_killed_is_started_again(up: Up, role: str) -> None:
    before = up.pids()
    os.kill(before[role], signal.SIGKILL)
    assert eventually(lambda: up.ready()[0] == 503 or up.pids()[role] != before[role], 10)
    assert eventually(lambda: up.ready()[0] == 200, BACK_SECONDS), up.ready()
    after = up.pids()
    assert after[role] != before[role]
    assert {name: pid for name, pid in after.items() if name != role} == {
        name: pid for name, pid in before.items() if name != role
    }
    assert f"{role} ended with status -9" in up.safelight.log()


# Within ten seconds of a machine of its own: beside other tests a role is killed now and then.
@pytest.mark.alone
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_everything_within_10_seconds(safelight: CommandLine, number: signal.Signals) -> None:
    with running(safelight) as up:
        pids = up.pids()
        begin = time.monotonic()
        up.process.send_signal(number)
        assert up.process.wait(STOP_SECONDS) == 0, safelight.log()
        assert time.monotonic() - begin < STOP_SECONDS
        assert [role for role, pid in pids.items() if runs(pid)] == []
        assert list((safelight.data_dir / "run").glob("*.json")) == []
        log = safelight.log()
        assert "Traceback" not in log
        assert "ERROR" not in log


def test_the_roles_do_not_outlive_a_killed_supervisor_and_the_next_one_takes_over(safelight: CommandLine) -> None:
    """The next one waits until ports and leases are free, instead of failing where it would be restarted at once."""
    with running(safelight) as up:
        pids = up.pids()
        up.process.kill()
        up.process.wait()
        with running(safelight) as following:
            assert [role for role, pid in pids.items() if runs(pid)] == []
            assert following.ready()[0] == 200


@pytest.mark.parametrize("key", ["PROXY", "CONSOLE", "METRICS"])
def test_a_port_in_use_exits_2_with_a_sentence(safelight: CommandLine, key: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        address = f"127.0.0.1:{other.getsockname()[1]}"
        process = safelight.start("up", **{f"SAFELIGHT_{key}__LISTEN": address})
        out, _ = process.communicate(timeout=60)
    assert (process.returncode, out) == (2, "")
    log = safelight.log()
    assert f"safelight: {address} is in use" in log
    assert f"{key.lower()}.listen" in log
    assert "Traceback" not in log
    assert list((safelight.data_dir / "run").glob("*.json")) == []


def test_several_proxies_share_a_port(tmp_path: Path) -> None:
    """The kernel deals connections out; what each has seen is told apart in the metrics."""
    with running(CommandLine(tmp_path, proxy={"listen": "127.0.0.1:0", "processes": 2})) as up:
        names = ("proxy-0", "proxy-1")
        assert [up.role(name)["proxy"] for name in names] == [up.proxy] * 2
        assert len({up.role(name)["pid"] for name in names}) == 2
        for _ in range(40):
            # A connection each; what answers is the proxy itself, which does not connect to its own listener.
            with httpx.Client(proxy=f"http://{up.proxy}", trust_env=False, timeout=20) as client:
                assert client.get(f"http://{up.proxy}/").status_code in {400, 502}

        def seen(name: str) -> float:
            with urllib.request.urlopen(f"http://{up.metrics}/metrics", timeout=5) as answer:
                text = answer.read().decode()
            found = re.findall(rf'safelight_proxy_messages_total{{[^}}]*role="{name}"[^}}]*}} ([0-9.]+)', text)
            return sum(map(float, found))

        assert all(seen(name) > 0 for name in names)
        killed = int(up.role("proxy-1")["pid"])
        os.kill(killed, signal.SIGKILL)
        assert eventually(
            lambda: int(up.role("proxy-1").get("pid", 0)) != killed and up.ready()[0] == 200, BACK_SECONDS
        )
