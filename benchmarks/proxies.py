"""What the benchmarks of proxies share: the proxies, their origin, what they cost the machine, where figures go."""

from __future__ import annotations

import contextlib
import json
import os
import platform
import re
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from workers.training.drawing import FAMILIES, draw

STOCK: Final = "mitmdump"
LEAN: Final = "floor: no addon at all"
START_SECONDS: Final = 60.0
POLICY: Final = """\
policies:
  - name: protected
    when: {any: [{set: benchmark}]}
    then: {action: block}
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Proxy:
    """One that is measured."""

    name: str
    pids: tuple[int, ...]
    address: tuple[str, int]
    authority: Path


def cpu_seconds(pid: int) -> float:
    """Processor time of a process so far, user and system (proc(5))."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@contextmanager
def started(command: list[str], log: Path, **more: Any) -> Iterator[subprocess.Popen[str]]:
    """Run a process until the end of the block; what it says on standard error goes to ``log``."""
    with log.open("w") as errors:
        process = subprocess.Popen(command, stdin=subprocess.PIPE, stderr=errors, text=True, **more)
    try:
        yield process
    finally:
        process.terminate()
        process.communicate(timeout=15)


def safelight(*arguments: str) -> list[str]:
    """The command line of the program in this environment."""
    return [sys.executable, "-m", "console.cli", *arguments]


@contextmanager
def safelight_proxy(
    name: str,
    folder: Path,
    origin_authority: Path,
    *,
    policy: bool,
    processes: int = 1,
    resolve: Mapping[str, str] | None = None,
) -> Iterator[Proxy]:
    """A whole deployment on this machine: an image set, and with ``policy`` one that asks for it everywhere."""
    folder.mkdir()
    config = folder / "safelight.json"
    settings = {
        "data_dir": str(folder / "data"),
        "proxy": {
            "listen": "127.0.0.1:0",
            "upstream_ca": str(origin_authority),
            "processes": processes,
            "resolve": resolve or {},
        },
        "console": {"listen": "127.0.0.1:0"},
        "metrics": {"listen": "127.0.0.1:0"},
    }
    config.write_text(json.dumps(settings))
    draw(FAMILIES[0], 1).save(folder / "protected.png")
    (folder / "policy.yaml").write_text(POLICY)
    with started(safelight("--config", str(config), "up"), folder / "safelight.log", stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        line = process.stdout.readline()
        if not line.startswith("ready "):
            raise RuntimeError(f"safelight did not start: {(folder / 'safelight.log').read_text()[-2000:]}")
        steps = (
            ("set", "create", "benchmark"),
            ("set", "add", "benchmark", str(folder / "protected.png"), "--force"),
            ("policy", "apply", str(folder / "policy.yaml")),
        )
        for arguments in steps if policy else ():
            subprocess.run(safelight("--config", str(config), *arguments), check=True, capture_output=True)
        time.sleep(2)  # within this time every proxy has the policy
        files = sorted((folder / "data" / "run").glob("proxy*.json"))
        run_files = [json.loads(file.read_text()) for file in files]
        host, _, port = str(run_files[0]["proxy"]).rpartition(":")
        pids = tuple(int(run_file["pid"]) for run_file in run_files)
        authority = folder / "proxy-ca.pem"
        exported = subprocess.run(safelight("--config", str(config), "ca", "export"), check=True, capture_output=True)
        authority.write_bytes(exported.stdout)
        yield Proxy(name=name, pids=pids, address=(host, int(port)), authority=authority)


@contextmanager
def stock_proxy(folder: Path, origin_authority: Path) -> Iterator[Proxy]:
    """mitmdump as it comes, with no addon of anybody's."""
    port = free_port()
    conf = folder / "stock"
    program = shutil.which(STOCK, path=str(Path(sys.executable).parent))
    if program is None:
        raise RuntimeError("mitmdump is not installed beside this Python")
    options = ("-q", "--listen-host", "127.0.0.1", "--listen-port", str(port))
    sets = (f"confdir={conf}", f"ssl_verify_upstream_trusted_ca={origin_authority}")
    command = [program, *options, *(part for each in sets for part in ("--set", each))]
    with started(command, folder / "stock.log", stdout=subprocess.DEVNULL) as process:
        wait_for_port(port)
        authority = conf / "mitmproxy-ca-cert.pem"
        yield Proxy(name=STOCK, pids=(process.pid,), address=("127.0.0.1", port), authority=authority)


@contextmanager
def lean_proxy(folder: Path, origin_authority: Path) -> Iterator[Proxy]:
    """The product's launcher with no addon (``benchmarks.lean``)."""
    folder.mkdir()
    command = [sys.executable, "-m", "benchmarks.lean", str(folder), str(origin_authority)]
    with started(command, folder / "lean.log", stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        host, _, port = process.stdout.readline().strip().rpartition(":")
        authority = folder / "ca" / "mitmproxy-ca-cert.pem"
        yield Proxy(name=LEAN, pids=(process.pid,), address=(host, int(port)), authority=authority)


def free_port() -> int:
    """A loopback port that nobody listens on just now."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def wait_for_port(port: int) -> None:
    """Return once somebody listens; raises TimeoutError."""
    until = time.monotonic() + START_SECONDS
    while time.monotonic() < until:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
            return
        time.sleep(0.1)
    raise TimeoutError(f"nobody listens on port {port}")


@contextmanager
def origin_process(folder: Path) -> Iterator[tuple[int, int]]:
    """``benchmarks.origin`` until the end of the block: its plain and its TLS port; its authority is in ``folder``."""
    command = [sys.executable, "-m", "benchmarks.origin", str(folder)]
    with started(command, folder / "origin.log", stdout=subprocess.PIPE) as origin:
        assert origin.stdout is not None
        plain, tls = (int(port) for port in origin.stdout.readline().split())
        yield plain, tls


def say(text: str) -> None:
    """Show progress on a terminal."""
    if sys.stderr.isatty():
        sys.stderr.write(f"\r{text:<60}")
        sys.stderr.flush()


def machine() -> str:
    """What it was measured on, without its name."""
    processor = re.search(r"^model name\s*: (.+)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 1e9
    name = f"{platform.machine()} ({processor[1]})" if processor else platform.machine()
    system = f"{platform.system()}, Python {platform.python_version()}"
    return f"{name}, {os.cpu_count()} cores, {memory:.0f} GB, {system}"


def write_report(folder: Path | None, what: str, figures: Mapping[str, Any]) -> None:
    """Write ``what``.json into a folder, with the machine it was measured on; nothing without a folder."""
    if folder is not None:
        folder.mkdir(parents=True, exist_ok=True)
        measured = datetime.now(UTC).date().isoformat()
        load = round(os.getloadavg()[1], 1)  # of five minutes: whatever else ran on the machine is in it
        report = {"what": what, "measured": measured, "machine": machine(), "load_average": load, **figures}
        (folder / f"{what}.json").write_text(json.dumps(report, indent=1) + "\n")
