"""``python -m console.demo [--seed N] [--keep]``: what ``make demo`` runs; exit 0 only if the promise was kept."""

from __future__ import annotations

import argparse
import contextlib
import json
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from rich.console import Console
from rich.progress import Progress
from ruamel.yaml import YAML

from console.demo.origin import CHAT, HOST, Origin
from console.demo.report import print_report, read_alerts
from console.demo.traffic import Browser, BrowserTrust, Item, Outcome, Picture, items, judge, pictures

ALERT_SECONDS: Final = 5.0
POLICY_SECONDS: Final = 2.0
STOP_SECONDS: Final = 15.0
SET: Final = "designs"
POLICY: Final = {
    "policies": [
        {
            "name": "no-design-leaves",
            "when": {"activities": ["upload", "download"], "hosts": [HOST], "any": [{"set": SET}]},
            "then": {"action": "block", "notify": ["admin", "user"], "severity": "high"},
            "on_uninspected": "block",
            "deadline_ms": 15000,
        },
        {
            "name": "no-design-in-the-chat",
            "when": {"activities": ["upload"], "hosts": [CHAT], "any": [{"set": SET}]},
            "then": {"action": "redact"},
            "on_uninspected": "block",
            "deadline_ms": 15000,
        },
    ]
}


def main() -> int:
    """Run the demonstration."""
    parser = argparse.ArgumentParser(prog="make demo", description=__doc__)
    parser.add_argument("--seed", type=int, default=None, help="draw other pictures (default: a random seed)")
    parser.add_argument("--keep", action="store_true", help="leave everything running until Ctrl-C")
    options = parser.parse_args()
    seed = options.seed if options.seed is not None else random.SystemRandom().randrange(1_000_000)
    console = Console(width=None if sys.stdout.isatty() else 120)
    console.print(f"Safelight demonstration, seed {seed} (repeat with SEED={seed} make demo)")
    with tempfile.TemporaryDirectory(prefix="safelight-demo-") as name:
        folder = Path(name)
        origin = Origin(folder)
        config = _configure(folder, origin)
        with _running(config) as ready:
            console.print(ready)
            kept = _demonstrate(folder, config, ready, origin, seed, console)
            if options.keep:
                _keep(console, config, ready)
        origin.stop()
    return 0 if kept else 1


def _configure(folder: Path, origin: Origin) -> Path:
    path = folder / "safelight.yaml"
    values = {
        "data_dir": "data",
        "proxy": {
            "listen": "127.0.0.1:0",
            "upstream_ca": str(origin.ca_file),
            "resolve": {f"{host}:443": origin.address for host in (HOST, CHAT)},
        },
        "console": {"listen": "127.0.0.1:0"},
        "metrics": {"listen": "127.0.0.1:0"},
    }
    YAML().dump(values, path)
    return path


def _demonstrate(folder: Path, config: Path, ready: str, origin: Origin, seed: int, console: Console) -> bool:
    protected, unrelated = pictures(seed)
    _enrol(folder, config, protected, console)
    rules = folder / "policies.yaml"
    YAML().dump(POLICY, rules)
    console.print(_safelight(config, "policy", "apply", str(rules)).strip())
    time.sleep(POLICY_SECONDS)
    trust = BrowserTrust.in_ca(_safelight(config, "ca", "export"))
    address = dict(field.split("=", 1) for field in ready.split()[1:])["proxy"]
    outcomes = _send(Browser(f"http://{address}", trust), origin, list(items(protected, unrelated, seed)), console)
    alerts_file = folder / "data" / "alerts.jsonl"
    stopped = {outcome.incident for outcome in outcomes if outcome.blocked or outcome.redacted}
    until = time.monotonic() + ALERT_SECONDS
    while not stopped <= read_alerts(alerts_file).keys() and time.monotonic() < until:
        time.sleep(0.1)
    return print_report(outcomes, read_alerts(alerts_file), console)


def _enrol(folder: Path, config: Path, protected: list[Picture], console: Console) -> None:
    drawings = folder / "protected"
    drawings.mkdir()
    for picture in protected:
        (drawings / picture.name).write_bytes(picture.encoded())
    console.print(_safelight(config, "set", "create", SET).strip())
    results = _safelight(config, "set", "add", SET, str(drawings), "--recursive", "--json").splitlines()
    added = sum(json.loads(line)["status"] == "added" for line in results)
    console.print(f"added {added} of {len(protected)} drawings to {SET}")


def _send(browser: Browser, origin: Origin, transfers: list[Item], console: Console) -> list[Outcome]:
    outcomes = []
    with Progress(console=console, transient=True, disable=not sys.stdout.isatty()) as progress:
        for item in progress.track(transfers, description="sending"):
            if item.way == "download":
                origin.files[f"/{item.name}"] = ("image/jpeg", item.data)
            outcomes.append(judge(item, *browser.send(item)))
    browser.close()
    return outcomes


def _safelight(config: Path, *arguments: str) -> str:
    command = [sys.executable, "-m", "console.cli", "--config", str(config), *arguments]
    finished = subprocess.run(command, check=False, stdout=subprocess.PIPE, text=True)
    if finished.returncode == 2:
        sys.exit(f"safelight {' '.join(arguments)} failed")
    return finished.stdout


@contextlib.contextmanager
def _running(config: Path) -> Iterator[str]:
    log = (config.parent / "safelight.log").open("w+", encoding="utf-8")
    command = [sys.executable, "-m", "console.cli", "up", "--config", str(config)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, text=True)
    try:
        yield _wait_ready(process, Path(log.name))
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        log.close()


def _wait_ready(process: subprocess.Popen[str], log: Path) -> str:
    if process.stdout is None:
        raise RuntimeError("started without a pipe")
    line = process.stdout.readline()  # ends at once where `up` ends, whose reason is in the log
    if not line.startswith("ready "):
        sys.exit(f"safelight up did not become ready:\n{log.read_text(encoding='utf-8')[-4000:]}")
    return line.strip()


def _keep(console: Console, config: Path, ready: str) -> None:
    program = Path(sys.executable).with_name("safelight")
    console.print(
        f"Left running, {ready}\nAsk it, for example: {program} --config {config} set show designs", soft_wrap=True
    )
    console.print("Ctrl-C stops it.")
    with contextlib.suppress(KeyboardInterrupt):
        signal.pause()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # who presses it again sees it stop, not a traceback


if __name__ == "__main__":
    sys.exit(main())
