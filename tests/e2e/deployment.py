"""A whole Safelight in processes of its own, for tests that know only its outside.

``Embedded`` runs ``safelight up``; ``ScaledOut`` runs each role as a process over a real Kafka and a real Redis.
Both are driven by the command line, by HTTP through the proxy, and by signals.
"""

import json
import os
import re
import signal
import ssl
import subprocess
import sys
import time
import urllib.request
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from functools import cached_property, partial
from pathlib import Path
from typing import Any, Final

import httpx
from ruamel.yaml import YAML

from console.demo.origin import HOST, Origin
from console.demo.traffic import BrowserTrust
from tests.commands import run_command

READY_SECONDS: Final = 90.0
STOP_SECONDS: Final = 15.0
ROLES: Final = ("worker", "alerts", "console", "proxy")
URL: Final = f"https://{HOST}/upload"
POLICY: Final[Mapping[str, Any]] = {
    "name": "no-design-leaves",
    "when": {"any": [{"set": "designs"}]},
    "then": {"action": "block", "severity": "high"},
}


def eventually[T](probe: Callable[[], T], *, seconds: float, what: str) -> T:
    """Return ``probe()`` as soon as it is true; fail after ``seconds``."""
    until = time.monotonic() + seconds
    while True:
        value = probe()
        if value:
            return value
        if time.monotonic() > until:
            raise AssertionError(f"not within {seconds} s: {what}")
        time.sleep(0.05)


class Deployment(ABC):
    """What both shapes share."""

    def __init__(self, folder: Path, settings: Mapping[str, Any]) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self.data_dir = folder / "data"
        self.origin = Origin(folder)
        self.config = folder / "safelight.yaml"
        self.log = folder / "safelight.log"
        self._settings = {
            "data_dir": "data",
            "proxy": {
                "listen": "127.0.0.1:0",
                "upstream_ca": str(self.origin.ca_file),
                "resolve": {f"{HOST}:443": self.origin.address},
            },
            "console": {"listen": "127.0.0.1:0"},
            "metrics": {"listen": "127.0.0.1:0"},
            **settings,
        }
        self._sets: set[str] = set()
        YAML().dump(self._settings, self.config)

    # --- processes ---

    def spawn(self, *arguments: str) -> "subprocess.Popen[str]":
        """Start a ``safelight`` process whose output goes to the log."""
        with self.log.open("a", encoding="utf-8") as log:
            return subprocess.Popen(
                [sys.executable, "-m", "console.cli", "--config", str(self.config), *arguments],
                stdout=subprocess.PIPE if arguments == ("up",) else log,
                stderr=log,
                text=True,
                env=os.environ | {"PYTHONWARNINGS": "default"},
            )

    @abstractmethod
    def start(self) -> None:
        """Start and wait until it is ready."""

    @abstractmethod
    def stop(self) -> None:
        """Stop; must end well and in time."""

    @property
    def hub_pid(self) -> int:
        """The process between the roles, which is never killed here; 0 where servers are in its place."""
        return 0

    def pid(self, role: str) -> int:
        """Return the process id a role wrote into its run file."""
        return int(self.run(role)["pid"])

    def kill(self, role: str) -> int:
        """SIGKILL a role; return the process id it had."""
        pid = self.pid(role)
        os.kill(pid, signal.SIGKILL)
        return pid

    def run(self, role: str) -> dict[str, Any]:
        """Return a role's run file (empty while there is none)."""
        try:
            values = json.loads((self.data_dir / "run" / f"{role}.json").read_text())
        except (OSError, ValueError):
            return {}
        return dict(values)

    def role_ready(self, role: str, *, not_pid: int | None = None) -> bool:
        """Tell whether a role answers that it is ready (and is another process than ``not_pid``)."""
        run = self.run(role)
        if "metrics" not in run or run["pid"] == not_pid:
            return False
        try:
            with urllib.request.urlopen(f"http://{run['metrics']}/readyz", timeout=2) as answer:
                return bool(json.load(answer)["ready"])
        except OSError:
            return False

    def metrics(self, role: str) -> str:
        """Return a role's metrics."""
        with urllib.request.urlopen(f"http://{self.run(role)['metrics']}/metrics", timeout=5) as answer:
            return str(answer.read().decode())

    # --- the command line ---

    def safelight(self, *arguments: str, status: int = 0) -> str:
        """Run a command to its end and return what it printed; its exit status must be ``status``."""
        ended = run_command(["--config", str(self.config), *arguments], self.folder, os.environ)
        assert ended.status == status, (arguments, ended)
        return ended.text

    def rows(self, *arguments: str, status: int = 0) -> list[dict[str, Any]]:
        """Run a command with ``--json`` and return its objects."""
        return [json.loads(line) for line in self.safelight(*arguments, "--json", status=status).splitlines()]

    def protect(self, name: str, pictures: Mapping[str, bytes]) -> list[dict[str, Any]]:
        """Create a set (if need be) and add pictures to it."""
        if name not in self._sets:  # nobody else creates any here, and each command is a process
            self.safelight("set", "create", name)
            self._sets.add(name)
        return self.add(name, pictures)

    def add(self, name: str, pictures: Mapping[str, bytes]) -> list[dict[str, Any]]:
        """Add pictures to a set."""
        folder = self.folder / f"add-{time.monotonic_ns()}"
        folder.mkdir()
        for file, data in pictures.items():
            (folder / file).write_bytes(data)
        return self.rows("set", "add", name, str(folder), "--recursive")

    def apply(self, *policies: Mapping[str, Any]) -> None:
        """Apply policies, and wait until they are in force: what was before would answer for them."""
        path = self.folder / "policies.yaml"
        YAML().dump({"policies": [dict(policy) for policy in policies]}, path)
        (applied,) = self.rows("policy", "apply", str(path))
        eventually(lambda: self._policy_version() >= applied["version"], seconds=10, what="the policies are in force")

    def _policy_version(self) -> float:
        found = re.search(r"^safelight_proxy_policy_version (\S+)$", self.metrics("proxy"), re.MULTILINE)
        return float(found[1]) if found else 0.0

    # --- traffic ---

    @property
    def proxy(self) -> str:
        """The proxy's URL."""
        return f"http://{self.run('proxy')['proxy']}"

    def trust(self) -> ssl.SSLContext:
        """A TLS context that trusts the proxy's CA only."""
        return BrowserTrust.in_ca(self.authority)

    @cached_property
    def authority(self) -> str:
        """The proxy's CA in PEM, which is made once."""
        return self.safelight("ca", "export")

    def client(self, *, http2: bool = False) -> httpx.Client:
        """A browser behind the proxy."""
        return httpx.Client(proxy=self.proxy, verify=self.trust(), http2=http2, timeout=30, trust_env=False)

    def alerts(self) -> list[dict[str, Any]]:
        """Return the alerts delivered so far, once per incident."""
        path = self.data_dir / "alerts.jsonl"
        if not path.exists():
            return []
        lines = path.read_text(encoding="utf-8").split("\n")[:-1]  # the last one may still be being written
        events = [json.loads(line) for line in lines if line]
        return list({event["finding_info"]["uid"]: event for event in events}.values())

    def alert(self, incident: str) -> dict[str, Any]:
        """Return the alert of an incident, within the two seconds the contract gives."""

        def find() -> dict[str, Any] | None:
            return next((event for event in self.alerts() if event["finding_info"]["uid"] == incident), None)

        return eventually(find, seconds=2.0, what=f"the alert of incident {incident}") or {}


class Embedded(Deployment):
    """``safelight up``."""

    def __init__(self, folder: Path, settings: Mapping[str, Any] | None = None) -> None:
        super().__init__(folder, settings or {})
        self._process: subprocess.Popen[str] | None = None

    def start(self) -> None:
        """Start and wait for the one line that says ready."""
        self._process = self.spawn("up")
        line = self._process.stdout.readline() if self._process.stdout else ""
        assert line.startswith("ready proxy="), self.log.read_text()[-4000:]

    @property
    def hub_pid(self) -> int:
        """``up``, which has bus and store in it and starts the roles."""
        return self._process.pid if self._process else 0

    def stop(self) -> None:
        """SIGTERM; must end with 0 within 10 seconds."""
        if self._process is None:
            return
        begin = time.monotonic()
        self._process.send_signal(signal.SIGTERM)
        status = self._process.wait(STOP_SECONDS)
        if self._process.stdout:
            self._process.stdout.close()
        self._process = None
        self.origin.stop()
        assert status == 0, self.log.read_text()[-4000:]
        assert time.monotonic() - begin < 10

    def restart_role(self, role: str, old: int) -> None:
        """Wait until the supervisor has started the role again."""
        eventually(lambda: self.role_ready(role, not_pid=old), seconds=READY_SECONDS, what=f"{role} is back")


class ScaledOut(Deployment):
    """Each role a process of its own, over Kafka and Redis."""

    def __init__(
        self, folder: Path, *, bootstrap: str, redis_url: str, settings: Mapping[str, Any] | None = None
    ) -> None:
        super().__init__(folder, {"bus": f"kafka://{bootstrap}", "store": redis_url, **(settings or {})})
        self._processes: dict[str, subprocess.Popen[str]] = {}

    def start(self) -> None:
        """Start every role and wait until each is ready."""
        for role in ROLES:
            self._processes[role] = self.spawn(role)
        try:
            for role in ROLES:
                eventually(partial(self.role_ready, role), seconds=READY_SECONDS, what=f"{role} is ready")
        except AssertionError as error:
            for process in self._processes.values():
                process.kill()
                process.wait()
            raise AssertionError(f"{error}\n{self.log.read_text()[-4000:]}") from None

    def stop(self) -> None:
        """SIGTERM to each; all must end with 0 within 10 seconds."""
        begin = time.monotonic()
        for process in self._processes.values():
            process.send_signal(signal.SIGTERM)
        statuses = {role: process.wait(STOP_SECONDS) for role, process in self._processes.items()}
        self._processes.clear()
        self.origin.stop()
        assert set(statuses.values()) <= {0}, (statuses, self.log.read_text()[-4000:])
        assert time.monotonic() - begin < 10

    def second_worker(self) -> None:
        """Start another worker beside the first, and wait until it is ready; its run file replaces the first one's."""
        process = self._processes["worker 2"] = self.spawn("worker")
        eventually(lambda: self.run("worker").get("pid") == process.pid, seconds=READY_SECONDS, what="a second worker")
        eventually(lambda: self.role_ready("worker"), seconds=READY_SECONDS, what="the second worker is ready")

    def kill_second_worker(self) -> None:
        """SIGKILL it; ``second_worker`` starts another one."""
        process = self._processes.pop("worker 2")
        process.kill()
        process.wait(STOP_SECONDS)

    def restart_role(self, role: str, old: int) -> None:
        """Start a killed role again, as an orchestrator would, and wait until it is ready."""
        self._processes[role].wait(STOP_SECONDS)
        self._processes[role] = self.spawn(role)
        eventually(lambda: self.role_ready(role, not_pid=old), seconds=READY_SECONDS, what=f"{role} is back")
