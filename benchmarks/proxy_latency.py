"""How long a request without an image takes through Safelight's proxy and through stock mitmdump, and what an idle
connection costs them in memory.

    python -m benchmarks.proxy_latency [--rate 150] [--seconds 5] [--repeats 2] [--idle 1000] [-o FOLDER]

Requests come as a Poisson process, open loop, on connections that are kept; the proxies take turns.  Then so many
connections are opened, each asks once and stays.
"""

from __future__ import annotations

import argparse
import asyncio
import resource
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Final

from benchmarks.arrivals import open_loop, poisson, spread
from benchmarks.clients import Ask, Protocol, Target, connected, run
from benchmarks.processes import resident_mb
from benchmarks.proxies import STOCK, Proxy, origin_process, safelight_proxy, say, stock_proxy
from benchmarks.reporting import options_parser, report_on
from workers.evaluation.tables import Cell

PROTOCOLS: Final[tuple[Protocol, ...]] = ("http/1.1", "TLS, http/1.1")
CONNECTIONS: Final = 32
WARM: Final = 4
AT_ONCE: Final = 50
"""Connections that are opened at once."""
FILES: Final = 16_384
OURS: Final = "safelight"


async def latencies(target: Target, protocol: Protocol, due: Sequence[float]) -> list[float]:
    """Return the seconds of each request, from when it was due."""
    opened = await asyncio.gather(*(connected(target, protocol) for _ in range(CONNECTIONS)))
    free: asyncio.Queue[Ask] = asyncio.Queue()
    for ask, _ in opened:
        free.put_nowait(ask)

    async def one(_number: int) -> None:
        ask = await free.get()
        try:
            await ask()
        finally:
            free.put_nowait(ask)

    answers = await open_loop(due, one)
    for _, writer in opened:
        writer.close()
    return [answer.seconds for answer in answers]


async def idle(target: Target, protocol: Protocol, count: int, pid: int) -> float:
    """Return how many MB the process has grown by with so many connections that asked once and stay."""
    before = resident_mb(pid)
    writers: list[asyncio.StreamWriter] = []
    for start in range(0, count, AT_ONCE):
        opened = await asyncio.gather(*(connected(target, protocol) for _ in range(min(AT_ONCE, count - start))))
        await asyncio.gather(*(ask() for ask, _ in opened))
        writers += [writer for _, writer in opened]
    grown = resident_mb(pid) - before
    for writer in writers:
        writer.close()
    return grown


def target_of(proxy: Proxy, protocol: Protocol, ports: tuple[int, int]) -> Target:
    """Return where requests through the proxy go."""
    port = ports[0] if protocol == "http/1.1" else ports[1]
    return Target(proxy=proxy.address, port=port, path="/api/items", authority=str(proxy.authority))


def latency_rows(
    proxies: Sequence[Proxy], ports: tuple[int, int], options: argparse.Namespace
) -> list[dict[str, Cell]]:
    """All protocols, the proxies in turns."""
    rows: list[dict[str, Cell]] = []
    for protocol in PROTOCOLS:
        seen: dict[str, list[float]] = {proxy.name: [] for proxy in proxies}
        for proxy in proxies:
            target = target_of(proxy, protocol, ports)
            asyncio.run(run(target, protocol, connections=CONNECTIONS, requests=CONNECTIONS * WARM))
        for repeat in range(options.repeats):
            for proxy in proxies if repeat % 2 == 0 else tuple(reversed(proxies)):
                say(f"{protocol}: {proxy.name}, turn {repeat + 1} of {options.repeats}")
                due = poisson(options.rate, options.seconds, seed=repeat)
                seen[proxy.name] += asyncio.run(latencies(target_of(proxy, protocol, ports), protocol, due))
        rows += [{"protocol": protocol, "proxy": name, **spread(times).row()} for name, times in seen.items()]
    return rows


def idle_rows(proxies: Sequence[Proxy], ports: tuple[int, int], count: int) -> list[dict[str, Cell]]:
    """What so many idle connections cost each proxy."""
    rows: list[dict[str, Cell]] = []
    for protocol in PROTOCOLS:
        for proxy in proxies:
            say(f"{protocol}: {proxy.name}, {count} idle connections")
            grown = asyncio.run(idle(target_of(proxy, protocol, ports), protocol, count, proxy.pids[0]))
            rows.append(
                {
                    "protocol": protocol,
                    "proxy": proxy.name,
                    "connections": count,
                    "grown by, MB": grown,
                    "KB a connection": grown * 1000 / count,
                }
            )
    return rows


def measure(options: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """Start the proxies and ask them."""
    # Each idle connection is three files: of the client, of the proxy twice, of the origin.
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, FILES if hard < 0 else min(FILES, hard)), hard))
    with ExitStack() as stack:
        ports = stack.enter_context(origin_process(folder))
        authority = folder / "origins-ca.pem"
        proxies = [
            stack.enter_context(stock_proxy(folder, authority)),
            stack.enter_context(safelight_proxy(OURS, folder / "full", authority, policy=True)),
        ]
        rows = latency_rows(proxies, ports, options)
        idle_ones = idle_rows(proxies, ports, options.idle)
    note = f"{options.rate:g} requests/s, open loop, {CONNECTIONS} connections; from the intended time of asking"
    return {
        "title": "Requests without an image: latency",
        "tables": [
            {"name": "proxy-latency", "title": "Latency in ms", "note": note, "rows": rows},
            {
                "name": "idle",
                "title": "Idle connections",
                "note": f"Each asked once and stays; client and server side of the proxy. {STOCK} has no addon.",
                "rows": idle_ones,
            },
        ],
    }


def main() -> int:
    """Measure, print and write."""
    parser = options_parser(__doc__)
    parser.add_argument("--rate", type=float, default=150.0, help="requests a second")
    parser.add_argument("--seconds", type=float, default=5.0, help="of one turn")
    parser.add_argument("--repeats", type=int, default=2, help="turns of each proxy")
    parser.add_argument("--idle", type=int, default=1000, help="connections that stay")
    return report_on(parser.parse_args(), "proxy_latency", measure)


if __name__ == "__main__":
    sys.exit(main())
