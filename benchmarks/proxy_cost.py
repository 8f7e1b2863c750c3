"""What a request without an image costs: Safelight's proxy with a policy in force, beside stock mitmdump with no addon.

Beside them runs the floor: the product's launcher with no addon at all, so that what the addons cost is known.  All
run as processes of their own, on the same machine, in turns; processor time is what the kernel counts for the
proxy's process alone, so that the client and the origin, which share the machine, do not count.

    python -m benchmarks.proxy_cost [--requests 2000] [--repeats 3] [-o FOLDER]
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import sys
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, get_args

from benchmarks.clients import Protocol, Target, run
from benchmarks.proxies import (
    STOCK,
    Proxy,
    cpu_seconds,
    lean_proxy,
    origin_process,
    safelight_proxy,
    say,
    stock_proxy,
    write_report,
)
from workers.training.drawing import FAMILIES, draw

PROTOCOLS: Final[tuple[Protocol, ...]] = get_args(Protocol)
TARGETS: Final[dict[Protocol, float]] = {"http/1.1": 1.8, "TLS, http/1.1": 1.6, "TLS, h2": 1.3}
CONNECTIONS: Final = 16
MANY: Final = 200
"""Connections that are dealt out to processes: of a few, one process may get nearly all."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """Of one turn: requests a second, and processor time for one, of all the proxy's processes and of the busiest."""

    per_second: float
    cpu_ms: float
    busiest_ms: float


async def measure(
    proxy: Proxy,
    protocol: Protocol,
    ports: tuple[int, int],
    requests: int,
    body: bytes = b"",
    connections: int = CONNECTIONS,
) -> Figures:
    """One turn of one proxy; the first requests, which fill caches, do not count."""
    port = ports[0] if protocol == "http/1.1" else ports[1]
    target = Target(proxy=proxy.address, port=port, path="/api/items", authority=str(proxy.authority), body=body)
    await run(target, protocol, connections=connections, requests=connections * 4)
    before = [cpu_seconds(pid) for pid in proxy.pids]
    seconds = await run(target, protocol, connections=connections, requests=requests)
    spent = [cpu_seconds(pid) - earlier for pid, earlier in zip(proxy.pids, before, strict=True)]
    return Figures(
        per_second=requests / seconds, cpu_ms=sum(spent) / requests * 1000, busiest_ms=max(spent) / requests * 1000
    )


def compare(proxies: Sequence[Proxy], ports: tuple[int, int], options: argparse.Namespace) -> list[dict[str, Any]]:
    """All protocols, the proxies in turns; medians, and the ratio to stock mitmdump."""
    rows = []
    for protocol in PROTOCOLS:
        turns: dict[str, list[Figures]] = {proxy.name: [] for proxy in proxies}
        for repeat in range(options.repeats):
            for proxy in proxies if repeat % 2 == 0 else tuple(reversed(proxies)):
                turns[proxy.name].append(asyncio.run(measure(proxy, protocol, ports, options.requests)))
                say(f"{protocol}: {proxy.name}, turn {repeat + 1} of {options.repeats}")
        cpu = {name: statistics.median(each.cpu_ms for each in of) for name, of in turns.items()}
        speed = {name: statistics.median(each.per_second for each in of) for name, of in turns.items()}
        rows += [
            {
                "protocol": protocol,
                "proxy": name,
                "cpu_ms": round(cpu[name], 3),
                "cpu_ms_range": [round(edge(each.cpu_ms for each in turns[name]), 3) for edge in (min, max)],
                "per_second": round(speed[name]),
                "cpu_ratio": round(cpu[STOCK] / cpu[name], 2),
                "speed_ratio": round(speed[name] / speed[STOCK], 2),
                "target": TARGETS[protocol],
            }
            for name in turns
        ]
    return rows


def picture(folder: Path) -> bytes:
    """A JPEG of about 100 KB that nobody protects."""
    file = folder / "again.jpg"
    draw(FAMILIES[1], 3).convert("RGB").resize((1024, 768)).save(file, quality=85)
    return file.read_bytes()


def again(
    bare: Proxy, inspecting: Proxy, ports: tuple[int, int], options: argparse.Namespace, body: bytes
) -> dict[str, Any]:
    """Uploads of a picture that has been judged, against the same launcher without an addon."""
    turns = [
        (
            asyncio.run(measure(bare, "http/1.1", ports, options.requests, body)).cpu_ms,
            asyncio.run(measure(inspecting, "http/1.1", ports, options.requests, body)).cpu_ms,
        )
        for _ in range(options.repeats)
    ]
    without, judged = (statistics.median(turn[place] for turn in turns) for place in (0, 1))
    note = f"{len(body):,} bytes, {judged:.2f} and {without:.2f} ms of CPU"
    return {"case": "a picture judged before", "ratio": judged / without, "target": "at most 1.10", "note": note}


def scaling(one: Proxy, two: Proxy, ports: tuple[int, int], options: argparse.Namespace) -> dict[str, Any]:
    """How much more two processes can do: by the processor time of the busier one, so that uneven dealing counts."""
    turns = [
        (
            asyncio.run(measure(one, "http/1.1", ports, options.requests, connections=MANY)).busiest_ms,
            asyncio.run(measure(two, "http/1.1", ports, options.requests, connections=MANY)).busiest_ms,
        )
        for _ in range(options.repeats)
    ]
    single, busiest = (statistics.median(turn[place] for turn in turns) for place in (0, 1))
    note = f"{MANY} connections, {single:.2f} ms of CPU a request, {busiest:.2f} of the busier one's"
    return {"case": "two processes on one port", "ratio": single / busiest, "target": "at least 1.80", "note": note}


def table(rows: Sequence[dict[str, Any]]) -> str:
    """The rows for a person."""
    lines = [
        f"{'protocol':<16}{'proxy':<26}{'CPU ms':>8}{'(range)':>16}{'req/s':>8}{'x CPU':>7}{'x req/s':>9}{'target':>8}"
    ]
    for row in rows:
        low, high = row["cpu_ms_range"]
        lines.append(
            f"{row['protocol']:<16}{row['proxy']:<26}{row['cpu_ms']:>8.3f}{f'({low}-{high})':>16}"
            f"{row['per_second']:>8}{row['cpu_ratio']:>7.2f}{row['speed_ratio']:>9.2f}{row['target']:>8.1f}"
        )
    return "\n".join(lines)


def main() -> int:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--requests", type=int, default=2000, help="requests of one turn")
    parser.add_argument("--repeats", type=int, default=3, help="turns of each proxy")
    parser.add_argument("-o", "--output", type=Path, default=None, help="folder for proxy_cost.json")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name, ExitStack() as stack:
        folder = Path(name)
        ports = stack.enter_context(origin_process(folder))
        authority = folder / "origins-ca.pem"
        proxies = [
            stack.enter_context(stock_proxy(folder, authority)),
            stack.enter_context(lean_proxy(folder / "lean", authority)),
            stack.enter_context(safelight_proxy("safelight, no policy", folder / "bare", authority, policy=False)),
            stack.enter_context(safelight_proxy("safelight", folder / "full", authority, policy=True)),
        ]
        rows = compare(proxies, ports, options)
        _, lean, _, full = proxies
        several = stack.enter_context(
            safelight_proxy("safelight, two processes", folder / "two", authority, policy=True, processes=2)
        )
        more = [
            again(lean, full, ports, options, picture(folder)),
            scaling(full, several, ports, options),
        ]
    sys.stdout.write(table(rows) + "\n")
    for row in more:
        sys.stdout.write(f"{row['case']}: {row['ratio']:.2f} ({row['target']}; {row['note']})\n")
    write_report(options.output, "proxy_cost", {"requests": options.requests, "rows": rows, "more": more})
    return 0


if __name__ == "__main__":
    sys.exit(main())
